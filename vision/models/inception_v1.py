"""Inception v1 (GoogLeNet) in four variants that share one table.

Szegedy et al., 2014: Going deeper with convolutions,
https://arxiv.org/abs/1409.4842, table 1.
"""

from typing import NamedTuple

import tensorflow as tf

from vision.layers import (AuxiliaryHead, ConvBlock, Dense, Dropout, InceptionBlock,
                           LocalResponseNorm, MaxPool)
from vision.layers.inception import Widths
from vision.models.normalization import NORMALIZATIONS
from vision.models.outputs import Outputs


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

# The paper's layers with Caffe's padding. Its LRN divides alpha 1e-4 by the window's
# five channels, TensorFlow's does not.
PAPER_STEM: Stem = (
    Conv('conv1', 64, 7, stride=2, padding=3),
    Pool(2),
    Norm(2, 2e-5, 0.75),
    Conv('conv2_reduce', 64, 1),
    Conv('conv2', 192, 3),
    Norm(2, 2e-5, 0.75),
    Pool(2),
)

# "TensorFlow in Action", chapter 6: a stride-1 stem for pictures of 56 pixels.
SMALL_IMAGE_STEM: Stem = (
    Conv('conv1', 64, 7),
    Pool(2),
    Norm(),
    Conv('conv2_reduce', 64, 1, relu=False),
    Conv('conv2', 192, 3),
    Norm(),
    Pool(1),
)

# The same chapter told again with more pooling and no LRN: a third of the work.
COMPACT_STEM: Stem = (
    Conv('conv1', 64, 7),
    Pool(2),
    Conv('conv2_reduce', 64, 1),
    Conv('conv2', 192, 3),
    Pool(2),
)

# Everything behind the stem: blocks by name, and pools that halve the map.
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

# At this size the last map of every variant still has a pixel to average.
MIN_IMAGE_SIZE = 32


class InceptionV1(tf.Module):
    """Inception v1: pictures `[B, H, W, 3]` in 0..255 → `Outputs` of float32 logits.

    Outside training any H and W from 32 up will do. In training the auxiliary heads
    need square pictures; they are made for `image_size` and adapt their pooling to
    others as long as the map is large enough.

    Args:
        classes: number of classes.
        image_size: side in pixels of the pictures to train on, at least 32.
        stem: the layers in front of block 3a.
        normalization: a key of `NORMALIZATIONS`, applied to the pictures first.
        batch_norm: whether batch norm follows every convolution.
        dropout: share of the 1024 averaged features dropped in training.
        aux_dropout: share of the features of each auxiliary head dropped in training.
        dtype: floating-point type of the arithmetic; variables and logits are float32.

    Raises:
        ValueError: a number is out of range or the normalization is unknown.
    """

    def __init__(self, classes: int, image_size: int, *, stem: Stem, normalization: str,
                 batch_norm: bool = False, dropout: float = 0.4,
                 aux_dropout: float = 0.7, dtype: tf.DType = tf.float32,
                 name: str = 'inception_v1'):
        super().__init__(name=name)
        if classes < 2:
            raise ValueError(f'Expected at least 2 classes, received {classes}.')
        if image_size < MIN_IMAGE_SIZE:
            raise ValueError(f'Expected pictures of at least {MIN_IMAGE_SIZE} pixels '
                             f'for {name}, received image_size={image_size}.')
        if normalization not in NORMALIZATIONS:
            raise ValueError(f'Expected a normalization of {sorted(NORMALIZATIONS)}, '
                             f'received {normalization!r}.')
        self.classes = classes
        self.image_size = image_size
        self.normalization = normalization
        self.dtype = dtype

        options = {'batch_norm': batch_norm, 'dtype': dtype}
        self.stages: dict[str, tf.Module] = {}
        self.heads: dict[str, AuxiliaryHead] = {}
        channels, side = self._add_stem(stem, options)
        for row in BODY:
            if isinstance(row, Pool):
                self._add_pool(row)
                side = -(-side // row.stride)
                continue
            block, widths = row
            self.stages[block] = InceptionBlock(channels, widths, **options)
            channels = widths.out
            if block in AUXILIARY_AFTER:
                self.heads[block] = AuxiliaryHead(channels, side, classes,
                                                  dropout=aux_dropout,
                                                  salt=1 + len(self.heads), **options)
        self.dropout = Dropout(dropout)
        self.classifier = Dense(channels, classes, dtype=dtype)

    def __call__(self, images: tf.Tensor, training: bool = False,
                 seed: tf.Tensor | None = None) -> Outputs:
        """Returns the logits.

        Args:
            images: `[B, H, W, 3]` RGB in 0..255, uint8 or floating point.
            training: whether dropout, batch statistics and auxiliary heads are on.
            seed: integer tensor [2] that determines the dropout masks; needed in
                training unless both dropout rates are 0.
        """
        x = NORMALIZATIONS[self.normalization](tf.cast(images, tf.float32))
        x = tf.cast(x, self.dtype)
        aux = []
        for name, stage in self.stages.items():
            x = stage(x, training)
            if training and name in self.heads:
                aux.append(self.heads[name](x, training, seed))
        x = tf.reduce_mean(x, [1, 2])
        x = self.dropout(x, training, seed)
        return Outputs(tf.cast(self.classifier(x), tf.float32), tuple(aux))

    def _add_stem(self, stem: Stem, options: dict) -> tuple[int, int]:
        """Adds the stem's stages; returns the channels and the side of its output."""
        channels, side = 3, self.image_size
        for index, row in enumerate(stem):
            if isinstance(row, Conv):
                self.stages[row.name] = ConvBlock(channels, row.channels,
                                                  row.kernel_size, stride=row.stride,
                                                  padding=row.padding, relu=row.relu,
                                                  **options)
                channels = row.channels
                side = -(-side // row.stride)
            elif isinstance(row, Pool):
                self._add_pool(row)
                side = -(-side // row.stride)
            else:
                self.stages[f'norm{index}'] = LocalResponseNorm(
                    radius=row.radius, alpha=row.alpha, beta=row.beta)
        return channels, side

    def _add_pool(self, row: Pool) -> None:
        self.stages[f'pool{len(self.stages)}'] = MaxPool(3, row.stride)


def inception_v1(classes: int, image_size: int = 56, normalization: str = 'symmetric',
                 **options) -> InceptionV1:
    """Inception v1 with a stride-1 stem for small pictures, and LRN."""
    return InceptionV1(classes, image_size, stem=SMALL_IMAGE_STEM,
                       normalization=normalization, **options)


def inception_v1_compact(classes: int, image_size: int = 56,
                         normalization: str = 'symmetric', **options) -> InceptionV1:
    """A third of the work: a stem that pools more and has no LRN."""
    return InceptionV1(classes, image_size, stem=COMPACT_STEM,
                       normalization=normalization, **options)


def inception_v1_bn(classes: int, image_size: int = 64,
                    normalization: str = 'symmetric', **options) -> InceptionV1:
    """The compact one with batch norm after every convolution, for accuracy."""
    return InceptionV1(classes, image_size, stem=COMPACT_STEM, batch_norm=True,
                       normalization=normalization, **options)


def googlenet(classes: int = 1000, image_size: int = 224, normalization: str = 'caffe',
              **options) -> InceptionV1:
    """The paper's network, padded and normalized as BVLC's weights expect."""
    return InceptionV1(classes, image_size, stem=PAPER_STEM,
                       normalization=normalization, **options)
