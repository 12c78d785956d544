"""Pooling."""

import tensorflow as tf

from vision.layers.modes import Mode


class MaxPool(tf.Module):
    """Largest value of each window: `[B, H, W, C]` → `[B, H', W', C]`.

    Args:
        window: side of the square window in pixels.
        stride: step of the window in pixels.
        padding: 'SAME', where the output has ⌈H/stride⌉ × ⌈W/stride⌉ pixels, or
            'VALID', where windows that stick out are left away.
    """

    def __init__(
        self, window: int, stride: int, padding: str = 'SAME', name: str | None = None
    ):
        super().__init__(name=name)
        self.window = window
        self.stride = stride
        self.padding = padding

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        del training  # a maximum is the same in both modes
        return tf.nn.max_pool2d(x, self.window, self.stride, self.padding)
