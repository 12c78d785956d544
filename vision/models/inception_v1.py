"""Inception v1 (GoogLeNet) in four variants that share one table.

Szegedy et al., 2014: Going deeper with convolutions,
https://arxiv.org/abs/1409.4842, table 1.
"""

from typing import NamedTuple

import tensorflow as tf

from vision.layers import (
    AuxiliaryHead,
    ConvBlock,
    InceptionBlock,
    LocalResponseNorm,
    MaxPool,
    Widths,
    relu,
)
from vision.models.network import Network


class Conv(NamedTuple):
    """One convolution of a stem."""

    name: str
    channels: int
    kernel_size: int
    stride: int = 1
    padding: str | int = 'SAME'
    relu: bool = True


class Pool(NamedTuple):
    """A 3×3 max pool."""

    stride: int


class Norm(NamedTuple):
    """A local response norm; the defaults are those of TensorFlow's op."""

    radius: int = 5
    alpha: float = 1.0
    beta: float = 0.5


Stem = tuple[Conv | Pool | Norm, ...]

# The paper's layers with Caffe's padding. Caffe's LRN divides its alpha of 1e-4 by the
# five channels of the window, TensorFlow's does not.
PAPER_STEM: Stem = (
    Conv('conv1', 64, 7, stride=2, padding=3),
    Pool(2),
    Norm(2, 2e-5, 0.75),
    Conv('conv2_reduce', 64, 1),
    Conv('conv2', 192, 3),
    Norm(2, 2e-5, 0.75),
    Pool(2),
)

# "TensorFlow in Action", chapter 6: a stride-1 stem for images of 56 pixels.
SMALL_IMAGE_STEM: Stem = (
    Conv('conv1', 64, 7),
    Pool(2),
    Norm(),
    Conv('conv2_reduce', 64, 1, relu=False),
    Conv('conv2', 192, 3),
    Norm(),
    Pool(1),
)

# As in the same chapter, with more pooling and without LRN: a third of the operations.
COMPACT_STEM: Stem = (
    Conv('conv1', 64, 7),
    Pool(2),
    Conv('conv2_reduce', 64, 1),
    Conv('conv2', 192, 3),
    Pool(2),
)

# The layers behind the stem: blocks by name, and pools that halve the map.
BODY: tuple[tuple[str, Widths] | Pool, ...] = (
    ('inception_3a', Widths(64, 96, 128, 16, 32, 32)),
    ('inception_3b', Widths(128, 128, 192, 32, 96, 64)),
    Pool(2),
    ('inception_4a', Widths(192, 96, 208, 16, 48, 64)),
    ('inception_4b', Widths(160, 112, 224, 24, 64, 64)),
    ('inception_4c', Widths(128, 128, 256, 24, 64, 64)),
    ('inception_4d', Widths(112, 144, 288, 32, 64, 64)),
    ('inception_4e', Widths(256, 160, 320, 32, 128, 128)),
    Pool(2),
    ('inception_5a', Widths(256, 160, 320, 32, 128, 128)),
    ('inception_5b', Widths(384, 192, 384, 48, 128, 128)),
)

AUXILIARY_AFTER = ('inception_4a', 'inception_4d')

# At this size the last map of every variant has one pixel.
MIN_IMAGE_SIZE = 32


def _network(
    classes: int,
    image_size: int,
    *,
    stem: Stem,
    auxiliary: bool,
    aux_dropout: float,
    batch_norm: bool = False,
    dropout: float = 0.4,
    dtype: tf.DType = tf.float32,
    **options,
) -> Network:
    """The stem and the body as stages, with the two auxiliary heads.

    Args:
        classes: number of classes.
        image_size: side in pixels of the images to train on, at least 32. The
            auxiliary heads are made for it and adapt their pooling to other sizes.
        stem: the layers in front of block 3a.
        auxiliary: whether there are auxiliary heads.
        aux_dropout: dropout rate of each auxiliary head.
        batch_norm: whether batch norm follows every convolution.
        dropout: dropout rate of the classifier's input.
        dtype: floating-point type of the arithmetic.
        **options: of `Network` and of `Head`.

    Raises:
        ValueError: a number is out of range.
        UserError: the normalization is unknown.
    """
    common = {'batch_norm': batch_norm, 'dtype': dtype}
    stages: dict[str, tf.Module] = {}
    heads: dict[str, AuxiliaryHead] = {}
    channels, side = 3, image_size
    for row in (*stem, *BODY):
        if isinstance(row, Conv):
            stages[row.name] = ConvBlock(
                channels,
                row.channels,
                row.kernel_size,
                stride=row.stride,
                padding=row.padding,
                activation=relu if row.relu else None,
                **common,
            )
            channels, side = row.channels, -(-side // row.stride)
        elif isinstance(row, Pool):
            stages[f'pool{len(stages)}'] = MaxPool(3, row.stride)
            side = -(-side // row.stride)
        elif isinstance(row, Norm):
            stages[f'norm{len(stages)}'] = LocalResponseNorm(
                radius=row.radius, alpha=row.alpha, beta=row.beta
            )
        else:
            block, widths = row
            stages[block] = InceptionBlock(channels, widths, **common)
            channels = widths.out
            if auxiliary and block in AUXILIARY_AFTER:
                heads[block] = AuxiliaryHead(
                    channels,
                    side,
                    classes,
                    dropout=aux_dropout,
                    salt=1 + len(heads),
                    **common,
                )
    return Network(
        stages,
        channels,
        side,
        classes=classes,
        image_size=image_size,
        min_image_size=MIN_IMAGE_SIZE,
        heads=heads,
        dropout=dropout,
        dtype=dtype,
        **options,
    )


def inception_v1(
    classes: int,
    image_size: int = 56,
    normalization: str = 'symmetric',
    *,
    auxiliary: bool = True,
    aux_dropout: float = 0.7,
    **options,
) -> Network:
    """Inception v1 with a stride-1 stem for small images, and LRN."""
    return _network(
        classes,
        image_size,
        stem=SMALL_IMAGE_STEM,
        auxiliary=auxiliary,
        aux_dropout=aux_dropout,
        normalization=normalization,
        **options,
    )


def inception_v1_compact(
    classes: int,
    image_size: int = 56,
    normalization: str = 'symmetric',
    *,
    auxiliary: bool = True,
    aux_dropout: float = 0.7,
    **options,
) -> Network:
    """A third of the operations: a stem that pools more and has no LRN."""
    return _network(
        classes,
        image_size,
        stem=COMPACT_STEM,
        auxiliary=auxiliary,
        aux_dropout=aux_dropout,
        normalization=normalization,
        **options,
    )


def inception_v1_bn(
    classes: int,
    image_size: int = 64,
    normalization: str = 'symmetric',
    *,
    auxiliary: bool = True,
    aux_dropout: float = 0.7,
    **options,
) -> Network:
    """The compact variant with batch norm after every convolution, for accuracy."""
    return _network(
        classes,
        image_size,
        stem=COMPACT_STEM,
        batch_norm=True,
        auxiliary=auxiliary,
        aux_dropout=aux_dropout,
        normalization=normalization,
        **options,
    )


def googlenet(
    classes: int = 1000,
    image_size: int = 224,
    normalization: str = 'caffe',
    *,
    auxiliary: bool = True,
    aux_dropout: float = 0.7,
    **options,
) -> Network:
    """The paper's network, padded and normalized as BVLC's weights expect."""
    return _network(
        classes,
        image_size,
        stem=PAPER_STEM,
        auxiliary=auxiliary,
        aux_dropout=aux_dropout,
        normalization=normalization,
        **options,
    )
