"""Pooling."""

import tensorflow as tf

from vision.layers.modes import Mode


class MaxPool(tf.Module):
    """Largest value of each window: `[B, H, W, C]` → `[B, H', W', C]`.

    Args:
        window: side of the square window in pixels.
        stride: step of the window in pixels.
        padding: 'SAME' for ⌈H/stride⌉ × ⌈W/stride⌉ output pixels, or 'VALID' without
            windows that exceed the map.
    """

    def __init__(
        self, window: int, stride: int, padding: str = 'SAME', name: str | None = None
    ):
        super().__init__(name=name)
        self.window = window
        self.stride = stride
        self.padding = padding

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        return tf.nn.max_pool2d(x, self.window, self.stride, self.padding)
