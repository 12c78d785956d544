import functools
import io

import numpy as np
import pytest
import tensorflow as tf
from augmentations import augmentation
from PIL import Image
from scipy import ndimage

from vision.data.augment import (
    AUGMENTATIONS,
    MIXING,
    Augmentation,
    Augmenter,
    colour,
    draws,
    geometry,
    mixing,
)
from vision.data.decoding import decode
from vision.errors import UserError

SIDE, COUNT = 24, 8
SEEDS = tf.range(COUNT, dtype=tf.int64)
WEIGHTS = tf.ones([COUNT])


@pytest.fixture(scope='module')
def images() -> tf.Tensor:
    rng = np.random.default_rng(2)
    return tf.constant(rng.integers(0, 256, [COUNT, SIDE, SIDE, 3], np.uint8))


@functools.cache
def augmenter(*specs: str, size: int = SIDE) -> Augmenter:
    """One for all tests, so that it is compiled once."""
    return Augmenter([augmentation(spec) for spec in specs], size)


@functools.cache
def decoder(augmenter: Augmenter) -> tf.types.experimental.PolymorphicFunction:
    """`(contents, seed) -> image`, traced, which pays from ten images on."""
    types = [tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)]
    return tf.function(augmenter.decode, types, autograph=False)


def prepare(augmenter: Augmenter, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """One image, cropped or fitted."""
    return augmenter.decode(tf.io.encode_png(image), seed)


@pytest.fixture
def eager():
    """What is compiled is computed step by step."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def augmented(images: tf.Tensor, *specs: str, seeds: tf.Tensor = SEEDS) -> np.ndarray:
    return augmenter(*specs)(images, seeds, WEIGHTS)[0].numpy()


def assert_close(actual: tf.Tensor, expected: tf.Tensor, levels: int = 1):
    """Compares uint8 images."""
    np.testing.assert_allclose(actual.numpy().astype(int), expected, atol=levels)


# Of each kind one that is quick to compile; `eager` runs the others in the fast tests.
COMPILED = [
    name if name in ('rotate', 'contrast', 'mixup') else slow(name)
    for name in AUGMENTATIONS
]


@pytest.mark.usefixtures('eager')
@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_images_are_uint8_of_the_size_and_change_with_the_seed(name, images):
    assert_uint8_that_change_with_the_seed(name, images)


@pytest.mark.parametrize('name', COMPILED)
def test_compiled_images_are_uint8_of_the_size_and_change_with_the_seed(name, images):
    assert_uint8_that_change_with_the_seed(name, images)


def assert_uint8_that_change_with_the_seed(name: str, images: tf.Tensor):
    out, shares = augmenter(name)(images, SEEDS, WEIGHTS)
    assert out.dtype == tf.uint8 and out.shape == [COUNT, SIDE, SIDE, 3]
    assert (shares is not None) is (name in MIXING)
    if shares is not None:
        assert shares.dtype == tf.float32 and shares.shape == [COUNT]
    assert not np.array_equal(out, images)
    np.testing.assert_array_equal(augmented(images, name), out)
    assert not np.array_equal(augmented(images, name, seeds=SEEDS + 100), out)


@pytest.mark.parametrize('name', COMPILED)
def test_compiled_is_what_it_is_eagerly(name, images, request):
    arguments = [(images, seeds, WEIGHTS) for seeds in (SEEDS, SEEDS + 100)]
    compiled = [augmenter(name)(*batch) for batch in arguments]
    request.getfixturevalue('eager')
    for (out, shares), batch in zip(compiled, arguments):
        expected, expected_shares = augmenter(name)(*batch)
        assert_close(out, expected)
        if shares is not None:
            np.testing.assert_allclose(shares, expected_shares, atol=1e-6)


@pytest.mark.usefixtures('eager')
@pytest.mark.parametrize('name', [name for name in AUGMENTATIONS if name not in MIXING])
def test_an_image_is_the_same_at_any_place_of_a_batch(name, images):
    turned = augmented(tf.reverse(images, [0]), name, seeds=tf.reverse(SEEDS, [0]))
    assert_close(tf.constant(turned[::-1]), augmented(images, name))


def test_no_specs_return_the_very_same_tensor(images):
    out, shares = Augmenter((), SIDE)(images, SEEDS, WEIGHTS)
    assert out is images and shares is None
    # Nor does anything follow a crop that `prepare` has made.
    out, shares = augmenter('random_resized_crop')(images, SEEDS, WEIGHTS, True)
    assert out is images and shares is None


def own_seeds(count: int) -> list[tf.Tensor]:
    return draws.split(SEEDS, count)


def test_steps_go_in_order_each_with_a_seed_of_its_own(images):
    first, second, third, fourth = own_seeds(4)
    out = tf.cast(images, tf.float32)
    out = geometry.warp(out, geometry.flip(first, SIDE, SIDE))
    out = colour.brightness(out, second, 0.5)
    out = geometry.warp(out, geometry.rotate(third, SIDE, SIDE))
    out = colour.contrast(out, fourth, 0.5)
    actual = augmented(images, 'flip', 'brightness:0.5', 'rotate', 'contrast:0.5')
    assert_close(tf.constant(actual), decode.to_uint8(out))


@pytest.mark.usefixtures('eager')
@pytest.mark.parametrize(
    'specs, functions',
    [
        (('rotate', 'shift'), (geometry.rotate, geometry.shift)),
        (('shift', 'rotate'), (geometry.shift, geometry.rotate)),
    ],
)
def test_neighbours_that_move_are_one_map(images, specs, functions):
    first, second = (
        move(own, SIDE, SIDE) for move, own in zip(functions, own_seeds(2))
    )
    once = geometry.warp(images, first.then(second))
    assert_close(tf.constant(augmented(images, *specs)), once)
    other = geometry.warp(images, second.then(first))
    assert np.abs(other.numpy().astype(int) - once).max() > 20


@pytest.mark.usefixtures('eager')
def test_a_step_counts_twice_when_it_is_listed_twice(images):
    many = tf.range(64, dtype=tf.int64)
    tiled = tf.tile(images[:1], [64, 1, 1, 1])
    out, _ = augmenter('flip', 'flip')(tiled, many, tf.ones([64]))
    unchanged = np.all(out == tiled, (1, 2, 3)).sum()
    assert 16 < unchanged < 48  # With one seed for both it would be all of them.


def test_numbers_in_pixels_are_those_of_the_result():
    augment = augmenter('pad_crop:4', size=16)
    image = tf.reshape(tf.range(32 * 32 * 3) % 251, [32, 32, 3])
    image = tf.cast(image, tf.uint8)
    assert prepare(augment, image, SEEDS[0]).shape == [16, 16, 3]
    np.testing.assert_array_equal(
        prepare(augment, image, SEEDS[0]), decode.fit(image, 16)
    )


@pytest.mark.parametrize(
    'specs, side, whole',
    [
        ((), 24, True),
        ((), 25, False),
        (('flip', 'rotate'), 24, True),
        (('flip', 'rotate'), 48, False),
        (('random_resized_crop',), 20, True),
        (('random_resized_crop', 'flip'), 48, True),
        (('random_resized_crop', 'flip'), 49, False),
        (('flip', 'random_resized_crop'), 48, False),
    ],
)
def test_whole_batches_will_do_where_nothing_is_antialiased(specs, side, whole):
    assert augmenter(*specs)._takes(side, side) is whole
    assert not augmenter(*specs)._takes(side, side - 1)
    assert augmenter(*specs).crops is (specs[:1] == ('random_resized_crop',))


def test_a_first_crop_is_from_the_full_resolution_also_of_whole_batches():
    rng = np.random.default_rng(3)
    large = rng.integers(0, 256, [COUNT, 40, 40, 3], np.uint8)
    out = augmenter('random_resized_crop:0.3', 'flip')(large, SEEDS, WEIGHTS)[0]
    crop, flip = own_seeds(2)
    affine = geometry.random_resized_crop(crop, 40, SIDE, 0.3)
    expected = geometry.warp(
        tf.constant(large), affine.then(geometry.flip(flip, SIDE, SIDE))
    )
    assert_close(out, expected)
    # What was resized before has lost the stripes.
    stripes = np.zeros([80, 80, 3], np.uint8)
    stripes[:, ::2] = 255
    image = tf.constant(stripes)
    cropped = [prepare(augmenter('random_resized_crop:0.05'), image, s) for s in SEEDS]
    assert max(map(np.std, cropped)) > 60 > np.std(decode.fit(image, SIDE))


def test_whole_batches_are_cropped_as_single_images_but_at_the_border():
    smooth = tf.constant(photo(40, 40))
    augment = augmenter('random_resized_crop:0.3', 'flip')
    whole = augment(tf.tile(smooth[tf.newaxis], [COUNT, 1, 1, 1]), SEEDS, WEIGHTS)[0]
    prepared = tf.stack([prepare(augment, smooth, seed) for seed in SEEDS])
    single = augment(prepared, SEEDS, WEIGHTS, prepared=True)[0]
    assert_close(whole[:, 2:-2, 2:-2], single[:, 2:-2, 2:-2])


def photo(height: int, width: int) -> np.ndarray:
    """Something like a photograph: uint8 [height, width, 3] without hard edges."""
    noise = np.random.default_rng(0).normal(size=[height, width, 3])
    smooth = ndimage.gaussian_filter(noise, [3, 3, 0])
    return np.clip(120 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, subsampling: int) -> tf.Tensor:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'JPEG', quality=95, subsampling=subsampling)
    return tf.constant(stream.getvalue())


@functools.cache
def cropper(count: int, *numbers: float) -> tf.types.experimental.PolymorphicFunction:
    """`(image, seed) -> image`, cropped by the first of `count` augmentations."""

    def crop(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        height, width, _ = tf.unstack(tf.shape(image))
        own = draws.split(seed, count)[0]
        window = geometry.crop_window(own, height, width, *numbers)
        top, left, rows, columns = tf.unstack(window)
        return decode.resize(image[top : top + rows, left : left + columns], SIDE)

    types = [tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([], tf.int64)]
    return tf.function(crop, types, autograph=False)


# A crop, and the numbers that it stands for.
CROPS = pytest.mark.parametrize(
    'specs, numbers',
    [
        (('random_resized_crop', 'flip'), (0.08, 4 / 3)),
        (('random_resized_crop:0.3:2',), (0.3, 2)),
    ],
)


@pytest.mark.parametrize('height, width', [(70, 100), (90, 33), (300, 200), (20, 20)])
@CROPS
def test_a_crop_of_a_jpeg_is_that_of_its_image(specs, numbers, height, width):
    whole, halved = (jpeg(photo(height, width), s) for s in (0, 2))
    cropped = decoder(augmenter(*specs))
    expected = cropper(len(specs), *numbers)
    for seed in SEEDS:
        np.testing.assert_array_equal(
            cropped(whole, seed), expected(decode.decode_traced(whole), seed)
        )
        # Colour of half the resolution is interpolated up to a crop's sides only.
        np.testing.assert_array_equal(
            cropped(halved, seed)[:, 3:-3],
            expected(decode.decode_traced(halved), seed)[:, 3:-3],
        )


@CROPS
def test_a_crop_of_another_file_is_that_of_its_image(specs, numbers):
    image = tf.constant(photo(70, 100))
    cropped = decoder(augmenter(*specs))
    for seed in SEEDS:
        np.testing.assert_array_equal(
            cropped(tf.io.encode_png(image), seed),
            cropper(len(specs), *numbers)(image, seed),
        )


def test_without_a_crop_contents_are_fitted():
    image = tf.constant(photo(40, 30))
    out = augmenter('flip').decode(tf.io.encode_png(image), SEEDS[0])
    np.testing.assert_array_equal(out, decode.fit(image, SIDE))


@pytest.mark.parametrize('name', MIXING)
def test_what_is_mixed_with_a_bad_image_stays_whole(name, images):
    weights = tf.constant([1.0, 0, 1, 1, 0, 0, 1, 0])
    bad_partner = np.roll(weights, 1) == 0
    out, shares = augmenter(name)(images, SEEDS, weights)
    all_out, all_shares = augmenter(name)(images, SEEDS, WEIGHTS)
    np.testing.assert_array_equal(out.numpy()[bad_partner], images.numpy()[bad_partner])
    np.testing.assert_array_equal(shares.numpy()[bad_partner], 1)
    for some, everything in ((out, all_out), (shares, all_shares)):
        np.testing.assert_array_equal(
            some.numpy()[~bad_partner], everything.numpy()[~bad_partner]
        )


@pytest.mark.usefixtures('eager')
def test_images_are_mixed_when_they_are_finished(images):
    first, second = own_seeds(2)
    bright = colour.brightness(tf.cast(images, tf.float32), first, 0.5)
    expected, expected_shares = mixing.mixup(bright, second, 1.0)
    out, shares = augmenter('brightness:0.5', 'mixup:1')(images, SEEDS, WEIGHTS)
    assert_close(out, decode.to_uint8(expected))
    np.testing.assert_allclose(shares, expected_shares, atol=1e-6)


@pytest.mark.usefixtures('eager')
@pytest.mark.parametrize(
    'specs',
    [('flip', 'mixup'), ('cutmix',), ('random_resized_crop', 'flip', 'cutmix:0.5')],
)
def test_mixing_may_come_last(specs, images):
    _, shares = augmenter(*specs)(images, SEEDS, WEIGHTS)
    assert shares is not None


@pytest.mark.parametrize(
    'specs, named',
    [
        (('mixup', 'flip'), 'mixup'),
        (('flip', 'cutmix:0.5', 'brightness'), 'cutmix'),
        (('mixup', 'cutmix'), 'mixup'),
    ],
)
def test_mixing_before_the_end_is_refused(specs, named):
    with pytest.raises(UserError) as error:
        augmenter(*specs)
    assert str(error.value) == (
        f'Expected {named}, which mixes images, as the last augmentation; received '
        f'{",".join(specs)}.'
    )
    assert error.value.parameters == ('augment',)


@pytest.mark.parametrize(
    'augmentation, message',
    [
        (
            Augmentation('flop'),
            "an augmentation of .*; received 'flop'. Did you mean fl",
        ),
        (Augmentation('rotate', (181,)), 'a number in 0..180; received 181.'),
    ],
)
def test_an_augmentation_that_does_not_exist_is_refused(augmentation, message):
    with pytest.raises(UserError, match=message):
        Augmenter([Augmentation('flip'), augmentation], SIDE)
