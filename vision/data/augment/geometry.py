"""Augmentations that move pixels, each as an affine map, and the one resampling.

Each is `(seeds, side, size, *numbers) -> Affine`: seeds int64 [B], side the images'
pixels a side, size that of the network, which only a crop needs. Neighbours in a list
are multiplied into one map, so an image is interpolated once however often it is
turned, shifted and scaled. Reflections fill what lies outside.
"""

import math
from typing import NamedTuple

import tensorflow as tf

from vision.data.augment import draws


class Affine(NamedTuple):
    """Where pixels come from: old (x, y) = matrix @ new (x, y) + offset.

    Both are measured in pixels from the image's centre.

    Attributes:
        matrix: float32 [B, 2, 2].
        offset: float32 [B, 2].
        size: side of the new image in pixels.
        exact: whether pixels land on pixels, so that nothing is interpolated; then the
            matrix has only 1 and -1 on its diagonal.
    """

    matrix: tf.Tensor
    offset: tf.Tensor
    size: int
    exact: bool = False

    def then(self, second: 'Affine') -> 'Affine':
        """The map that does this one first."""
        return Affine(
            tf.matmul(self.matrix, second.matrix),
            tf.linalg.matvec(self.matrix, second.offset) + self.offset,
            second.size,
            self.exact and second.exact,
        )


def flip(seeds: tf.Tensor, side: int, _size: int) -> Affine:
    """Mirrors left to right, half of the time."""
    return _diagonal(_sign(seeds), tf.ones_like(seeds, tf.float32), side, exact=True)


def vertical_flip(seeds: tf.Tensor, side: int, _size: int) -> Affine:
    """Mirrors top to bottom, half of the time."""
    return _diagonal(tf.ones_like(seeds, tf.float32), _sign(seeds), side, exact=True)


def _sign(seeds: tf.Tensor) -> tf.Tensor:
    return tf.where(draws.uniform(seeds) < 0.5, -1.0, 1.0)


def pad_crop(seeds: tf.Tensor, side: int, _size: int, padding: int = 4) -> Affine:
    """Shifts by up to `padding` whole pixels (He et al. 2015, arXiv:1512.03385)."""
    offset = tf.stack(
        [
            tf.cast(draws.integers(seed, 2 * padding + 1) - padding, tf.float32)
            for seed in draws.split(seeds, 2)
        ],
        1,
    )
    return Affine(tf.eye(2, batch_shape=seeds.shape), offset, side, exact=True)


def shift(seeds: tf.Tensor, side: int, size: int, fraction: float = 0.2) -> Affine:
    """Shifts by up to `fraction` of the height and of the width, in whole pixels."""
    return pad_crop(seeds, side, size, round(fraction * side))


def rotate(seeds: tf.Tensor, side: int, _size: int, degrees: float = 20.0) -> Affine:
    """Rotates about the centre by up to `degrees` either way."""
    reach = math.radians(degrees)
    return rotation(draws.uniform(seeds, -reach, reach), side)


def rotation(angles: tf.Tensor, side: int) -> Affine:
    """Rotates counter-clockwise by float32 [B] radians."""
    cos, sin = tf.cos(angles), tf.sin(angles)
    return linear(cos, -sin, sin, cos, side)


def zoom(seeds: tf.Tensor, side: int, _size: int, fraction: float = 0.2) -> Affine:
    """Magnifies about the centre by 1 - fraction .. 1 + fraction."""
    factor = 1 / draws.uniform(seeds, 1 - fraction, 1 + fraction)
    return _diagonal(factor, factor, side)


def random_resolution(
    seeds: tf.Tensor, side: int, _size: int, fraction: float = 0.2
) -> Affine:
    """Resizes by 1 - fraction .. 1 + fraction to whole pixels, then pads or crops back.

    The padding is the image's reflection, and as wide on each side.
    """
    scaled = tf.round(side * draws.uniform(seeds, 1 - fraction, 1 + fraction))
    factor = side / tf.maximum(scaled, 1.0)
    return _diagonal(factor, factor, side)


def random_resized_crop(
    seeds: tf.Tensor,
    side: int,
    size: int,
    min_area: float = 0.08,
    max_aspect: float = 4 / 3,
) -> Affine:
    """Crops `min_area`..1 of the area, then resizes to size x size.

    Aspect ratios lie in 1/max_aspect..max_aspect (Szegedy et al. 2014,
    arXiv:1409.4842, section 6).
    """
    top, left, height, width = tf.unstack(
        tf.cast(crop_window(seeds, side, side, min_area, max_aspect), tf.float32)
    )
    offset = tf.stack([left + (width - side) / 2, top + (height - side) / 2], 1)
    return _diagonal(width / size, height / size, size)._replace(offset=offset)


