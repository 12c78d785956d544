"""The Inception block and the auxiliary head of GoogLeNet.

Szegedy et al., 2014: Going deeper with convolutions,
https://arxiv.org/abs/1409.4842.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from vision.layers.activations import relu
from vision.layers.convolution import ConvBlock
from vision.layers.dense import Dense
from vision.layers.dropout import Dropout
from vision.layers.modes import Mode
from vision.layers.pooling import MaxPool


class Widths(NamedTuple):
    """Output channels inside one Inception block, in the paper's order (table 1)."""

    conv1: int
    reduce3: int
    conv3: int
    reduce5: int
    conv5: int
    pool: int

    @property
    def out(self) -> int:
        """Channels of the block's output."""
        return self.conv1 + self.conv3 + self.conv5 + self.pool


class InceptionBlock(tf.Module):
    """Four parallel branches: `[B, H, W, in]` → `[B, H, W, widths.out]`.

    1×1; 1×1 then 3×3; 1×1 then 5×5; 3×3 max pool then 1×1: concatenated along the
    channels in this order.

    Args:
        in_channels: channels of the input.
        widths: output channels of the six convolutions.
        batch_norm: whether batch norm follows each convolution.
        dtype: floating-point type of the arithmetic.
    """

    def __init__(
        self,
        in_channels: int,
        widths: Widths,
        *,
        batch_norm: bool = False,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        conv = functools.partial(ConvBlock, batch_norm=batch_norm, dtype=dtype)
        self.conv1 = conv(in_channels, widths.conv1, 1)
        self.reduce3 = conv(in_channels, widths.reduce3, 1)
        self.conv3 = conv(widths.reduce3, widths.conv3, 3)
        self.reduce5 = conv(in_channels, widths.reduce5, 1)
        self.conv5 = conv(widths.reduce5, widths.conv5, 5)
        self.pool = MaxPool(3, 1)
        self.project = conv(in_channels, widths.pool, 1)

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        return tf.concat(
            [
                self.conv1(x, training),
                self.conv3(self.reduce3(x, training), training),
                self.conv5(self.reduce5(x, training), training),
                self.project(self.pool(x, training), training),
            ],
            axis=-1,
        )


class AuxiliaryHead(tf.Module):
    """An auxiliary classifier: `[B, H, W, in]` → float32 logits `[B, classes]`.

    Average pool 5×5/3, 1×1 convolution to 128, dense 1024 with ReLU, dropout,
    classifier. On a map smaller than 5×5 the pool has the size of the map. The dense
    layer needs a fixed number of pooled cells; on a map of another size than `map_size`
    the window and the stride of the pool change to give that number.

    Args:
        in_channels: channels of the input.
        map_size: side of the input that the head is made for, in pixels.
        classes: number of classes.
        dropout: dropout rate of the 1024 features.
        salt: of `Dropout`.
        batch_norm: whether batch norm follows the convolution.
        dtype: floating-point type of the arithmetic.
    """

    def __init__(
        self,
        in_channels: int,
        map_size: int,
        classes: int,
        *,
        dropout: float = 0.7,
        salt: int = 0,
        batch_norm: bool = False,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.map_size = map_size
        self.cells = (map_size - min(5, map_size)) // 3 + 1
        self.conv = ConvBlock(in_channels, 128, 1, batch_norm=batch_norm, dtype=dtype)
        self.dense = Dense(128 * self.cells**2, 1024, dtype=dtype)
        self.dropout = Dropout(dropout, salt)
        self.classifier = Dense(1024, classes, dtype=dtype)

    def __call__(
        self, x: tf.Tensor, training: Mode = False, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        height, width = x.shape[1:3]
        if height is None or height != width:
            # The reshape below would assign cells to wrong images.
            raise ValueError(
                'Expected square images of a known size in training, received a map of '
                f'{height}×{width}.'
            )
        window, stride = self._pool(height)
        x = tf.nn.avg_pool2d(x, window, stride, 'VALID')
        x = self.conv(x, training)
        x = tf.reshape(x, [-1, 128 * self.cells**2])
        x = relu(self.dense(x, training))
        x = self.dropout(x, training, seed)
        return tf.cast(self.classifier(x, training), tf.float32)

    def _pool(self, map_size: int) -> tuple[int, int]:
        """Window and stride that pool a map of this side to `cells` × `cells`."""
        if map_size == self.map_size:
            return min(5, map_size), 3
        if map_size < self.cells:
            raise ValueError(
                f'Expected a map of at least {self.cells} pixels for an auxiliary head '
                f'made for {self.map_size}, received {map_size}. Train on larger '
                'images.'
            )
        stride = map_size // self.cells
        return map_size - (self.cells - 1) * stride, stride
