import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from vision.data import (DatasetError, decode, eval_batches, steps_per_epoch,
                         train_batches)


def _list(dataset: tf.data.Dataset) -> list:
    return list(dataset.as_numpy_iterator())


def _assert_same(first: list, second: list):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        for x, y in zip(a, b):
            np.testing.assert_array_equal(x, y)


@pytest.fixture
def counting(noise):
    """Pictures that show their own index: flat grey i, label 0."""
    images = np.arange(23, dtype=np.uint8)[:, None, None, None]
    return dataclasses.replace(noise, images=np.tile(images, [1, 8, 8, 3]))


def _order(counting, **options) -> np.ndarray:
    """The index of each example, [steps, B]."""
    batches = train_batches(counting, batch_size=5, image_size=8, **options)
    return np.stack([b.images[:, 0, 0, 0] for b in _list(batches)])


AUGMENT = ('random_resized_crop', 'rotate', 'flip')


@pytest.mark.parametrize('where', ['noise', 'files'])
@pytest.mark.parametrize('augment', [(), AUGMENT])
def test_any_start_step_gives_the_same_bits(where, augment, request):
    split = request.getfixturevalue(where)
    options = dict(batch_size=5, image_size=20, seed=3, augment=augment, end_step=11)
    whole = _list(train_batches(split, **options))
    for start in (1, 9):
        _assert_same(_list(train_batches(split, start_step=start, **options)),
                     whole[start:])


@pytest.mark.parametrize('where', ['noise', 'files'])
def test_the_bits_do_not_depend_on_the_parallelism(where, request):
    split = request.getfixturevalue(where)
    batches = train_batches(split, batch_size=5, image_size=20, seed=3, augment=AUGMENT,
                            end_step=40)
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    _assert_same(_list(batches), _list(batches.with_options(options)))
    options = tf.data.Options()
    options.threading.private_threadpool_size = 16
    _assert_same(_list(batches), _list(batches.with_options(options)))


def test_memory_and_files_give_the_same_batches(noise, files):
    options = dict(batch_size=5, image_size=20, seed=3, augment=AUGMENT, end_step=9)
    _assert_same(_list(train_batches(noise, **options)),
                 _list(train_batches(files, **options)))


def test_each_epoch_is_a_permutation_of_its_own(noise, counting):
    # 23 pictures, all but three of them in each epoch of four batches.
    epochs = _order(counting, seed=0, end_step=40).reshape(10, 20)
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 10
    assert set(epochs.ravel()) == set(range(23))
    exact = train_batches(counting, batch_size=23, image_size=8, seed=0, end_step=3)
    for batch in _list(exact):
        assert set(batch.images[:, 0, 0, 0]) == set(range(23))


def test_labels_follow_their_pictures(counting):
    for batch in _list(
            train_batches(counting, batch_size=5, image_size=8, seed=0, end_step=8)):
        np.testing.assert_array_equal(batch.labels, batch.images[:, 0, 0, 0] % 3)
        assert batch.labels.dtype == np.int32
        np.testing.assert_array_equal(batch.weights, np.ones(5, np.float32))


def test_the_seed_decides_order_and_augmentation(noise):

    def first(seed, shuffle):
        return _list(
            train_batches(noise, batch_size=5, image_size=24, seed=seed,
                          augment=('rotate',), shuffle=shuffle, end_step=1))[0].images

    for shuffle in (True, False):
        np.testing.assert_array_equal(first(1, shuffle), first(1, shuffle))
        assert not np.array_equal(first(1, shuffle), first(2, shuffle))


def test_without_shuffling_the_order_is_the_splits(counting):
    order = _order(counting, seed=0, end_step=8, shuffle=False)
    np.testing.assert_array_equal(order.ravel(), [*range(20), *range(20)])


def test_a_limit_shortens_the_epoch(counting):
    order = _order(counting, seed=0, end_step=6, shuffle=False, limit=2)
    np.testing.assert_array_equal(order.reshape(3, 10), [range(10)] * 3)
    full = _order(counting, seed=0, end_step=6, shuffle=False, limit=99)
    np.testing.assert_array_equal(full.ravel(), [*range(20), *range(10)])


def test_an_example_is_augmented_anew_in_each_epoch(noise):
    batches = _list(
        train_batches(noise, batch_size=23, image_size=24, seed=0, augment=('rotate',),
                      shuffle=False, end_step=2))
    changed = (batches[0].images != batches[1].images).any((1, 2, 3))
    assert changed.all()


def test_augmentation_does_not_depend_on_the_batch_size(noise):
    options = dict(image_size=24, seed=0, augment=AUGMENT, shuffle=False)
    small = _list(train_batches(noise, batch_size=5, end_step=4, **options))
    large = _list(train_batches(noise, batch_size=20, end_step=1, **options))
    np.testing.assert_array_equal(np.concatenate([b.images for b in small]),
                                  large[0].images)


def test_batches_have_static_shapes(noise, files):
    for split in (noise, files):
        for batches in (train_batches(split, batch_size=5, image_size=20, seed=0,
                                      end_step=1),
                        eval_batches(split, batch_size=5, image_size=20)):
            spec = batches.element_spec
            assert spec.images == tf.TensorSpec([5, 20, 20, 3], tf.uint8)
            assert spec.labels == tf.TensorSpec([5], tf.int32)
            assert spec.weights == tf.TensorSpec([5], tf.float32)


@pytest.mark.parametrize('batch_size', [1, 5, 23, 40])
def test_evaluation_counts_every_picture_once_in_order(noise, batch_size):
    batches = _list(eval_batches(noise, batch_size=batch_size, image_size=24))
    images, labels, weights = map(np.concatenate, zip(*batches))
    assert weights.sum() == 23 and all(len(b.labels) == batch_size for b in batches)
    np.testing.assert_array_equal(images[weights == 1], noise.images)
    np.testing.assert_array_equal(labels[weights == 1], noise.labels)
    np.testing.assert_array_equal(np.flatnonzero(weights), np.arange(23))


def test_evaluation_fits_the_pictures_and_keeps_their_weights(noise):
    weights = np.ones(23, np.float32)
    weights[4] = 0
    split = dataclasses.replace(noise, weights=weights)
    batch = _list(eval_batches(split, batch_size=23, image_size=16))[0]
    np.testing.assert_array_equal(batch.weights, weights)
    for image, original in zip(batch.images, noise.images):
        np.testing.assert_array_equal(image, decode.fit(tf.constant(original), 16))


def test_evaluation_limit_counts_batches(noise):
    assert len(_list(eval_batches(noise, batch_size=5, image_size=24, limit=2))) == 2
    assert len(_list(eval_batches(noise, batch_size=5, image_size=24, limit=9))) == 5


def test_steps_per_epoch_drops_the_remainder(noise):
    assert [steps_per_epoch(noise, b) for b in (1, 5, 12, 23)] == [23, 4, 1, 1]


@pytest.mark.parametrize('batch_size', [0, 24])
def test_steps_per_epoch_refuses_a_batch_that_cannot_be_filled(noise, batch_size):
    with pytest.raises(DatasetError, match=f'1..23.*got {batch_size}; set it within'):
        steps_per_epoch(noise, batch_size)
