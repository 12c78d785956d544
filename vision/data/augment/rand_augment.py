"""RandAugment (Cubuk et al. 2019, arXiv:1909.13719), on a whole batch at once.

Every operation is one of four: a table of new values for each channel, a distance to
the gray image, one to the blurred image, or an affine map. Each image draws one
operation; the others leave the image unchanged.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from vision.data.augment import colour, draws, geometry

_LEVELS = 10.0  # The magnitude at which an operation is as strong as it gets.
_FACTOR = 0.9  # Blends move by 1 - 0.9 .. 1 + 0.9,
_ANGLE = math.radians(30)
_SHEAR = 0.3
_TRANSLATE = 0.33  # of the side,
_POSTERIZE = 4.0  # bits fewer.

OPERATIONS = (
    'identity',
    'autocontrast',
    'equalize',
    'rotate',
    'solarize',
    'color',
    'posterize',
    'contrast',
    'brightness',
    'sharpness',
    'shear_x',
    'shear_y',
    'translate_x',
    'translate_y',
)


def rand_augment(
    images: tf.Tensor, seeds: tf.Tensor, layers: int = 2, magnitude: float = 9.0
) -> tf.Tensor:
    """Applies `layers` of the paper's 14 operations, each at `magnitude` of 10.

    Operations with a direction take either one, half of the time.
    """
    for layer_seeds in draws.split(seeds, layers):
        for_operation, for_sign = draws.split(layer_seeds, 2)
        operation = draws.integers(for_operation, len(OPERATIONS))
        sign = tf.where(draws.uniform(for_sign) < 0.5, -1.0, 1.0)
        images = apply(images, operation, magnitude / _LEVELS * sign)
    return images


def apply(images: tf.Tensor, operation: tf.Tensor, strength: tf.Tensor) -> tf.Tensor:
    """Applies one operation to each image.

    Args:
        images: float32 [B, S, S, 3] in 0..255; the result too.
        operation: int32 [B], an index of OPERATIONS.
        strength: float32 [B] in -1..1; the sign only matters where there is a
            direction.
    """

    def chosen(name: str) -> tf.Tensor:
        return tf.equal(operation, OPERATIONS.index(name))

    def where(name: str, value: tf.Tensor, otherwise: float) -> tf.Tensor:
        return tf.where(chosen(name), value, otherwise)

    images = _look_up(images, _tables(images, chosen, strength))
    factor = 1 + _FACTOR * strength
    gray = colour.luminance(images)
    images = colour.blend(gray, images, where('color', factor, 1.0))
    means = tf.reduce_mean(gray, [1, 2], keepdims=True)
    images = colour.blend(means, images, where('contrast', factor, 1.0))
    images = colour.blend(_blur(images), images, where('sharpness', factor, 1.0))
    side = images.shape[1]
    turned = geometry.rotation(where('rotate', strength * _ANGLE, 0.0), side)
    ones = tf.ones_like(strength)
    sheared = geometry.linear(
        ones,
        where('shear_x', strength * _SHEAR, 0.0),
        where('shear_y', strength * _SHEAR, 0.0),
        ones,
        side,
    )
    offset = tf.stack(
        [
            where(name, strength * _TRANSLATE * side, 0.0)
            for name in ('translate_x', 'translate_y')
        ],
        1,
    )
    return geometry.warp(images, turned.then(sheared)._replace(offset=offset))


def _tables(
    images: tf.Tensor, chosen: Callable[[str], tf.Tensor], strength: tf.Tensor
) -> tf.Tensor:
    """New values of 0..255 in each channel of each image; float32 [B, 3, 256]."""
    values = tf.range(256, dtype=tf.float32)
    level = tf.abs(strength)[:, tf.newaxis, tf.newaxis]
    signed = strength[:, tf.newaxis, tf.newaxis]
    step = 2 ** tf.round(_POSTERIZE * level)
    tables = values + tf.zeros([images.shape[0], 3, 1])
    for name, table in {
        'autocontrast': _autocontrast(images, values),
        'equalize': _equalize(images, values),
        'solarize': tf.where(values < 256 * (1 - level), values, 255 - values),
        'posterize': tf.floor(values / step) * step,
        'brightness': values * (1 + _FACTOR * signed),
    }.items():
        tables = tf.where(chosen(name)[:, tf.newaxis, tf.newaxis], table, tables)
    return tf.clip_by_value(tables, 0.0, 255.0)


def _autocontrast(images: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0..255."""
    low = tf.reduce_min(images, [1, 2])[..., tf.newaxis]
    high = tf.reduce_max(images, [1, 2])[..., tf.newaxis]
    stretched = (values - low) * 255 / tf.maximum(high - low, 1.0)
    return tf.where(high > low, stretched, values)


def _equalize(images: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Makes each channel's histogram flat."""
    count, height, width, channels = images.shape
    pixels = tf.reshape(_level(images), [count, height * width, channels])
    cells = tf.reshape(tf.range(count * channels) * 256, [count, 1, channels]) + pixels
    histogram = tf.math.unsorted_segment_sum(
        tf.ones_like(cells, tf.float32), cells, count * channels * 256
    )
    below = tf.cumsum(tf.reshape(histogram, [count, channels, 256]), axis=-1)
    lowest = tf.reduce_min(
        tf.where(below > 0, below, height * width * 1.0), -1, keepdims=True
    )
    share = (below - lowest) / tf.maximum(height * width - lowest, 1.0)
    flat = lowest >= height * width  # One value: nothing to equalize.
    return tf.where(flat, values, tf.round(255 * share))


def _look_up(images: tf.Tensor, tables: tf.Tensor) -> tf.Tensor:
    count, _, _, channels = images.shape
    first = tf.reshape(tf.range(count * channels) * 256, [count, 1, 1, channels])
    return tf.gather(tf.reshape(tables, [-1]), first + _level(images))


def _level(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.round(images), tf.int32)


def _blur(images: tf.Tensor) -> tf.Tensor:
    """The 3 x 3 mean with the centre counted five times, as Pillow's SMOOTH."""
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], 'SYMMETRIC')
    height, width = images.shape[1:3]
    total = 4 * images
    for y in range(3):
        for x in range(3):
            total += padded[:, y : y + height, x : x + width]
    return total / 13
