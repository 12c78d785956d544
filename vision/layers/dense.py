"""Fully connected layer."""

import tensorflow as tf

from vision.layers.initializers import glorot_uniform
from vision.layers.modes import Mode


class Dense(tf.Module):
    """Fully connected layer: `[B, in]` → `[B, out]` in `dtype`.

    Args:
        in_features: width of the input.
        out_features: width of the output.
        dtype: floating-point type of the arithmetic; the variables stay float32.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.kernel = tf.Variable(
            glorot_uniform((in_features, out_features)), name='kernel'
        )
        self.bias = tf.Variable(tf.zeros(out_features), name='bias')
        self.dtype = dtype

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        y = tf.matmul(x, tf.cast(self.kernel, self.dtype))
        return tf.nn.bias_add(y, tf.cast(self.bias, self.dtype))
