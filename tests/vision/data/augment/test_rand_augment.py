import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageOps
from scipy import ndimage

from vision.data.augment import rand_augment
from vision.data.augment.rand_augment import OPERATIONS

SIDE = 64
STRENGTHS = (-0.9, -0.5, 0.3, 0.9)


@pytest.fixture(scope='module')
def photos() -> np.ndarray:
    """Something like photographs: uint8 [4, 64, 64, 3] without hard edges."""
    noise = np.random.default_rng(0).normal(size=[4, SIDE, SIDE, 3])
    smooth = ndimage.gaussian_filter(noise, [0, 3, 3, 0], mode='wrap')
    levels = smooth / smooth.std() * 30 + [[[[90, 120, 150]]]]
    return np.clip(levels, 10, 240).round().astype(np.uint8)


def apply(name: str, images: np.ndarray, strength: float) -> np.ndarray:
    count = len(images)
    operation = tf.fill([count], OPERATIONS.index(name))
    images = tf.cast(images, tf.float32)
    return rand_augment.apply(images, operation, tf.fill([count], strength)).numpy()


def pillow(function, images: np.ndarray) -> np.ndarray:
    return np.stack([function(Image.fromarray(image)) for image in images]).astype(
        np.float32
    )


def inner(images: np.ndarray, border: int) -> np.ndarray:
    return images[:, border : SIDE - border, border : SIDE - border]


def affine(a: float, b: float, c: float, d: float, e: float, f: float):
    return lambda image: image.transform(
        image.size,
        Image.Transform.AFFINE,
        (a, b, c, d, e, f),
        Image.Resampling.BILINEAR,
    )


def test_identity(photos):
    np.testing.assert_array_equal(apply('identity', photos, 0.9), photos)


# Pillow rounds the gray image and cuts fractions off, so it may be a level lower;
# then what is farther away by a factor of 1.9 may be two.
@pytest.mark.parametrize('strength', STRENGTHS)
@pytest.mark.parametrize(
    'name, enhance',
    [
        ('color', ImageEnhance.Color),
        ('contrast', ImageEnhance.Contrast),
        ('brightness', ImageEnhance.Brightness),
    ],
)
def test_blends_are_pillows_within_two_levels(photos, name, enhance, strength):
    expected = pillow(lambda i: enhance(i).enhance(1 + 0.9 * strength), photos)
    np.testing.assert_allclose(apply(name, photos, strength), expected, atol=2)


@pytest.mark.parametrize('strength', STRENGTHS)
def test_sharpness_is_pillows_within_two_levels(photos, strength):
    expected = pillow(
        lambda i: ImageEnhance.Sharpness(i).enhance(1 + 0.9 * strength), photos
    )
    # Pillow copies the outermost pixels; here they are blurred with themselves.
    np.testing.assert_allclose(
        inner(apply('sharpness', photos, strength), 1), inner(expected, 1), atol=2
    )


@pytest.mark.parametrize('strength', [-1.0, -0.3, 0.0, 0.1, 0.5, 0.9, 1.0])
def test_solarize_and_posterize_are_pillows_exactly(photos, strength):
    threshold = 256 * (1 - abs(strength))
    expected = pillow(lambda i: ImageOps.solarize(i, threshold), photos)
    np.testing.assert_array_equal(apply('solarize', photos, strength), expected)
    bits = 8 - round(4 * abs(strength))
    expected = pillow(lambda i: ImageOps.posterize(i, bits), photos)
    np.testing.assert_array_equal(apply('posterize', photos, strength), expected)


def test_autocontrast_is_pillows_within_a_level(photos):
    out = apply('autocontrast', photos, 0.9)
    np.testing.assert_allclose(out, pillow(ImageOps.autocontrast, photos), atol=1)
    assert (out.min((1, 2)) == 0).all() and (out.max((1, 2)) == 255).all()


def test_equalize_is_pillows_within_a_bin(photos):
    # Pillow counts in steps of a whole number of pixels: of many, or it is far off.
    photos = np.tile(photos, [1, 4, 4, 1])
    out = apply('equalize', photos, 0.9)
    expected = pillow(ImageOps.equalize, photos)
    # Here it is the share of pixels up to a level, Pillow's of those below it.
    largest = max(
        np.bincount(channel.ravel()).max() / channel.size
        for image in photos
        for channel in np.moveaxis(image, -1, 0)
    )
    np.testing.assert_allclose(out, expected, atol=255 * largest + 2)
    for channel in np.moveaxis(out, -1, 0):
        np.testing.assert_allclose(
            np.quantile(channel, np.linspace(0, 1, 9)),
            np.linspace(0, 255, 9),
            atol=255 * largest + 1,
        )


