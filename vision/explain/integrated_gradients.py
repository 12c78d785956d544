"""Integrated gradients: the contribution of each pixel to a logit, from a baseline.

Sundararajan et al., 2017: Axiomatic attribution for deep networks,
https://arxiv.org/abs/1703.01365.
"""

import numpy as np
import tensorflow as tf

from vision.explain import BASELINES
from vision.explain.endpoints import class_gradients
from vision.models import Network


def mean_color(images: tf.Tensor) -> tf.Tensor:
    """Images `[B, H, W, 3]` of a single color each, the mean of the image's pixels."""
    return tf.ones_like(images) * tf.reduce_mean(images, [1, 2], keepdims=True)


def integrated_gradients(
    network: Network,
    images: tf.Tensor,
    classes: tf.Tensor,
    endpoint: str | None = None,
    *,
    baseline: str = 'black',
    steps: int = 32,
) -> tf.Tensor:
    """The contributions of the pixels to the logit, summed over channels.

    With enough steps the contributions of all pixels add up to the logit of the image
    minus that of the baseline.

    Args:
        network: the trained network.
        images: `[B, H, W, 3]` RGB in 0..255, uint8 or floating point.
        classes: int32 `[B]`, the class of the logit to explain for each image.
        endpoint: the stage whose output is explained, on the straight line from its
            output for the baseline; by default the image.
        baseline: a key of `BASELINES`.
        steps: number of gradients, at the nodes of a Gauss-Legendre quadrature.

    Returns:
        float32 `[B, H, W]`, or `[B, h, w]` of an endpoint; positive and negative.

    Raises:
        ValueError: there is no such stage, or no step.
        UserError: there is no such baseline.
    """
    if steps < 1:
        raise ValueError(f'Expected at least 1 step, received {steps}.')
    images, classes = tf.cast(images, tf.float32), tf.cast(classes, tf.int32)
    end, start = images, BASELINES.load(baseline)(images)
    if endpoint is not None:
        end, start = (_until(network, x, endpoint) for x in (end, start))
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    total = tf.zeros(end.shape)
    for share, weight in zip((nodes + 1) / 2, weights / 2):
        share, weight = tf.constant(share, tf.float32), tf.constant(weight, tf.float32)
        total += weight * _gradients(network, start, end, share, classes, endpoint)
    return tf.reduce_sum(total * tf.cast(end - start, tf.float32), -1)


@tf.function(autograph=False, reduce_retracing=True)
def _until(network: Network, images: tf.Tensor, endpoint: str) -> tf.Tensor:
    return network.until(endpoint, images)


@tf.function(autograph=False, reduce_retracing=True)
def _gradients(
    network: Network,
    start: tf.Tensor,
    end: tf.Tensor,
    share: tf.Tensor,
    classes: tf.Tensor,
    endpoint: str | None,
) -> tf.Tensor:
    """Gradients of logits at a share of the line; float32, of the shape of `end`."""
    x = start + tf.cast(share, end.dtype) * (end - start)
    return tf.cast(class_gradients(network, x, classes, endpoint), tf.float32)
