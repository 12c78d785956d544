"""A network with all that the largest ones have, in milliseconds."""

import tensorflow as tf

from vision.layers import (
    AuxiliaryHead,
    ConvBlock,
    InceptionBlock,
    LocalResponseNorm,
    MaxPool,
    Widths,
)
from vision.models import Network

# Square images that it is made for, in pixels.
SIZE = 8


def tiny_network(
    *,
    batch_norm: bool = False,
    dropout: float = 0.0,
    aux_dropout: float = 0.0,
    auxiliary: bool = True,
    dtype: tf.DType = tf.float32,
    **options,
) -> Network:
    """Local response norm, two Inception blocks and an auxiliary head behind each."""
    common = {'batch_norm': batch_norm, 'dtype': dtype}
    stages = {
        'conv1': ConvBlock(3, 6, 3, **common),
        'norm': LocalResponseNorm(),
        'pool': MaxPool(3, 2),
        'inception_4a': InceptionBlock(6, Widths(3, 2, 4, 2, 3, 2), **common),
        'inception_4d': InceptionBlock(12, Widths(4, 3, 5, 2, 3, 4), **common),
    }
    options = {'classes': 3, 'normalization': 'symmetric', **options}
    heads = {
        block: AuxiliaryHead(
            channels, 4, options['classes'], dropout=aux_dropout, salt=salt, **common
        )
        for salt, (block, channels) in enumerate(
            {'inception_4a': 12, 'inception_4d': 16}.items(), start=1
        )
    }
    return Network(
        stages,
        16,
        4,
        image_size=SIZE,
        min_image_size=2,
        heads=heads if auxiliary else {},
        dropout=dropout,
        dtype=dtype,
        **options,
    )