@pytest.mark.parametrize('name', ['autocontrast', 'equalize'])
def test_constant_images_stay_as_they_are(name):
    for level in (0, 7, 255):
        flat = np.full([2, 8, 8, 3], level, np.uint8)
        np.testing.assert_array_equal(apply(name, flat, 0.9), flat)


# What lies outside is a reflection here, black with Pillow: so the interior only.
@pytest.mark.parametrize('strength', STRENGTHS)
def test_geometric_ones_are_pillows_within_a_level(photos, strength):
    shear, reach, half = 0.3 * strength, 0.33 * strength * SIDE, SIDE / 2
    expected = {
        'rotate': lambda i: i.rotate(30 * strength, Image.Resampling.BILINEAR),
        'shear_x': affine(1, shear, -shear * half, 0, 1, 0),
        'shear_y': affine(1, 0, 0, shear, 1, -shear * half),
        'translate_x': affine(1, 0, reach, 0, 1, 0),
        'translate_y': affine(1, 0, 0, 0, 1, reach),
    }
    for name, function in expected.items():
        np.testing.assert_allclose(
            inner(apply(name, photos, strength), 21),
            inner(pillow(function, photos), 21),
            atol=1.01,
            err_msg=name,
        )


@pytest.mark.parametrize('name', OPERATIONS)
def test_strength_zero_does_nothing_but_to_the_histogram(photos, name):
    out = apply(name, photos, 0.0)
    if name in ('autocontrast', 'equalize'):
        assert np.abs(out - photos).max() > 10
    else:
        np.testing.assert_allclose(out, photos, atol=0.01)


@pytest.mark.parametrize('name', OPERATIONS)
def test_results_stay_in_range(name):
    noise = np.random.default_rng(1).integers(0, 256, [2, 16, 16, 3], np.uint8)
    for strength in (-1.0, 1.0):
        out = apply(name, noise, strength)
        assert out.min() >= 0 and out.max() <= 255 and out.shape == noise.shape


def test_each_image_has_an_operation_of_its_own(photos):
    count = len(OPERATIONS)
    images = np.tile(photos[:1], [count, 1, 1, 1])
    out = rand_augment.apply(
        tf.cast(images, tf.float32), tf.range(count), tf.fill([count], 0.5)
    )
    for i, name in enumerate(OPERATIONS):
        np.testing.assert_allclose(out[i], apply(name, photos[:1], 0.5)[0], atol=0.01)


def test_operations_and_directions_are_all_as_likely(monkeypatch):
    seen = []

    def apply_nothing(images, operation, strength):
        seen.append((operation.numpy(), strength.numpy()))
        return images

    monkeypatch.setattr(rand_augment, 'apply', apply_nothing)
    count = 14_000
    rand_augment.rand_augment(
        tf.zeros([count, 1, 1, 3]), tf.range(count, dtype=tf.int64), 3, 7.0
    )
    assert len(seen) == 3
    for operation, strength in seen:
        counts = np.bincount(operation, minlength=14)
        assert len(counts) == 14 and (np.abs(counts - 1000) < 5 * 1000**0.5).all()
        np.testing.assert_allclose(np.abs(strength), 0.7, rtol=1e-6)
        assert abs((strength > 0).mean() - 0.5) < 0.03
    for first, second in (
        (seen[0][0], seen[1][0]),
        (seen[1][0], seen[2][0]),
        (seen[0][0], seen[0][1]),
        (seen[0][1], seen[1][1]),
    ):
        assert abs(np.corrcoef(first, second)[0, 1]) < 5 / count**0.5


def test_layers_are_one_after_the_other(photos):
    images, seeds = tf.cast(photos, tf.float32), tf.range(4, dtype=tf.int64)
    once = rand_augment.rand_augment(images, seeds, 1)
    twice = rand_augment.rand_augment(images, seeds, 2)
    assert not np.array_equal(once, twice)
    np.testing.assert_array_equal(rand_augment.rand_augment(images, seeds, 2), twice)
