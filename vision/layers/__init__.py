"""Building blocks: `tf.Module`s that are all called as `block(x, training)`.

`training` is a `Mode`, which only `BatchNorm` and `Dropout` evaluate. Variables are
float32 and are made in `__init__` from explicit channel counts. The arithmetic runs in
the block's `dtype`, to which it casts its variables when called.
"""

from typing import TYPE_CHECKING

from vision.registry import lazy_attributes

if TYPE_CHECKING:
    from vision.layers.activations import relu, relu6
    from vision.layers.convolution import (
        Conv2D,
        ConvBlock,
        ConvNormActivation,
        DepthwiseConv2D,
        SeparableConv2D,
    )
    from vision.layers.dense import Dense
    from vision.layers.dropout import Dropout
    from vision.layers.head import Head
    from vision.layers.inception import (
        AuxiliaryHead,
        InceptionBlock,
        Widths,
    )
    from vision.layers.modes import Estimation, Mode
    from vision.layers.normalization import (
        BatchNorm,
        LocalResponseNorm,
        local_response_norm,
    )
    from vision.layers.pooling import MaxPool

__all__ = [
    'AuxiliaryHead',
    'BatchNorm',
    'Conv2D',
    'ConvBlock',
    'ConvNormActivation',
    'Dense',
    'DepthwiseConv2D',
    'Dropout',
    'Estimation',
    'Head',
    'InceptionBlock',
    'LocalResponseNorm',
    'MaxPool',
    'Mode',
    'SeparableConv2D',
    'Widths',
    'local_response_norm',
    'relu',
    'relu6',
]

__getattr__ = lazy_attributes(
    __name__,
    __all__,
    'activations',
    'convolution',
    'dense',
    'dropout',
    'head',
    'inception',
    'modes',
    'normalization',
    'pooling',
)
