"""Augmentations: one function each, stateless, and their composition.

Each is `(image, seed, size, *parameters) -> image`: float32 [h, w, 3] in 0..255 in and
out, seed an integer [2], size the side in pixels that the network wants. The same seed
gives the same picture. Where a picture is moved, its reflection fills the gap.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

from vision.data import decode
from vision.data.source import DatasetError
from vision.errors import suggestion


def pad_crop(image: tf.Tensor, seed: tf.Tensor, size: int,
             padding: int = 4) -> tf.Tensor:
    """Shifts by up to `padding` whole pixels (He et al. 2015, arXiv:1512.03385)."""
    del size
    return _move(image, seed, tf.fill([2], padding))


def shift(image: tf.Tensor, seed: tf.Tensor, size: int,
          fraction: float = 0.2) -> tf.Tensor:
    """Shifts by up to `fraction` of the height and of the width, in whole pixels."""
    del size
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    return _move(image, seed, tf.cast(tf.round(fraction * shape), tf.int32))


def _move(image: tf.Tensor, seed: tf.Tensor, reach: tf.Tensor) -> tf.Tensor:
    padded = _reflect(image, reach)
    begin = tf.random.stateless_uniform([2], seed)
    begin = tf.cast(begin * tf.cast(2 * reach + 1, tf.float32), tf.int32)
    moved = tf.slice(padded, tf.concat([begin, [0]], 0), tf.shape(image))
    return tf.ensure_shape(moved, image.shape)


def _reflect(image: tf.Tensor, margin: tf.Tensor) -> tf.Tensor:
    margin = tf.concat([margin, [0]], 0)
    return tf.pad(image, tf.stack([margin, margin], 1), 'REFLECT')


def random_resized_crop(image: tf.Tensor, seed: tf.Tensor, size: int,
                        min_area: float = 0.08, max_aspect: float = 4 / 3) -> tf.Tensor:
    """Crops `min_area`..1 of the area, then resizes to [size, size, 3].

    Aspect ratios lie in 1/max_aspect..max_aspect (Szegedy et al. 2014,
    arXiv:1409.4842, section 6).
    """
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.shape(image), tf.zeros([1, 0, 4]), seed, min_object_covered=0.,
        aspect_ratio_range=(1 / max_aspect, max_aspect), area_range=(min_area, 1.),
        use_image_if_no_bounding_boxes=True)
    crop = tf.slice(image, begin, extent)
    return tf.ensure_shape(_resize_crop(image, crop, size), [size, size, 3])


def _resize_crop(image: tf.Tensor, crop: tf.Tensor, size: int) -> tf.Tensor:
    # Bilinear reads 2 x 2 pixels, so it skips none until it shrinks more than twofold.
    # Antialiasing costs three times as much, so it is for the larger crops.
    def plain() -> tf.Tensor:
        return tf.image.resize(crop, [size, size])

    if image.shape.is_fully_defined() and max(image.shape[:2]) <= 2 * size:
        return plain()
    return tf.cond(
        tf.reduce_max(tf.shape(crop)[:2]) <= 2 * size, plain,
        lambda: tf.image.resize(crop, [size, size], antialias=True))


def flip(image: tf.Tensor, seed: tf.Tensor, size: int) -> tf.Tensor:
    """Mirrors left to right, half of the time."""
    del size
    coin = tf.random.stateless_uniform([], seed, maxval=2, dtype=tf.int32)
    # Reversing the axes [1] or [] takes a third of the time of a strided slice.
    return tf.reverse(image, tf.range(1, 1 + coin))


def rotate(image: tf.Tensor, seed: tf.Tensor, size: int,
           degrees: float = 20.) -> tf.Tensor:
    """Rotates about the centre by up to `degrees` either way."""
    del size
    reach = math.radians(degrees)
    return rotate_by(image, tf.random.stateless_uniform([], seed, -reach, reach))


def rotate_by(image: tf.Tensor, angle: float | tf.Tensor) -> tf.Tensor:
    """Rotates [h, w, 3] counter-clockwise by `angle` radians about its centre."""
    cos, sin = tf.cos(angle), tf.sin(angle)
    return _warp(image, [[cos, -sin], [sin, cos]])


def zoom(image: tf.Tensor, seed: tf.Tensor, size: int,
         fraction: float = 0.2) -> tf.Tensor:
    """Magnifies about the centre by 1 - fraction .. 1 + fraction."""
    del size
    factor = tf.random.stateless_uniform([], seed, 1 - fraction, 1 + fraction)
    return _warp(image, [[1 / factor, 0.], [0., 1 / factor]])


def _warp(image: tf.Tensor, matrix: list[list]) -> tf.Tensor:
    """Takes output (x, y), measured from the centre, from input matrix @ (x, y)."""
    (a, b), (c, d) = matrix
    shape = tf.shape(image)[:2]
    y, x = tf.unstack((tf.cast(shape, tf.float32) - 1) / 2)
    # The operation measures from the corner, so the centre is moved there and back.
    rows = [a, b, x - a * x - b * y, c, d, y - c * x - d * y, 0., 0.]
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis], transforms=tf.stack(rows)[tf.newaxis],
        output_shape=shape, fill_value=0., interpolation='BILINEAR',
        fill_mode='REFLECT')[0]
    return tf.ensure_shape(warped, image.shape)


def brightness(image: tf.Tensor, seed: tf.Tensor, size: int,
               delta: float = 0.2) -> tf.Tensor:
    """Adds up to `delta` of the full range, either way."""
    del size
    reach = 255 * delta
    offset = tf.random.stateless_uniform([], seed, -reach, reach)
    return tf.clip_by_value(image + offset, 0., 255.)


def contrast(image: tf.Tensor, seed: tf.Tensor, size: int,
             delta: float = 0.2) -> tf.Tensor:
    """Scales each channel about its mean by 1 - delta .. 1 + delta."""
    del size
    factor = tf.random.stateless_uniform([], seed, 1 - delta, 1 + delta)
    return tf.clip_by_value(tf.image.adjust_contrast(image, factor), 0., 255.)


AUGMENTATIONS: dict[str, Callable[..., tf.Tensor]] = {
    'pad_crop': pad_crop,
    'random_resized_crop': random_resized_crop,
    'flip': flip,
    'rotate': rotate,
    'shift': shift,
    'zoom': zoom,
    'brightness': brightness,
    'contrast': contrast,
}

# What each parameter may be; by name, since the functions share them.
RANGES: dict[str, tuple[float, float]] = {
    'padding': (0, 16),
    'min_area': (0.01, 1),
    'max_aspect': (1, 4),
    'degrees': (0, 180),
    'fraction': (0, 0.5),
    'delta': (0, 1),
}


class Augmentation(NamedTuple):
    """An augmentation by name, and the parameters that differ from its defaults."""
    name: str
    parameters: tuple[float, ...] = ()

    def __call__(self, image: tf.Tensor, seed: tf.Tensor, size: int) -> tf.Tensor:
        return AUGMENTATIONS[self.name](image, seed, size, *self.parameters)


def parse(spec: str) -> Augmentation:
    """Reads 'name', 'name:number' or 'name:number:number', such as 'rotate:20'.

    Raises DatasetError for an unknown name, too many numbers or one out of range.
    """
    name, *numbers = spec.split(':')
    if name not in AUGMENTATIONS:
        raise DatasetError(f'Unknown augmentation {name!r} in {spec!r}; expected one '
                           f'of {", ".join(AUGMENTATIONS)}.'
                           f'{suggestion(name, AUGMENTATIONS)}')
    expected = list(inspect.signature(AUGMENTATIONS[name]).parameters.values())[3:]
    if len(numbers) > len(expected):
        takes = ':'.join([name, *(p.name for p in expected)])
        raise DatasetError(f'{spec!r} has too many numbers; expected at most {takes}.')
    return Augmentation(
        name, tuple(_number(spec, text, p) for text, p in zip(numbers, expected)))


def _number(spec: str, text: str, parameter: inspect.Parameter) -> float:
    low, high = RANGES[parameter.name]
    try:
        value = parameter.annotation(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        kind = 'a whole number' if parameter.annotation is int else 'a number'
        raise DatasetError(f'{spec!r}: {parameter.name} must be {kind} in '
                           f'{low}..{high}, got {text!r}.')
    return value


def compose(specs: Sequence[str],
            size: int) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Makes one function `(image, seed) -> uint8 [size, size, 3]` of all the specs.

    The picture is fitted to the size first, so that parameters in pixels mean the
    network's pixels and the work is done on few of them, unless a
    random_resized_crop wants to crop from the full resolution. Without specs the
    result is exactly `decode.fit`. Each spec draws from a seed of its own.

    Raises DatasetError where a spec cannot be read.
    """
    augmentations = [parse(spec) for spec in specs]
    crops = any(a.name == 'random_resized_crop' for a in augmentations)

    def apply(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        if not crops:
            image = decode.fit(image, size)
        if augmentations:
            image = tf.cast(image, tf.float32)
            seeds = tf.unstack(tf.random.split(seed, len(augmentations)))
            for augmentation, own_seed in zip(augmentations, seeds):
                image = augmentation(image, own_seed, size)
        return decode.to_uint8(decode.fit(image, size))

    return apply
