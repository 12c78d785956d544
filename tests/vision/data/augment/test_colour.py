import math

import numpy as np
import pytest
import tensorflow as tf

from vision.data.augment import colour, draws

SEEDS = tf.range(400, dtype=tf.int64)
COUNT, SIDE = len(SEEDS), 32


@pytest.fixture(scope='module')
def images() -> tf.Tensor:
    rng = np.random.default_rng(2)
    return tf.constant(rng.uniform(0, 255, [COUNT, SIDE, SIDE, 3]), tf.float32)


@pytest.fixture(scope='module')
def dull(images) -> tf.Tensor:
    """Images far from the ends of the range, where nothing is clipped."""
    return 100 + images / 10


def spread(numbers: np.ndarray, low: float, high: float) -> bool:
    """Whether numbers come near both ends of a range and stay within it."""
    near = 0.02 * (high - low)
    return (
        low - 1e-3 <= numbers.min() < low + near
        and high - near < numbers.max() <= high + 1e-3
    )


def factors(images: tf.Tensor, origin: tf.Tensor, out: tf.Tensor) -> np.ndarray:
    """How much farther from their origin pixels are; one number an image."""
    ratios = ((out - origin) / (images - origin)).numpy()
    ratios = np.where(np.abs(images - origin) > 5, ratios, np.nan)
    assert (np.nanmax(ratios, (1, 2, 3)) - np.nanmin(ratios, (1, 2, 3)) < 1e-3).all()
    return np.nanmean(ratios, (1, 2, 3))


def luminance(images: tf.Tensor) -> tf.Tensor:
    red, green, blue = tf.unstack(images, axis=-1)
    return (0.299 * red + 0.587 * green + 0.114 * blue)[..., tf.newaxis]


def test_brightness_adds_the_same_everywhere(dull):
    added = (colour.brightness(dull, SEEDS, 0.1) - dull).numpy()
    assert np.ptp(added, (1, 2, 3)).max() < 1e-3
    assert spread(added.mean((1, 2, 3)), -25.5, 25.5)


def test_contrast_is_that_of_tensorflow(dull, images):
    means = tf.reduce_mean(dull, [1, 2], keepdims=True)
    drawn = factors(dull, means, colour.contrast(dull, SEEDS, 0.5))
    assert spread(drawn, 0.5, 1.5)
    out = colour.contrast(images, SEEDS, 0.5)
    for i in range(0, COUNT, 50):
        expected = tf.image.adjust_contrast(images[i], drawn[i])
        np.testing.assert_allclose(
            out[i], tf.clip_by_value(expected, 0.0, 255.0), atol=0.01
        )


@pytest.mark.parametrize(
    'function, numbers',
    [
        (colour.brightness, (1.0,)),
        (colour.contrast, (1.0,)),
        (colour.colour_jitter, (1.0, 1.0, 1.0, 0.5)),
        (colour.random_erasing, (1.0, 1.0)),
    ],
)
def test_nothing_leaves_the_range(images, function, numbers):
    out = function(images, SEEDS, *numbers).numpy()
    assert out.dtype == np.float32 and out.shape == images.shape
    assert out.min() >= 0 and out.max() <= 255


