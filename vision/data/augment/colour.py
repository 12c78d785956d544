"""Augmentations that change pixels where they are.

Each is `(images, seeds, *numbers) -> images`: float32 [B, S, S, 3] in 0..255 in and
out, seeds int64 [B].
"""

import math

import tensorflow as tf

from vision.data.augment import draws

# The luminance of RGB (ITU-R BT.601), as in JPEG and in grayscale conversions.
LUMINANCE = (0.299, 0.587, 0.114)


def brightness(images: tf.Tensor, seeds: tf.Tensor, delta: float = 0.2) -> tf.Tensor:
    """Adds up to `delta` of the full range, either way."""
    return _clip(images + 255 * per_image(draws.uniform(seeds, -delta, delta)))


def contrast(images: tf.Tensor, seeds: tf.Tensor, delta: float = 0.2) -> tf.Tensor:
    """Scales each channel about its mean by 1 - delta .. 1 + delta."""
    means = tf.reduce_mean(images, [1, 2], keepdims=True)
    return blend(means, images, draws.uniform(seeds, 1 - delta, 1 + delta))


def colour_jitter(
    images: tf.Tensor,
    seeds: tf.Tensor,
    brightness_delta: float = 0.4,
    contrast_delta: float = 0.4,
    saturation_delta: float = 0.4,
    hue_delta: float = 0.1,
) -> tf.Tensor:
    """Scales brightness, contrast and saturation, and turns the hue.

    Each of the first three by 1 - delta .. 1 + delta, in this order; the hue by up to
    hue_delta of a whole turn either way, about the gray axis (Howard 2013,
    arXiv:1312.5402; Szegedy et al. 2014, arXiv:1409.4842).
    """
    deltas = (brightness_delta, contrast_delta, saturation_delta)
    *for_factors, for_hue = draws.split(seeds, 4)
    bright, contrasty, saturated = (
        draws.uniform(seed, 1 - delta, 1 + delta)
        for seed, delta in zip(for_factors, deltas)
    )
    images = _clip(images * per_image(bright))
    means = tf.reduce_mean(luminance(images), [1, 2], keepdims=True)
    images = blend(means, images, contrasty)
    images = blend(luminance(images), images, saturated)
    return turn_hue(
        images, draws.uniform(for_hue, -hue_delta, hue_delta) * (2 * math.pi)
    )


def turn_hue(images: tf.Tensor, angles: tf.Tensor) -> tf.Tensor:
    """Rotates colours about the gray axis by float32 [B] radians (as Rodrigues)."""
    cos, sin = per_image(tf.cos(angles)), per_image(tf.sin(angles)) / math.sqrt(3)
    gray = tf.reduce_mean(images, -1, keepdims=True)
    red, green, blue = tf.unstack(images, axis=-1)
    across = tf.stack([blue - green, red - blue, green - red], -1)
    return _clip(gray + cos * (images - gray) + sin * across)


def random_erasing(
    images: tf.Tensor, seeds: tf.Tensor, chance: float = 0.5, max_area: float = 0.33
) -> tf.Tensor:
    """Fills a rectangle of 2 % .. max_area with noise, in `chance` of the images.

    Its aspect ratio is 0.3..1/0.3 (Zhong et al. 2017, arXiv:1708.04896).
    """
    for_chance, for_area, for_aspect, for_place, for_noise = draws.split(seeds, 5)
    area = draws.uniform(for_area, min(0.02, max_area), max_area)
    aspect = tf.exp(draws.uniform(for_aspect, math.log(0.3), -math.log(0.3)))
    erased = rectangle(
        for_place, images.shape, tf.sqrt(area * aspect), tf.sqrt(area / aspect)
    )
    erased &= per_image(draws.uniform(for_chance) < chance)
    count, *shape = images.shape
    values = tf.range(math.prod(shape), dtype=tf.int64)
    noise = draws.uniform(for_noise[:, tf.newaxis] + values, 0.0, 255.0)
    return tf.where(erased, tf.reshape(noise, [count, *shape]), images)


def rectangle(
    seeds: tf.Tensor, shape: tf.TensorShape, width: tf.Tensor, height: tf.Tensor
) -> tf.Tensor:
    """Rectangles anywhere within images of a shape; bool [B, H, W, 1].

    Args:
        width, height: float32 [B], shares of the image's; more than all of it is all.
    """

    def covered(seed: tf.Tensor, share: tf.Tensor, length: int) -> tf.Tensor:
        extent = tf.minimum(tf.round(share * length), length)
        begin = tf.floor(draws.uniform(seed) * (length - extent + 1))[:, tf.newaxis]
        pixels = tf.range(length, dtype=tf.float32)
        return (pixels >= begin) & (pixels < begin + extent[:, tf.newaxis])

    for_x, for_y = draws.split(seeds, 2)
    columns, rows = covered(for_x, width, shape[2]), covered(for_y, height, shape[1])
    return (columns[:, tf.newaxis, :] & rows[:, :, tf.newaxis])[..., tf.newaxis]


def luminance(images: tf.Tensor) -> tf.Tensor:
    """The gray image, [B, H, W, 1]."""
    return tf.reduce_sum(images * tf.constant(LUMINANCE), -1, keepdims=True)


def blend(origin: tf.Tensor, images: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
    """Moves pixels away from `origin` by float32 [B] factors: 0 is there, 1 stays."""
    return _clip(origin + per_image(factors) * (images - origin))


def per_image(numbers: tf.Tensor) -> tf.Tensor:
    """One number an image, [B], as [B, 1, 1, 1]."""
    return tf.reshape(numbers, [-1, 1, 1, 1])


def _clip(images: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(images, 0.0, 255.0)
