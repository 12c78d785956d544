"""Xception, with the layers of Keras.

Chollet, 2016: Xception: deep learning with depthwise separable convolutions,
https://arxiv.org/abs/1610.02357, figure 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from vision.layers import (
    ConvBlock,
    ConvNormActivation,
    MaxPool,
    Mode,
    SeparableConv2D,
    relu,
)
from vision.models.network import Network


class Row(NamedTuple):
    """A block: channels of its convolutions, and whether it halves the map."""

    channels: tuple[int, ...]
    halve: bool


# Blocks 2 to 13.
TABLE = (
    Row((128, 128), True),
    Row((256, 256), True),
    Row((728, 728), True),
    *[Row((728, 728, 728), False)] * 8,
    Row((728, 1024), True),
)
EXIT_CHANNELS = {'block14_sepconv1': 1536, 'block14_sepconv2': 2048}

# The product of the strides. Keras requires 71 pixels, but 32 also give a map of one.
MIN_IMAGE_SIZE = 32

_BATCH_NORM = {'momentum': 0.99, 'epsilon': 1e-3}


class SeparableResidual(tf.Module):
    """A residual block of ReLU, separable 3×3 convolution and batch norm in turn.

    `[B, H, W, in]` → `[B, H', W', channels[-1]]`. With `halve`, a max pool at the end
    and a strided 1×1 convolution in the shortcut give H' = ⌈H/2⌉, else H' = H.

    Args:
        in_channels: channels of the input; without `halve` also of the output.
        channels: output channels of the separable convolutions.
        halve: whether the map is halved.
        dtype: floating-point type of the arithmetic.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        *,
        halve: bool,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.convs = [
            _separable(inputs, outputs, False, dtype)
            for inputs, outputs in zip([in_channels, *channels], channels)
        ]
        self.shortcut = None
        if halve:
            self.pool = MaxPool(3, 2)
            self.shortcut = ConvBlock(
                in_channels,
                channels[-1],
                1,
                stride=2,
                batch_norm=_BATCH_NORM,
                activation=None,
                dtype=dtype,
            )

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        y = x
        for conv in self.convs:
            y = conv(relu(y), training)
        if self.shortcut is None:
            return y + x
        return self.pool(y, training) + self.shortcut(x, training)


def xception(
    classes: int,
    image_size: int = 299,
    normalization: str = 'symmetric',
    *,
    dtype: tf.DType = tf.float32,
    **options,
) -> Network:
    """Xception.

    Args:
        classes: number of classes.
        image_size: side in pixels of the images to train on, at least 32.
        normalization: a key of `NORMALIZATIONS`.
        dtype: floating-point type of the arithmetic.
        **options: of `Network` and of `Head`.

    Raises:
        ValueError: a number is out of range.
        UserError: the normalization is unknown.
    """
    stages: dict[str, tf.Module] = {
        'block1_conv1': ConvBlock(
            3, 32, 3, stride=2, padding='VALID', batch_norm=_BATCH_NORM, dtype=dtype
        ),
        'block1_conv2': ConvBlock(
            32, 64, 3, padding='VALID', batch_norm=_BATCH_NORM, dtype=dtype
        ),
    }
    channels, side = 64, (image_size - 1) // 2 - 2
    # The paper has no ReLU at the start of block 2; a second ReLU changes nothing.
    for number, row in enumerate(TABLE, start=2):
        stages[f'block{number}'] = SeparableResidual(
            channels, row.channels, halve=row.halve, dtype=dtype
        )
        channels, side = row.channels[-1], -(-side // 2) if row.halve else side
    for name, width in EXIT_CHANNELS.items():
        stages[name] = _separable(channels, width, True, dtype)
        channels = width
    return Network(
        stages,
        channels,
        side,
        classes=classes,
        image_size=image_size,
        min_image_size=MIN_IMAGE_SIZE,
        normalization=normalization,
        dtype=dtype,
        **options,
    )


def keras_layers(network: Network) -> dict[str, tf.Module]:
    """The layers that have weights, by Keras's names and in Keras's order.

    The names are those of `keras.applications.Xception`, the classifier's
    'predictions'. Keras does not name the four shortcuts: here they are 'conv2d_1' to
    'conv2d_4' and 'batch_normalization_1' to 'batch_normalization_4', as in its
    published files; Keras numbers those of new models differently. A layer is a
    `Conv2D`, `SeparableConv2D`, `BatchNorm` or `Dense`.
    """
    layers: dict[str, tf.Module] = {}
    shortcuts = 0
    for name, stage in network.stages.items():
        if isinstance(stage, ConvNormActivation):
            layers |= {name: stage.conv, f'{name}_bn': stage.norm}
            continue
        for number, block in enumerate(stage.convs, start=1):
            conv = f'{name}_sepconv{number}'
            layers |= {conv: block.conv, f'{conv}_bn': block.norm}
        if stage.shortcut is not None:
            shortcuts += 1
            layers |= {
                f'conv2d_{shortcuts}': stage.shortcut.conv,
                f'batch_normalization_{shortcuts}': stage.shortcut.norm,
            }
    return {**layers, 'predictions': network.head.classifier}


def _separable(
    in_channels: int, out_channels: int, activate: bool, dtype: tf.DType
) -> ConvNormActivation:
    return ConvNormActivation(
        SeparableConv2D(in_channels, out_channels, 3, dtype=dtype),
        out_channels,
        batch_norm=_BATCH_NORM,
        activation=relu if activate else None,
    )
