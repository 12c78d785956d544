import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from augmentations import augmentation

from vision.data import (
    DatasetError,
    FileSplit,
    Split,
    decode_to_disk,
    decode_to_memory,
    eval_batches,
    pipeline,
    steps_per_epoch,
    train_batches,
)
from vision.data.augment import Augmentation, Augmenter
from vision.data.decoding import decode

# Takes a third of the time of ALL to compile.
FEW = ('random_resized_crop', 'rotate', 'brightness', 'mixup')
NO_MIXING = ('random_resized_crop', 'brightness')
ALL = (
    'random_resized_crop',
    'flip',
    'rotate',
    'colour_jitter',
    'random_erasing',
    'mixup',
)
NO_CROP = ('flip', 'rotate', 'cutmix')

_shared = functools.cache(Augmenter)


@pytest.fixture(autouse=True)
def compile_once(monkeypatch):
    """One augmenter of each kind and no graph optimizer: these take too long."""
    monkeypatch.setattr(pipeline, 'Augmenter', _shared)
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
    yield
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})


def _list(dataset: tf.data.Dataset) -> list:
    return list(dataset.as_numpy_iterator())


def _assert_same(first: list, second: list):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        for x, y in zip(a, b):
            np.testing.assert_array_equal(x, y)


@pytest.fixture
def counting(noise):
    """Images that show their own index: flat grey i, label 0."""
    images = np.arange(23, dtype=np.uint8)[:, None, None, None]
    return dataclasses.replace(noise, images=np.tile(images, [1, 8, 8, 3]))


def _order(counting, **options) -> np.ndarray:
    """The index of each example, [steps, B]."""
    batches = train_batches(counting, batch_size=5, image_size=8, **options)
    return np.stack([b.images[:, 0, 0, 0] for b in _list(batches)])


@pytest.fixture(scope='module')
def fixed(noise, tmp_path_factory) -> Split:
    """The noise in PNG files that are known to be squares of 24 pixels."""
    folder = tmp_path_factory.mktemp('fixed')
    paths = [str(folder / f'{i}.png') for i in range(len(noise))]
    for path, image in zip(paths, noise.images):
        tf.io.write_file(path, tf.io.encode_png(image))
    return FileSplit(noise.labels, noise.names, paths=paths, side=24)


