"""What the variables of our networks are called in the files that hold weights."""

from collections.abc import Container

import tensorflow as tf

from vision.layers import BatchNorm, InceptionBlock, SeparableConv2D
from vision.models import mobilenet_v2, xception
from vision.models.network import Network

# The models that others have trained, and what their images were normalized by.
NORMALIZATIONS = {
    'googlenet': 'caffe',
    'mobilenet_v2': 'symmetric',
    'xception': 'symmetric',
}
KERAS_LAYERS = {
    'mobilenet_v2': mobilenet_v2.keras_layers,
    'xception': xception.keras_layers,
}

# Layers or arrays that only one model's files have; Xception's in Keras 1 had no names.
_SIGNS = {
    'inception_3a/1x1/kernel': 'googlenet',
    'block_1_expand': 'mobilenet_v2',
    'block2_sepconv1': 'xception',
    'separableconvolution2d_1': 'xception',
}

# Caffe's names of the layers and ours: in the stem, and in each Inception block.
_STEM = {
    'conv1/7x7_s2': 'conv1',
    'conv2/3x3_reduce': 'conv2_reduce',
    'conv2/3x3': 'conv2',
}
_BRANCHES = {
    '1x1': 'conv1',
    '3x3_reduce': 'reduce3',
    '3x3': 'conv3',
    '5x5_reduce': 'reduce5',
    '5x5': 'conv5',
    'pool_proj': 'project',
}
CAFFE_CLASSIFIER = 'loss3/classifier'


def normalization_of(model: str) -> str | None:
    """What images must be normalized by for the published weights of a model.

    None where there are no such weights.
    """
    return NORMALIZATIONS.get(model)


def model_of(names: Container[str]) -> str | None:
    """The model whose file has layers or arrays of these names, if that is plain."""
    return next((model for sign, model in _SIGNS.items() if sign in names), None)


def variables_by_path(module: tf.Module, prefix: str = '') -> dict[str, tf.Variable]:
    """A module's variables by the names of the attributes that lead to them.

    These are the names of our own files: 'stages/conv1/conv/kernel'.
    """
    found: dict[str, tf.Variable] = {}
    for name, child in tf.train.TrackableView.children(module).items():
        if isinstance(child, tf.Variable):
            found[prefix + name] = child
        else:
            found.update(variables_by_path(child, f'{prefix}{name}/'))
    return found


def caffe_variables(model: Network) -> dict[str, tf.Variable]:
    """A GoogLeNet's variables without the auxiliary heads', by Caffe's names."""
    layers = {name: model.stages[ours].conv for name, ours in _STEM.items()}
    for block, stage in model.stages.items():
        if isinstance(stage, InceptionBlock):
            for name, ours in _BRANCHES.items():
                layers[f'{block}/{name}'] = getattr(stage, ours).conv
    layers[CAFFE_CLASSIFIER] = model.head.classifier
    return {
        f'{name}/{part}': variable
        for name, layer in layers.items()
        for part, variable in keras_parts(layer).items()
    }


def keras_parts(layer: tf.Module) -> dict[str, tf.Variable]:
    """A layer's variables by Keras's names of them and in its order."""
    if isinstance(layer, BatchNorm):
        return {
            'gamma': layer.scale,
            'beta': layer.offset,
            'moving_mean': layer.moving_mean,
            'moving_variance': layer.moving_variance,
        }
    if isinstance(layer, SeparableConv2D):
        parts = {
            'depthwise_kernel': layer.depthwise.kernel,
            'pointwise_kernel': layer.pointwise.kernel,
            'bias': layer.pointwise.bias,
        }
    else:
        parts = {'kernel': layer.kernel, 'bias': layer.bias}
    return {name: variable for name, variable in parts.items() if variable is not None}
