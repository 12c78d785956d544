import dataclasses

import numpy as np
import pytest

from vision.data import (
    ArraySplit,
    DatasetError,
    FileSplit,
    RangeSplit,
    Source,
    Split,
    check_disjoint,
    load,
    stratified_split,
    take,
)
from vision.errors import UserError


def _images(count: int, size: int = 4) -> np.ndarray:
    return np.zeros([count, size, size, 3], np.uint8)


def _split(labels=(0, 1), prefix='a', **changes) -> Split:
    if not isinstance(labels, np.ndarray):
        labels = np.array(labels, np.int32)
    names = [f'{prefix}/{i}' for i in range(len(labels))]
    if 'ranges' in changes:
        kind, fields = RangeSplit, dict(paths=['x'] * len(labels))
    elif 'paths' in changes:
        kind, fields = FileSplit, {}
    else:
        kind, fields = ArraySplit, dict(images=_images(len(labels)))
    return kind(**{**dict(labels=labels, names=names), **fields, **changes})


def _source(**changes) -> Source:
    splits = {name: _split(prefix=name) for name in ('train', 'validation', 'test')}
    fields = dict(
        name='toy', classes=('cat', 'dog'), splits=splits, image_size=4, fixed_size=True
    )
    return Source(**{**fields, **changes})


def test_split_weighs_each_image_one():
    for split in (
        _split(),
        _split(paths=['x.png', 'y.png']),
        _split(ranges=np.array([[0, 1], [1, 2]])),
    ):
        assert len(split) == 2
        np.testing.assert_array_equal(split.sample_weights, np.ones(2, np.float32))


def test_split_reads_the_pixels_or_the_bytes_of_an_image(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(b'0123456789')
    images = np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3)
    np.testing.assert_array_equal(_split(images=images).read(1), images[1])
    assert _split(paths=[str(path)] * 2).read(1) == b'0123456789'
    ranges = np.array([[0, 3], [4, 2]])
    assert _split(paths=[str(path)] * 2, ranges=ranges).read(1) == b'45'
    for missing in ({}, {'ranges': ranges}):
        with pytest.raises(FileNotFoundError):
            _split(paths=[str(tmp_path / 'none')] * 2, **missing).read(0)


def test_take_keeps_the_kind_of_a_split_and_the_order_of_the_indices():
    ranges = np.array([[0, 3], [4, 2]])
    for split in (_split(), _split(paths=['x', 'y']), _split(ranges=ranges)):
        taken = take(split, np.array([1, 0, 1]))
        assert type(taken) is type(split) and taken.names == ['a/1', 'a/0', 'a/1']
        np.testing.assert_array_equal(taken.labels, [1, 0, 1])
    np.testing.assert_array_equal(taken.ranges, ranges[[1, 0, 1]])


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            dict(labels=np.array([0.0, 1.0])),
            r'labels must be int32 \[N\], got float64 \[2\]',
        ),
        (dict(labels=np.zeros([2, 1], np.int32)), r'got int32 \[2, 1\]'),
        (
            dict(labels=np.zeros(0, np.int32), names=[], images=_images(0)),
            'at least one',
        ),
        (dict(ranges=np.zeros([2, 2])), r'ranges must be int64 \[N, 2\], got float64'),
        (dict(ranges=np.zeros([2, 3], np.int64)), r'got int64 \[2, 3\]'),
        (dict(ranges=np.array([[0, 1], [-1, 2]])), 'offsets and lengths of 0 .*got -1'),
        (dict(ranges=np.zeros([3, 2], np.int64)), '2 paths, 3 ranges'),
        (dict(images=np.zeros([2, 4, 4, 3])), 'images must be uint8'),
        (dict(images=np.zeros([2, 4, 4, 1], np.uint8)), r'got uint8 \[2, 4, 4, 1\]'),
        (dict(names=['a']), '2 labels, 1 names, 2 sample_weights, 2 images'),
        (
            dict(paths=['x']),
            '2 labels, 2 names, 2 sample_weights, 1 paths',
        ),
        (dict(sample_weights=np.ones(3, np.float32)), '3 sample_weights'),
        (dict(sample_weights=np.ones(2)), 'sample_weights must be float32'),
    ],
)
def test_split_refuses_what_does_not_fit_together(changes, message):
    with pytest.raises(DatasetError, match=message):
        _split(**changes)