@pytest.mark.parametrize(
    'function, numbers',
    [
        (colour.brightness, (0.0,)),
        (colour.contrast, (0.0,)),
        (colour.colour_jitter, (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_a_delta_of_zero_is_the_identity(images, function, numbers):
    np.testing.assert_allclose(function(images, SEEDS, *numbers), images, atol=1e-2)


def test_jitter_scales_brightness(dull):
    out = colour.colour_jitter(dull, SEEDS, 0.4, 0.0, 0.0, 0.0)
    assert spread(factors(dull, tf.zeros([]), out), 0.6, 1.4)


def test_jitter_scales_contrast_about_the_mean_luminance(dull):
    means = tf.reduce_mean(luminance(dull), [1, 2], keepdims=True)
    out = colour.colour_jitter(dull, SEEDS, 0.0, 0.4, 0.0, 0.0)
    assert spread(factors(dull, means + tf.zeros_like(dull), out), 0.6, 1.4)


def test_jitter_blends_with_luminance(dull):
    gray = luminance(dull) + tf.zeros_like(dull)
    out = colour.colour_jitter(dull, SEEDS, 0.0, 0.0, 0.4, 0.0)
    assert spread(factors(dull, gray, out), 0.6, 1.4)


def test_jitter_turns_the_hue_by_its_share_of_a_turn(dull):
    # Of a colour in the plane across the gray axis, by the angle between old and new.
    def across(images: tf.Tensor) -> np.ndarray:
        red, green, blue = np.moveaxis(images[:, 0, 0].numpy(), -1, 0)
        return red + green * np.exp(2j / 3 * np.pi) + blue * np.exp(-2j / 3 * np.pi)

    out = colour.colour_jitter(dull, SEEDS, 0.0, 0.0, 0.0, 0.1)
    assert spread(np.angle(across(out) / across(dull)) / (2 * np.pi), -0.1, 0.1)


@pytest.mark.parametrize(
    'turns, roll', [(0, 0), (1, 0), (-1, 0), (1 / 3, 1), (2 / 3, 2), (-1 / 3, -1)]
)
def test_a_third_of_a_turn_makes_red_green_and_green_blue(images, turns, roll):
    angles = tf.fill([COUNT], 2 * math.pi * turns)
    np.testing.assert_allclose(
        colour.turn_hue(images, angles), tf.roll(images, roll, -1), atol=1e-2
    )


def test_gray_has_no_hue_to_turn(images):
    gray = tf.tile(images[..., :1], [1, 1, 1, 3])
    angles = draws.uniform(SEEDS, -4.0, 4.0)
    np.testing.assert_allclose(colour.turn_hue(gray, angles), gray, atol=1e-2)


def test_turning_keeps_the_mean_of_the_channels(dull):
    out = colour.turn_hue(dull, draws.uniform(SEEDS, -4.0, 4.0))
    np.testing.assert_allclose(
        tf.reduce_mean(out, -1), tf.reduce_mean(dull, -1), atol=1e-2
    )


def erased(images: tf.Tensor, *numbers: float) -> np.ndarray:
    """Where pixels changed, [B, H, W]: where none is as it was, since noise is not."""
    out = colour.random_erasing(images, SEEDS, *numbers).numpy()
    return (out != images.numpy()).any(-1)


def sides(changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Heights and widths of what changed, after a look that these are rectangles."""
    rows, columns = changed.any(2), changed.any(1)
    np.testing.assert_array_equal(rows[:, :, None] & columns[:, None, :], changed)
    for line in (rows, columns):  # Without gaps: at most one end within the image.
        assert (
            np.abs(np.diff(np.pad(line, [[0, 0], [1, 1]]).astype(int))).sum(1) <= 2
        ).all()
    return rows.sum(1), columns.sum(1)


@pytest.mark.parametrize('chance', [0.0, 0.25, 0.5, 1.0])
def test_erasing_happens_as_often_as_it_should(images, chance):
    share = erased(images, chance).any((1, 2)).mean()
    assert abs(share - chance) <= 4 * (chance * (1 - chance) / COUNT) ** 0.5


@pytest.mark.parametrize('max_area', [0.05, 0.33, 1.0])
def test_erased_rectangles_are_within_their_bounds(images, max_area):
    height, width = sides(erased(images, 1.0, max_area))
    # Sides are rounded, by up to half a pixel each, and end at the image's.
    cut = (height == SIDE) | (width == SIDE)
    area, outer = (height - 0.5) * (width - 0.5), (height + 0.5) * (width + 0.5)
    assert (area <= max_area * SIDE**2).all()
    assert ((outer >= 0.02 * SIDE**2) | cut).all()
    assert (((height - 0.5) * 0.3 <= width + 0.5) | cut).all()
    assert (((width - 0.5) * 0.3 <= height + 0.5) | cut).all()
    assert (height * width).max() > 0.8 * max_area * SIDE**2
    assert (height > width).any() and (width > height).any()


def test_no_area_erases_nothing(images):
    assert not erased(images, 1.0, 0.0).any()


def test_erased_rectangles_lie_anywhere(images):
    changed = erased(images, 1.0)
    assert changed.any(0).all()
    assert not changed.all(0).any()


def test_erasing_fills_with_noise_of_each_images_own(images):
    same = tf.tile(images[:1], [COUNT, 1, 1, 1])
    out = colour.random_erasing(same, SEEDS, 1.0, 1.0).numpy()
    changed = (out != same.numpy()).any(-1)
    noise = out[changed]
    assert len(np.unique(noise)) > 0.9 * noise.size
    assert abs(noise.mean() - 127.5) < 1 and abs(noise.std() - 255 / 12**0.5) < 1
    both = changed[0] & changed[1:]
    for other, overlap in zip(out[1:], both):
        assert (other[overlap] != out[0][overlap]).all()


@pytest.mark.parametrize(
    'function',
    [colour.brightness, colour.contrast, colour.colour_jitter, colour.random_erasing],
)
def test_a_seed_does_the_same_in_any_batch(images, function):
    out = function(images, SEEDS)
    np.testing.assert_array_equal(function(images, SEEDS), out)
    np.testing.assert_allclose(function(images[7:9], SEEDS[7:9]), out[7:9], atol=1e-3)
    assert not np.array_equal(function(images, SEEDS + COUNT), out)


@pytest.mark.parametrize('width, height', [(0.5, 0.25), (1.0, 0.1), (3.0, 0.5)])
def test_rectangles_have_the_extent_and_lie_anywhere(width, height):
    count = 4000
    inside = colour.rectangle(
        tf.range(count, dtype=tf.int64),
        tf.TensorShape([count, 8, SIDE, 3]),
        tf.fill([count], width),
        tf.fill([count], height),
    ).numpy()
    assert inside.shape == (count, 8, SIDE, 1)
    rows, columns = sides(inside[..., 0])
    assert set(rows) == {round(8 * height)}
    assert set(columns) == {min(round(SIDE * width), SIDE)}
    assert inside.any(0).all()
