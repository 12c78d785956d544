"""Networks of a convolution or two: one with every kind of state, one with a head."""

import tensorflow as tf

from vision.layers import AuxiliaryHead, ConvBlock, Dropout
from vision.models import Network


def small(
    classes: int,
    image_size: int = 32,
    normalization: str = 'symmetric',
    aux_dropout: float = 0.5,
    dtype: tf.DType = tf.float32,
    **head,
) -> Network:
    """Two convolutions with batch norm, dropout between, two auxiliary heads."""
    heads = {
        name: AuxiliaryHead(
            8,
            image_size // 4,
            classes,
            dropout=aux_dropout,
            salt=salt,
            batch_norm=True,
            dtype=dtype,
        )
        for salt, name in enumerate(('conv1', 'conv2'), start=1)
    }
    return Network(
        {
            'conv1': ConvBlock(3, 8, 5, stride=4, batch_norm=True, dtype=dtype),
            'dropout': Dropout(0.2, salt=3),
            'conv2': ConvBlock(8, 8, 3, batch_norm=True, dtype=dtype),
        },
        8,
        image_size // 4,
        classes=classes,
        image_size=image_size,
        min_image_size=4,
        normalization=normalization,
        heads=heads,
        dtype=dtype,
        **head,
    )


def one_convolution(
    classes: int,
    image_size: int = 32,
    normalization: str = 'symmetric',
    auxiliary: bool = True,
    aux_dropout: float = 0.0,
    dtype: tf.DType = tf.float32,
    **head,
) -> Network:
    """One convolution and, if asked for, an auxiliary head: trains quickly."""
    heads = {}
    if auxiliary:
        heads['conv'] = AuxiliaryHead(
            16, image_size // 4, classes, dropout=aux_dropout, dtype=dtype
        )
    return Network(
        {'conv': ConvBlock(3, 16, 5, stride=4, dtype=dtype)},
        16,
        image_size // 4,
        classes=classes,
        image_size=image_size,
        min_image_size=4,
        normalization=normalization,
        heads=heads,
        dtype=dtype,
        **head,
    )