@pytest.mark.parametrize('fixed_size', [True, False])
def test_files_have_a_known_side_where_the_source_says_so(fixed_size):
    files = _split(paths=['x.png', 'y.png'])
    splits = {**_source().splits, 'train': files}
    source = _source(splits=splits, fixed_size=fixed_size)
    assert source.splits['train'].side == (4 if fixed_size else None)


def test_pixels_have_a_side_where_they_are_squares():
    assert _split().side == 4
    assert _split(images=np.zeros([2, 4, 5, 3], np.uint8)).side is None


def test_source_names_its_classes_as_ids_by_default():
    assert _source().ids == ('cat', 'dog')
    assert _source(ids=('n1', 'n2')).ids == ('n1', 'n2')


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            dict(classes=('cat',)),
            r'toy, train: labels must lie in 0..0, got 1 for train/1',
        ),
        (dict(classes=('cat', 'cat')), 'class names must be unique.*got cat twice'),
        (dict(ids=('n1',)), 'one id for each of the 2 classes, got 1'),
        (dict(ids=('n1', 'n1')), 'class ids must be unique.*got n1 twice'),
        (
            dict(splits={'train': _split()}),
            'expected the splits train, validation, test',
        ),
        (dict(image_size=5), r'every image must be 5x5, got \[4, 4\]'),
    ],
)
def test_source_refuses_what_does_not_fit_together(changes, message):
    with pytest.raises(DatasetError, match=message):
        _source(**changes)


def test_source_refuses_negative_labels():
    splits = {**_source().splits, 'test': _split(labels=(0, -1))}
    with pytest.raises(DatasetError, match='toy, test: .*got -1 for a/1'):
        _source(splits=splits)


def test_check_disjoint_passes_and_names_what_is_shared():
    source = _source()
    check_disjoint(source)
    splits = {**source.splits, 'test': _split(prefix='train')}
    with pytest.raises(DatasetError) as error:
        check_disjoint(dataclasses.replace(source, splits=splits))
    assert str(error.value) == (
        'toy: an image must belong to one split only, got 2 shared: train/0 in train '
        'and test; train/1 in train and test. Remove the copies.'
    )
    many = {name: _split([0] * 7) for name in ('train', 'test')}
    with pytest.raises(DatasetError, match='7 shared: a/0 .*a/4 in train and test. R'):
        check_disjoint(dataclasses.replace(source, splits={**source.splits, **many}))


def test_check_disjoint_compares_paths_too():
    files = _split(paths=['x.png', 'y.png'])
    other = _split(prefix='b', paths=['y.png', 'z.png'])
    source = _source()
    splits = {**source.splits, 'train': files, 'test': other}
    with pytest.raises(DatasetError, match='y.png in train and test'):
        check_disjoint(dataclasses.replace(source, splits=splits))


def test_stratified_split_takes_the_fraction_of_each_class():
    labels = np.random.default_rng(0).permutation(
        np.repeat([0, 1, 2, 3], [50, 20, 2, 1])
    )
    train, held_out = stratified_split(labels, 0.1, seed=3)
    np.testing.assert_array_equal(
        np.bincount(labels[held_out], minlength=4), [5, 2, 1, 0]
    )
    np.testing.assert_array_equal(np.sort([*train, *held_out]), np.arange(73))
    assert (np.diff(train) > 0).all() and (np.diff(held_out) > 0).all()
    # All but one where the fraction would take them all.
    assert len(stratified_split(np.zeros(4, np.int32), 0.9, seed=0)[0]) == 1


def test_stratified_split_depends_on_the_seed_alone():
    labels = np.repeat([0, 1], 100)
    first, again, other = (stratified_split(labels, 0.5, s)[1] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize('fraction', [0, 1, -0.1, float('nan')])
def test_stratified_split_refuses_other_fractions(fraction):
    with pytest.raises(DatasetError, match='between 0 and 1, got'):
        stratified_split(np.repeat([0, 1], 5), fraction, 0)


def test_load_knows_its_datasets_and_suggests_the_nearest():
    assert load('shapes').name == 'shapes'
    with pytest.raises(
        UserError,
        match="of shapes, .*or tfds:<name>; received 'tiny.* mean tiny_imagenet",
    ) as error:
        load('tiny-imagenet')
    assert error.value.parameters == ('dataset',)
