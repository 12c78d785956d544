"""A few convolutions and a head that flattens, for two classes and little data."""

import tensorflow as tf

from vision.layers import ConvBlock, Dropout, MaxPool
from vision.layers.initializers import glorot_uniform
from vision.models.network import Network

# Of its dropout; those of the heads are smaller.
_BLOCK_SALT = 10


def small_cnn(
    classes: int,
    image_size: int = 160,
    normalization: str = 'raw',
    *,
    filters: tuple[int, ...] = (16, 32),
    block_dropout: float = 0.3,
    pooling: str = 'flatten',
    dense: tuple[int, ...] = (64,),
    dtype: tf.DType = tf.float32,
    **options,
) -> Network:
    """3×3 convolutions with ReLU, each followed by a max pool that halves the map.

    Args:
        classes: number of classes.
        image_size: side in pixels of the images to train on; each convolution's pool
            halves it.
        normalization: a key of `NORMALIZATIONS`.
        filters: channels of each convolution.
        block_dropout: dropout rate in front of the last pool, with at least two
            convolutions.
        pooling: of `Head`.
        dense: of `Head`.
        dtype: floating-point type of the arithmetic.
        **options: of `Network` and of `Head`.

    Raises:
        ValueError: a number is out of range.
        UserError: the normalization is unknown.
    """
    if not filters or min(filters) < 1:
        raise ValueError(
            'Expected filters of at least one convolution, each at least '
            f'1, received {tuple(filters)}.'
        )
    stages: dict[str, tf.Module] = {}
    channels, side = 3, image_size
    for number, width in enumerate(filters, start=1):
        # Larger initial kernels give logits of hundreds on raw pixels, and dead ReLUs.
        stages[f'conv{number}'] = ConvBlock(
            channels, width, 3, initializer=glorot_uniform, dtype=dtype
        )
        if number == len(filters) > 1:
            stages['dropout'] = Dropout(block_dropout, _BLOCK_SALT)
        stages[f'pool{number}'] = MaxPool(2, 2, 'VALID')
        channels, side = width, side // 2
    return Network(
        stages,
        channels,
        side,
        classes=classes,
        image_size=image_size,
        min_image_size=2 ** len(filters),
        normalization=normalization,
        pooling=pooling,
        dense=dense,
        dtype=dtype,
        **options,
    )
