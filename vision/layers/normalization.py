"""Batch normalization and local response normalization."""

import numpy as np
import tensorflow as tf

from vision.layers.modes import Estimation, Mode

# Name scope of the convolutions that sum over channels in a local response norm. They
# have no weights: counts of operations and quantization exclude them.
CHANNEL_SUM_SCOPE = 'lrn_channel_sum'


class BatchNorm(tf.Module):
    """Batch norm of `[B, H, W, C]`: by the batch in training, by averages in inference.

    Statistics, scale and offset are float32 whatever the input's type. Ioffe and
    Szegedy, 2015, https://arxiv.org/abs/1502.03167.

    Args:
        channels: channels of the input.
        momentum: weight of the old moving average in a training step.
        epsilon: added to the variance.

    Attributes:
        frozen: whether it normalizes by the averages in every mode and never changes
            them.
    """

    def __init__(
        self,
        channels: int,
        *,
        momentum: float = 0.95,
        epsilon: float = 1e-3,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.scale = tf.Variable(tf.ones(channels), name='scale')
        self.offset = tf.Variable(tf.zeros(channels), name='offset')
        self.moving_mean = tf.Variable(
            tf.zeros(channels), trainable=False, name='moving_mean'
        )
        self.moving_variance = tf.Variable(
            tf.ones(channels), trainable=False, name='moving_variance'
        )
        self.momentum = momentum
        self.epsilon = epsilon
        self.frozen = False

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        if self.frozen or not training:
            return tf.compat.v1.nn.fused_batch_norm(
                x,
                self.scale,
                self.offset,
                self.moving_mean,
                self.moving_variance,
                self.epsilon,
                is_training=False,
            )[0]
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            x, self.scale, self.offset, epsilon=self.epsilon, is_training=True
        )
        # The fused kernel returns the sample variance, Σ/(n-1). The moving average is
        # of the variance that normalizes the batch, Σ/n, as in the paper and in Keras.
        count = tf.cast(tf.size(x) // tf.shape(x)[-1], tf.float32)
        variance *= (count - 1) / count
        share: float | tf.Tensor = 1 - self.momentum
        if isinstance(training, Estimation):
            share = training.share
            # The variance of a union includes that between the means of its parts.
            variance += (1 - share) * tf.square(mean - self.moving_mean)
        for average, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            # With a share of 1 the result does not depend on the average.
            average.assign((1 - share) * average + share * value)
        return y


class LocalResponseNorm(tf.Module):
    """`local_response_norm` as a block, with the same arguments."""

    def __init__(
        self,
        *,
        radius: int = 5,
        bias: float = 1.0,
        alpha: float = 1.0,
        beta: float = 0.5,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.setting = (radius, bias, alpha, beta)

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        return local_response_norm(x, *self.setting)


def local_response_norm(
    x: tf.Tensor,
    radius: int = 5,
    bias: float = 1.0,
    alpha: float = 1.0,
    beta: float = 0.5,
) -> tf.Tensor:
    """Divides each channel by a power of the sum of squares of its neighbours.

    y[c] = x[c] / (bias + alpha · Σ x[i]², |i - c| ≤ radius) ** beta

    Krizhevsky et al., 2012: ImageNet classification with deep convolutional neural
    networks, section 3.3. `alpha` multiplies the sum, as in `tf.nn.lrn`; Caffe's alpha
    is larger by the window's 2 · radius + 1 channels.

    The sum over neighbours is a 1×1 convolution with a banded matrix of ones. Unlike
    `tf.nn.lrn`, which is float32 only on the CPU and has a slow gradient, this works in
    every floating-point type, under XLA and on every device. The defaults are those of
    `tf.nn.lrn`.

    Args:
        x: `[B, H, W, C]`, any floating-point type.
        radius: neighbours on each side, at least 0.
        bias: offset of the denominator, above 0.
        alpha: factor of the sum of squares, at least 0.
        beta: exponent.

    Returns:
        A tensor of the shape and type of `x`.

    Raises:
        ValueError: radius, bias or alpha is out of range.
    """
    if radius < 0 or bias <= 0 or alpha < 0:
        raise ValueError(
            'Expected radius >= 0, bias > 0 and alpha >= 0, received '
            f'radius={radius}, bias={bias}, alpha={alpha}.'
        )

    @tf.custom_gradient
    def normalize(x: tf.Tensor):
        # Squares of float16 overflow beyond 255; bfloat16 has float32's range.
        dtype = tf.float32 if x.dtype == tf.float16 else x.dtype
        wide = tf.cast(x, dtype)
        denominator = bias + alpha * _channel_sums(tf.square(wide), radius)
        factor = denominator**-beta

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            dy = tf.cast(upstream, dtype)
            # The square of channel i is in the denominators of all its neighbours c:
            # dx[i] = dy[i] d[i]^-β - 2αβ x[i] Σ dy[c] x[c] d[c]^(-β-1)
            shared = _channel_sums(dy * wide * factor / denominator, radius)
            return tf.cast(dy * factor - 2 * alpha * beta * wide * shared, x.dtype)

        return tf.cast(wide * factor, x.dtype), gradient

    return normalize(x)


def _channel_sums(x: tf.Tensor, radius: int) -> tf.Tensor:
    """For every channel of `[B, H, W, C]` the sum of those at most `radius` away."""
    channels = np.arange(x.shape[-1])
    band = np.abs(channels[:, None] - channels) <= radius
    with tf.name_scope(CHANNEL_SUM_SCOPE):
        return tf.nn.conv2d(x, tf.constant(band[None, None], x.dtype), 1, 'VALID')
