"""MobileNetV2, with the layers of Keras.

Sandler et al., 2018: MobileNetV2: inverted residuals and linear bottlenecks,
https://arxiv.org/abs/1801.04381, table 2.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from vision.layers import ConvBlock, ConvNormActivation, DepthwiseConv2D, Mode, relu6
from vision.models.network import Network


class Row(NamedTuple):
    """Blocks of the same width; the stride is that of the first of them."""

    expansion: int
    channels: int
    repeats: int
    stride: int


TABLE = (
    Row(1, 16, 1, 1),
    Row(6, 24, 2, 2),
    Row(6, 32, 3, 2),
    Row(6, 64, 4, 2),
    Row(6, 96, 3, 1),
    Row(6, 160, 3, 2),
    Row(6, 320, 1, 1),
)
STEM_CHANNELS = 32
LAST_CHANNELS = 1280

# The product of the strides: the last maps of smaller images are mostly padding.
MIN_IMAGE_SIZE = 32

_BATCH_NORM = {'momentum': 0.999, 'epsilon': 1e-3}


class InvertedResidual(tf.Module):
    """A residual block, wide between narrow ends: `[B, H, W, in]` → `[B, H', W', out]`.

    1×1 to `expansion` times the channels (absent if that is 1), 3×3 depthwise, 1×1
    without activation. The input is added if it has the output's shape. H' and W' are
    ⌈H/stride⌉ and ⌈W/stride⌉.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        expansion: factor of the channels inside the block.
        stride: step of the depthwise convolution in pixels.
        dtype: floating-point type of the arithmetic.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        expansion: int,
        stride: int,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        wide = expansion * in_channels
        self.expand = (
            ConvBlock(
                in_channels,
                wide,
                1,
                batch_norm=_BATCH_NORM,
                activation=relu6,
                dtype=dtype,
            )
            if expansion > 1
            else None
        )
        # At stride 2 Keras pads explicitly, which equals SAME.
        self.depthwise = ConvNormActivation(
            DepthwiseConv2D(wide, 3, stride=stride, dtype=dtype),
            wide,
            batch_norm=_BATCH_NORM,
            activation=relu6,
        )
        self.project = ConvBlock(
            wide, out_channels, 1, batch_norm=_BATCH_NORM, activation=None, dtype=dtype
        )
        self.residual = stride == 1 and in_channels == out_channels

    def __call__(self, x: tf.Tensor, training: Mode = False) -> tf.Tensor:
        y = x if self.expand is None else self.expand(x, training)
        y = self.project(self.depthwise(y, training), training)
        return x + y if self.residual else y


def mobilenet_v2(
    classes: int,
    image_size: int = 224,
    normalization: str = 'symmetric',
    *,
    alpha: float = 1.0,
    dtype: tf.DType = tf.float32,
    **options,
) -> Network:
    """MobileNetV2 of any width.

    Args:
        classes: number of classes.
        image_size: side in pixels of the images to train on, at least 32.
        normalization: a key of `NORMALIZATIONS`.
        alpha: factor of the channels of all layers, for the last convolution at least
            1. There are weights for 0.35, 0.5, 0.75, 1, 1.3 and 1.4.
        dtype: floating-point type of the arithmetic.
        **options: of `Network` and of `Head`.

    Raises:
        ValueError: a number is out of range.
        UserError: the normalization is unknown.
    """
    if alpha <= 0:
        raise ValueError(f'Expected alpha above 0, received {alpha}.')
    channels = _round(STEM_CHANNELS * alpha)
    last = _round(LAST_CHANNELS * max(1.0, alpha))
    conv = functools.partial(
        ConvBlock, batch_norm=_BATCH_NORM, activation=relu6, dtype=dtype
    )
    stages: dict[str, tf.Module] = {'conv1': conv(3, channels, 3, stride=2)}
    for row in TABLE:
        # Keras truncates before it rounds.
        outputs = _round(int(row.channels * alpha))
        for stride in [row.stride] + [1] * (row.repeats - 1):
            stages[f'block_{len(stages) - 1}'] = InvertedResidual(
                channels, outputs, expansion=row.expansion, stride=stride, dtype=dtype
            )
            channels = outputs
    stages['conv_last'] = conv(channels, last, 1)
    return Network(
        stages,
        last,
        -(-image_size // 32),
        classes=classes,
        image_size=image_size,
        min_image_size=MIN_IMAGE_SIZE,
        normalization=normalization,
        dtype=dtype,
        **options,
    )


def keras_layers(network: Network) -> dict[str, tf.Module]:
    """The layers that have weights, by Keras's names and in Keras's order.

    The names are those of `keras.applications.MobileNetV2`, the classifier's
    'predictions'. A layer is a `Conv2D`, `DepthwiseConv2D`, `BatchNorm` or `Dense`.
    """
    first, last = network.stages['conv1'], network.stages['conv_last']
    layers = {'Conv1': first.conv, 'bn_Conv1': first.norm}
    for name, stage in network.stages.items():
        if isinstance(stage, InvertedResidual):
            prefix = 'expanded_conv' if stage.expand is None else name
            for part in ('expand', 'depthwise', 'project'):
                block = getattr(stage, part)
                if block is not None:
                    layers |= {
                        f'{prefix}_{part}': block.conv,
                        f'{prefix}_{part}_BN': block.norm,
                    }
    return {
        **layers,
        'Conv_1': last.conv,
        'Conv_1_bn': last.norm,
        'predictions': network.head.classifier,
    }


def _round(channels: float) -> int:
    """The nearest multiple of 8, at least 8 and at least 90 % of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
