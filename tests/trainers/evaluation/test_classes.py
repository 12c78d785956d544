"""The class of a network that equals each class of a dataset."""

import pytest

from trainers.evaluation.classes import match_classes
from vision.data import DatasetError
from vision.models import imagenet


@pytest.fixture(scope='module')
def of_imagenet(make_classifier):
    return make_classifier(imagenet.class_names(), ids=imagenet.class_ids())


def test_equal_classes_have_equal_labels(make_classifier, make_source):
    classes = ('cat', 'dog', 'owl')
    labels = match_classes(make_source(classes), make_classifier(classes))
    assert labels.dtype == 'int32' and labels.tolist() == [0, 1, 2]


def test_another_order_is_followed(make_classifier, make_source):
    source = make_source(('owl', 'cat'))
    assert match_classes(source, make_classifier(('cat', 'dog', 'owl'))).tolist() == [
        2,
        0,
    ]


@pytest.mark.parametrize(
    'classes, ids',
    [
        (('n02123045', 'n02099712'), ()),
        (('tabby, tabby cat', 'Labrador retriever'), ()),
        (('cats', 'dogs'), ('n02123045', 'n02099712')),
        (('n02123045', 'Labrador retriever'), ()),
    ],
)
def test_classes_are_found_by_id_or_name(make_source, of_imagenet, classes, ids):
    assert match_classes(make_source(classes, ids=ids), of_imagenet).tolist() == [
        281,
        208,
    ]


def test_unknown_classes_are_named(make_source, make_classifier):
    source = make_source([f'bird {i}' for i in range(8)] + ['cat'])
    with pytest.raises(DatasetError) as error:
        match_classes(source, make_classifier(('cat', 'dog')))
    assert str(error.value) == (
        "noise: expected classes of the network, but it does not have 'bird 0', "
        "'bird 1', 'bird 2', 'bird 3', 'bird 4' and 3 more. Its classes are 'cat', "
        "'dog'. Check --data_dir, or rename the folders to the ids or names of its "
        'classes.'
    )


def test_two_classes_that_are_one_in_the_network_are_refused(make_source, of_imagenet):
    source = make_source(('n02123045', 'tabby, tabby cat'))
    with pytest.raises(DatasetError) as error:
        match_classes(source, of_imagenet)
    assert str(error.value) == (
        "noise: expected different classes, but 'n02123045', 'tabby, tabby cat' are "
        "all 'tabby, tabby cat' in the network. Merge them."
    )
