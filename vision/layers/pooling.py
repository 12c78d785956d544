"""Pooling."""

import tensorflow as tf


class MaxPool(tf.Module):
    """Largest value of each window: `[B, H, W, C]` → `[B, ⌈H/stride⌉, ⌈W/stride⌉, C]`.

    Args:
        window: side of the square window in pixels.
        stride: step of the window in pixels.
    """

    def __init__(self, window: int, stride: int, name: str | None = None):
        super().__init__(name=name)
        self.window = window
        self.stride = stride

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        del training  # a maximum is the same in both modes
        return tf.nn.max_pool2d(x, self.window, self.stride, 'SAME')