@pytest.fixture(scope='module')
def jpegs(tmp_path_factory) -> Split:
    """17 JPEG files of different sizes."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp('jpegs')
    paths = [str(folder / f'{i}.jpg') for i in range(17)]
    for path in paths:
        coarse = rng.uniform(0, 255, [6, 8, 3])
        image = tf.image.resize(coarse, rng.integers(18, 90, 2))
        tf.io.write_file(path, tf.io.encode_jpeg(tf.cast(image, tf.uint8)))
    labels = (np.arange(17) % 3).astype(np.int32)
    return FileSplit(labels, [f'jpeg/{i}' for i in range(17)], paths=paths)


@functools.cache
def _parsed(specs: tuple[str, ...]) -> tuple[Augmentation, ...]:
    return tuple(augmentation(spec) for spec in specs)


def _train(split: Split, augment: tuple[str, ...] = (), **options) -> list:
    options = dict(batch_size=5, image_size=20, seed=3, end_step=9) | options
    return _list(train_batches(split, augment=_parsed(augment), **options))


@pytest.fixture(scope='module')
def whole(noise, fixed, jpegs):
    """Makes `(where, augment) -> batches` of steps 0..8, once for all tests."""
    splits = {'noise': noise, 'fixed': fixed, 'jpegs': jpegs}
    return functools.cache(lambda where, augment=(): _train(splits[where], augment))


def _slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    'where, augment',
    [
        ('noise', ()),
        ('noise', FEW),
        ('noise', NO_CROP),
        # The test below has jpegs and the list ALL, in other graphs besides.
        _slow('fixed', NO_CROP),
    ],
)
def test_any_start_step_gives_the_same_bits(where, augment, whole, request):
    split = request.getfixturevalue(where)
    for start in (1, 7) if where == 'noise' else (4,):
        _assert_same(
            _train(split, augment, start_step=start), whole(where, augment)[start:]
        )


@pytest.mark.parametrize('where, augment', [('jpegs', FEW), _slow('noise', ALL)])
def test_a_run_that_compiles_and_optimizes_anew_gives_the_same_bits(
    where, augment, whole, monkeypatch, request
):
    expected = whole(where, augment)[5:]
    monkeypatch.setattr(pipeline, 'Augmenter', Augmenter)
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})
    split = request.getfixturevalue(where)
    _assert_same(_train(split, augment, start_step=5), expected)


# Every thread makes the graph ready for itself, which is what takes the time.
@pytest.mark.parametrize(
    'where, augment, counts',
    [
        ('noise', FEW, (1, 4)),
        ('jpegs', FEW, (1, 4)),
        *(_slow(where, ALL, (1, 2, 8)) for where in ('fixed', 'jpegs')),
    ],
)
def test_the_bits_do_not_depend_on_the_parallelism(where, augment, counts, request):
    batches = train_batches(
        request.getfixturevalue(where),
        batch_size=5,
        image_size=20,
        seed=3,
        augment=_parsed(augment),
        end_step=12,
    )
    expected = None
    for threads in counts:
        options = tf.data.Options()
        options.threading.private_threadpool_size = threads
        options.autotune.enabled = threads > 1
        batches_again = _list(batches.with_options(options))
        expected = expected or batches_again
        _assert_same(batches_again, expected)


@pytest.mark.parametrize('augment', [(), FEW, NO_CROP, _slow(ALL)])
def test_memory_and_files_give_the_same_batches(whole, augment):
    _assert_same(whole('noise', augment), whole('fixed', augment))


def test_memory_and_files_give_the_same_batches_of_smaller_images(noise, fixed):
    # Each image is cropped by itself: whole batches are not antialiased.
    _assert_same(
        *(
            _train(split, NO_MIXING, image_size=11, end_step=5)
            for split in (noise, fixed)
        )
    )


@pytest.mark.parametrize(
    'where, side, lists, decoder',
    [
        ('fixed', 24, (FEW, NO_CROP), 'memory'),
        # Images of the network's size have no full resolution left to crop from.
        ('jpegs', 20, (NO_CROP,), 'memory'),
        ('fixed', 24, (NO_CROP,), 'disk'),
        _slow('fixed', 24, ((), ALL), 'memory'),
        _slow('fixed', 20, ((), NO_CROP), 'memory'),
        _slow('jpegs', 20, ((), NO_CROP), 'disk'),
    ],
)
def test_decoded_before_or_not_gives_the_same_bits(
    where, side, lists, decoder, whole, request, tmp_path
):
    split = request.getfixturevalue(where)
    decoded = (
        decode_to_memory(split, side)
        if decoder == 'memory'
        else decode_to_disk(split, side, tmp_path)
    )
    for augment in lists:
        _assert_same(_train(decoded, augment), whole(where, augment))
    evaluated, expected = (
        _list(eval_batches(s, batch_size=5, image_size=20)) for s in (decoded, split)
    )
    _assert_same(evaluated, expected)


def test_partners_and_shares_are_there_where_images_are_mixed(noise, whole):
    for batch in _train(noise, NO_MIXING) + whole('noise'):
        assert len(batch) == 5 and batch.partners is None and batch.shares is None
    for batch in whole('noise', FEW) + whole('noise', NO_CROP):
        np.testing.assert_array_equal(batch.partners, np.roll(batch.labels, 1))
        assert batch.partners.dtype == np.int32 and batch.shares.dtype == np.float32
        assert (batch.shares >= 0.5).all() and (batch.shares <= 1).all()


def test_shares_say_how_much_of_an_image_is_its_own(noise):
    # Images of all 0 and all 255, so that a mean is a share.
    black_and_white = np.zeros_like(noise.images)
    black_and_white[::2] = 255
    split = dataclasses.replace(noise, images=black_and_white)
    for mix in ('mixup:1', 'cutmix'):
        for batch in _train(split, (mix,), image_size=24, shuffle=False, end_step=2):
            values = batch.images.mean((1, 2, 3)) / 255
            own = np.arange(5) % 2 == (0 if values[0] > 0.5 else 1)
            of_partners = np.roll(own, 1)
            np.testing.assert_allclose(
                values,
                batch.shares * own + (1 - batch.shares) * of_partners,
                atol=0.003,
            )


def test_each_epoch_is_a_permutation_of_its_own(noise, counting):
    # 23 images, all but three of them in each epoch of four batches.
    epochs = _order(counting, seed=0, end_step=40).reshape(10, 20)
    assert all(len(set(epoch)) == 20 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 10
    assert set(epochs.ravel()) == set(range(23))
    exact = train_batches(counting, batch_size=23, image_size=8, seed=0, end_step=3)
    for batch in _list(exact):
        assert set(batch.images[:, 0, 0, 0]) == set(range(23))


def test_labels_follow_their_images(counting):
    for batch in _list(
        train_batches(counting, batch_size=5, image_size=8, seed=0, end_step=8)
    ):
        np.testing.assert_array_equal(batch.labels, batch.images[:, 0, 0, 0] % 3)
        assert batch.labels.dtype == np.int32
        np.testing.assert_array_equal(batch.sample_weights, np.ones(5, np.float32))


def test_the_seed_decides_order_and_augmentation(noise):

    def first(seed, shuffle):
        return _list(
            train_batches(
                noise,
                batch_size=5,
                image_size=24,
                seed=seed,
                augment=(Augmentation('brightness'),),
                shuffle=shuffle,
                end_step=1,
            )
        )[0].images

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
        train_batches(
            noise,
            batch_size=23,
            image_size=24,
            seed=0,
            augment=(Augmentation('brightness'),),
            shuffle=False,
            end_step=2,
        )
    )
    changed = (batches[0].images != batches[1].images).any((1, 2, 3))
    assert changed.all()


def test_augmentation_does_not_depend_on_the_batch_size(noise):
    small = _train(noise, NO_MIXING, batch_size=5, end_step=4, shuffle=False)
    large = _train(noise, NO_MIXING, batch_size=20, end_step=1, shuffle=False)
    images = np.concatenate([b.images for b in small]).astype(int)
    np.testing.assert_allclose(images, large[0].images, atol=1)


def test_augmentation_does_not_depend_on_the_place_in_the_epoch(noise):
    options = dict(augment=('brightness',), batch_size=23, image_size=24, end_step=1)
    ordered = _train(noise, shuffle=False, **options)[0]
    shuffled = _train(noise, shuffle=True, **options)[0]
    assert not np.array_equal(shuffled.images, ordered.images)
    assert {image.tobytes() for image in shuffled.images} == {
        image.tobytes() for image in ordered.images
    }


@pytest.mark.parametrize(
    'where, augment',
    [
        ('noise', ()),
        ('noise', FEW),
        ('fixed', ()),
        ('jpegs', FEW),
        _slow('noise', ALL),
        _slow('fixed', ALL),
        _slow('jpegs', ()),
        _slow('jpegs', ALL),
    ],
)
def test_batches_have_static_shapes(where, augment, request):
    split = request.getfixturevalue(where)
    train = train_batches(
        split, batch_size=5, image_size=20, seed=0, augment=_parsed(augment), end_step=1
    )
    for batches in (train, eval_batches(split, batch_size=5, image_size=20)):
        spec = batches.element_spec
        assert spec.images == tf.TensorSpec([5, 20, 20, 3], tf.uint8)
        assert spec.labels == tf.TensorSpec([5], tf.int32)
        assert spec.sample_weights == tf.TensorSpec([5], tf.float32)
    if augment:
        assert train.element_spec.partners == tf.TensorSpec([5], tf.int32)
        assert train.element_spec.shares == tf.TensorSpec([5], tf.float32)


@pytest.mark.parametrize('batch_size', [1, 5, 23, 40])
def test_evaluation_counts_every_image_once_in_order(noise, batch_size):
    batches = _list(eval_batches(noise, batch_size=batch_size, image_size=24))
    images, labels, weights = (
        np.concatenate([getattr(b, name) for b in batches])
        for name in ('images', 'labels', 'sample_weights')
    )
    assert weights.sum() == 23 and all(len(b.labels) == batch_size for b in batches)
    np.testing.assert_array_equal(images[weights == 1], noise.images)
    np.testing.assert_array_equal(labels[weights == 1], noise.labels)
    np.testing.assert_array_equal(np.flatnonzero(weights), np.arange(23))


def test_evaluation_fits_the_images_and_keeps_their_weights(noise):
    weights = np.ones(23, np.float32)
    weights[4] = 0
    split = dataclasses.replace(noise, sample_weights=weights)
    batch = _list(eval_batches(split, batch_size=23, image_size=16))[0]
    np.testing.assert_array_equal(batch.sample_weights, weights)
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
