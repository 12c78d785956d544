"""Plain networks of convolutions and max pools, for small images or little data."""

import tensorflow as tf

from vision.layers import ConvBlock, Dropout, MaxPool
from vision.layers.initializers import glorot_uniform
from vision.models.network import Network

# The salts of the dropouts of stages begin here; those of the heads are smaller.
_SALT = 10


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
    for number, channels in enumerate(zip((3, *filters), filters), start=1):
        # Larger initial kernels give logits of hundreds on raw pixels, and dead ReLUs.
        stages[f'conv{number}'] = ConvBlock(
            *channels, 3, initializer=glorot_uniform, dtype=dtype
        )
        if number == len(filters) > 1:
            stages['dropout'] = Dropout(block_dropout, _SALT)
        stages[f'pool{number}'] = MaxPool(2, 2, 'VALID')
    return Network(
        stages,
        filters[-1],
        image_size // 2 ** len(filters),
        classes=classes,
        image_size=image_size,
        min_image_size=2 ** len(filters),
        normalization=normalization,
        pooling=pooling,
        dense=dense,
        dtype=dtype,
        **options,
    )


def cifar_cnn(
    classes: int,
    image_size: int = 32,
    normalization: str = 'unit',
    *,
    filters: tuple[int, ...] = (64, 128, 256),
    convolutions: int = 1,
    behind_pool: int = 0,
    block_dropout: float = 0.25,
    dense: tuple[int, ...] = (512,),
    dropout: float = 0.5,
    dtype: tf.DType = tf.float32,
    **options,
) -> Network:
    """Blocks of 3×3 convolutions with batch norm and ReLU, max pool and dropout.

    Args:
        classes: number of classes.
        image_size: side in pixels of the images to train on; each block halves it.
        normalization: a key of `NORMALIZATIONS`.
        filters: channels of each block.
        convolutions: number of convolutions of a block in front of its pool.
        behind_pool: number of convolutions behind the pool, where a convolution costs a
            quarter.
        block_dropout: dropout rate of each block's output.
        dense: of `Head`.
        dropout: of `Head`.
        dtype: floating-point type of the arithmetic.
        **options: of `Network` and of `Head`.

    Raises:
        ValueError: a number is out of range.
        UserError: the normalization is unknown.
    """
    if not filters or min(filters) < 1:
        raise ValueError(
            'Expected filters of at least one block, each at least 1, '
            f'received {tuple(filters)}.'
        )
    if convolutions < 1 or behind_pool < 0:
        raise ValueError(
            'Expected at least 1 convolution in front of each pool and 0 '
            f'behind, received {convolutions} and {behind_pool}.'
        )
    stages: dict[str, tf.Module] = {}
    channels = 3
    for block, width in enumerate(filters, start=1):
        for number in range(1, convolutions + behind_pool + 1):
            stages[f'conv{block}_{number}'] = ConvBlock(
                channels, width, 3, batch_norm=True, dtype=dtype
            )
            channels = width
            if number == convolutions:
                stages[f'pool{block}'] = MaxPool(2, 2, 'VALID')
        stages[f'dropout{block}'] = Dropout(block_dropout, _SALT + block)
    return Network(
        stages,
        filters[-1],
        image_size // 2 ** len(filters),
        classes=classes,
        image_size=image_size,
        min_image_size=2 ** len(filters),
        normalization=normalization,
        dense=dense,
        dropout=dropout,
        dtype=dtype,
        **options,
    )
