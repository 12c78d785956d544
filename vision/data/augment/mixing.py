"""Augmentations that mix each image with the one before it in the batch.

Each is `(images, seeds, alpha) -> (images, shares)`: float32 [B, S, S, 3] in 0..255 in
and out, seeds int64 [B]. shares, float32 [B] in 0.5..1, is how much of each result is
the image itself; alpha shapes the beta distribution that shares are drawn from.
"""

import math

import numpy as np
import tensorflow as tf

from vision.data.augment import draws
from vision.data.augment.colour import per_image, rectangle

_SHARES = 4096  # Number of different shares, equally likely.


def mixup(
    images: tf.Tensor, seeds: tf.Tensor, alpha: float = 0.2
) -> tuple[tf.Tensor, tf.Tensor]:
    """A weighted mean of two images (Zhang et al. 2017, arXiv:1710.09412)."""
    shares = _beta(seeds, alpha)
    return partners(images) + per_image(shares) * (images - partners(images)), shares


def cutmix(
    images: tf.Tensor, seeds: tf.Tensor, alpha: float = 1.0
) -> tuple[tf.Tensor, tf.Tensor]:
    """A rectangle of the other image (Yun et al. 2019, arXiv:1905.04899)."""
    for_share, for_place = draws.split(seeds, 2)
    # A square of half the area, rounded up, would be more than half.
    side = images.shape[1]
    most = math.floor(math.sqrt(0.5) * side) / side
    extent = tf.minimum(tf.sqrt(1 - _beta(for_share, alpha)), most)
    cut = rectangle(for_place, images.shape, extent, extent)
    return (
        tf.where(cut, partners(images), images),
        1 - tf.reduce_mean(tf.cast(cut, tf.float32), [1, 2, 3]),
    )


def partners(values: tf.Tensor) -> tf.Tensor:
    """What examples [B, ...] are mixed with: the one before, the last for the first."""
    return tf.roll(values, 1, 0)


def _beta(seeds: tf.Tensor, alpha: float) -> tf.Tensor:
    """The larger of x and 1 - x, where x is drawn from Beta(alpha, alpha)."""
    # Either is as likely, and the label counted as right is that of the larger share.
    with tf.init_scope():
        points = np.linspace(0.5, 1, 4097)
        below = tf.math.betainc(np.float64(alpha), np.float64(alpha), points).numpy()
    levels = 0.5 + (np.arange(_SHARES) + 0.5) / (2 * _SHARES)
    quantiles = tf.constant(np.interp(levels, below, points), tf.float32)
    return tf.gather(quantiles, draws.integers(seeds, _SHARES))