def crop_window(
    seeds: tf.Tensor,
    height: int | tf.Tensor,
    width: int | tf.Tensor,
    min_area: float,
    max_aspect: float,
) -> tf.Tensor:
    """The windows of `random_resized_crop`; int32 [4, ...]: top, left, height, width.

    Where the aspect ratio drawn does not let the area fit, the window is as large as
    fits.
    """
    for_area, for_aspect, for_top, for_left = draws.split(seeds, 4)
    rows, columns = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    area = draws.uniform(for_area, min_area, 1.0) * rows * columns
    reach = math.log(max_aspect)
    aspect = tf.exp(draws.uniform(for_aspect, -reach, reach))
    # A window as large as fits has the width `columns` or the height `rows`.
    wide = tf.minimum(tf.sqrt(area * aspect), tf.minimum(columns, rows * aspect))
    crop_width = tf.clip_by_value(tf.round(wide), 1.0, columns)
    crop_height = tf.clip_by_value(tf.round(wide / aspect), 1.0, rows)
    top = tf.floor(draws.uniform(for_top) * (rows - crop_height + 1))
    left = tf.floor(draws.uniform(for_left) * (columns - crop_width + 1))
    return tf.cast(tf.stack([top, left, crop_height, crop_width]), tf.int32)


def linear(a: tf.Tensor, b: tf.Tensor, c: tf.Tensor, d: tf.Tensor, size: int) -> Affine:
    """The map of the matrices [[a, b], [c, d]] about the centre; float32 [B] each."""
    matrix = tf.stack([tf.stack([a, b], 1), tf.stack([c, d], 1)], 1)
    return Affine(matrix, tf.zeros_like(matrix[:, 0]), size)


def _diagonal(x: tf.Tensor, y: tf.Tensor, size: int, exact: bool = False) -> Affine:
    zeros = tf.zeros_like(x)
    return linear(x, zeros, zeros, y, size)._replace(exact=exact)


def warp(images: tf.Tensor, affine: Affine) -> tf.Tensor:
    """Resamples [B, H, W, 3] to [B, size, size, 3] of the same dtype, bilinearly."""
    height, width = images.shape[1:3]
    x, y = _origins(affine, height, width)
    if affine.exact:
        return _gather(
            images,
            _mirror(tf.cast(tf.round(x), tf.int32), width),
            _mirror(tf.cast(tf.round(y), tf.int32), height),
        )
    x, y = _mirror(x, width), _mirror(y, height)
    left, top = tf.floor(x), tf.floor(y)
    x, y = (x - left)[..., tf.newaxis], (y - top)[..., tf.newaxis]
    left, top = tf.cast(left, tf.int32), tf.cast(top, tf.int32)
    right, bottom = tf.minimum(left + 1, width - 1), tf.minimum(top + 1, height - 1)

    def pixels(column: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        return tf.cast(_gather(images, column, row), tf.float32)

    above = (1 - x) * pixels(left, top) + x * pixels(right, top)
    below = (1 - x) * pixels(left, bottom) + x * pixels(right, bottom)
    warped = (1 - y) * above + y * below
    if images.dtype.is_integer:
        warped = tf.round(warped)
    return tf.cast(warped, images.dtype)


def _origins(affine: Affine, height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Columns and rows, float32 [B, size, size], of where each pixel comes from."""
    new = tf.range(affine.size, dtype=tf.float32) - (affine.size - 1) / 2
    columns, rows = new[tf.newaxis, tf.newaxis, :], new[tf.newaxis, :, tf.newaxis]

    def origins(axis: int, length: int) -> tf.Tensor:
        by_column, by_row = tf.unstack(affine.matrix[:, axis], axis=1)
        centre = affine.offset[:, axis] + (length - 1) / 2
        return _plane(by_column) * columns + _plane(by_row) * rows + _plane(centre)

    return origins(0, width), origins(1, height)


def _plane(numbers: tf.Tensor) -> tf.Tensor:
    return numbers[:, tf.newaxis, tf.newaxis]


def _mirror(position: tf.Tensor, length: int) -> tf.Tensor:
    """Reflects positions at the first and the last pixel into 0..length - 1."""
    last = length - 1
    if not last:
        return tf.zeros_like(position)
    return last - tf.abs(last - tf.math.floormod(position, 2 * last))


def _gather(images: tf.Tensor, columns: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """The pixels [B, h, w, 3] at int32 [B, h, w] columns and rows."""
    count, height, width, channels = images.shape
    first = tf.reshape(tf.range(count) * height, [-1, 1, 1])
    return tf.gather(
        tf.reshape(images, [-1, channels]), (first + rows) * width + columns
    )
