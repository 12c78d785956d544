"""What a network says of every image, and of several views of each."""

import numpy as np
import pytest
import tensorflow as tf

from scripts.evaluate.settings import Settings
from trainers.inference import scoring
from trainers.inference.classifier import Classifier, softmax
from vision.data import Split
from vision.models.specification import Specification


@pytest.fixture(scope='module')
def classifier():
    specification = Specification(
        'small_cnn', ('a', 'b', 'c'), 16, 'unit', options={'filters': (4,)}
    )
    return Classifier(specification.build(), specification, 'random weights')


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, [11, 16, 16, 3], np.uint8)


def score(classifier, images, views='none', batch_size=4):
    split = Split(
        np.zeros(len(images), np.int32), list(map(str, range(len(images)))), images
    )
    found = scoring.score(classifier, split, views=views, batch_size=batch_size)
    assert found.good.all() and list(found.logits) == ['main']
    return found.logits['main']


def test_commands_offer_the_views_that_there_are():
    for views in scoring.VIEWS:
        assert Settings(views=views).views == views
    choices = Settings.__dataclass_fields__['views'].metadata['choices']
    assert set(choices) == set(scoring.VIEWS)


@pytest.mark.parametrize('batch_size', [1, 4, 11, 64])
def test_each_image_is_looked_at_in_its_place(classifier, images, batch_size):
    found = score(classifier, images, batch_size=batch_size)
    assert found.dtype == np.float32 and found.shape == (11, 3)
    for image, logits in zip(images, found):
        alone = classifier.logits(image[None]).main.numpy()[0]
        np.testing.assert_allclose(logits, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('views, count', [('none', 1), ('flip', 2), ('crops', 12)])
def test_several_views_are_averaged_as_probabilities(classifier, images, views, count):
    found = score(classifier, images, views)
    seen = scoring.VIEWS[views](tf.constant(images))
    assert len(seen) == count
    expected = np.mean(
        [softmax(classifier.logits(view).main.numpy()) for view in seen], 0
    )
    np.testing.assert_allclose(softmax(found), expected, rtol=1e-4)
    if count > 1:  # logarithms of probabilities, which a softmax leaves as they are
        np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize('views', ['flip', 'crops'])
def test_a_mirror_image_is_the_same_to_mirrored_views(classifier, images, views):
    plain, mirrored = (score(classifier, each) for each in (images, images[:, :, ::-1]))
    assert np.abs(plain - mirrored).max() > 1e-3
    np.testing.assert_allclose(
        score(classifier, images, views),
        score(classifier, images[:, :, ::-1], views),
        rtol=1e-4,
        atol=1e-5,
    )
