"""The names of the networks' variables in files of weights."""

from collections.abc import Container, Mapping

import tensorflow as tf

from vision.layers import BatchNorm, InceptionBlock, SeparableConv2D
from vision.models import mobilenet_v2, xception
from vision.models.network import Network

# The models with published weights, and the normalization of their images.
NORMALIZATIONS = {
    'googlenet': 'caffe',
    'mobilenet_v2': 'symmetric',
    'xception': 'symmetric',
}
KERAS_LAYERS = {
    'mobilenet_v2': mobilenet_v2.keras_layers,
    'xception': xception.keras_layers,
}

# Layers or arrays in files of only one model; those of Xception in Keras 1 are unnamed.
_SIGNS = {
    'inception_3a/1x1/kernel': 'googlenet',
    'block_1_expand': 'mobilenet_v2',
    'block2_sepconv1': 'xception',
    'separableconvolution2d_1': 'xception',
}

# Stages of the stem and convolutions of Inception blocks by Caffe's names.
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
    """The normalization for the published weights of a model, None without any."""
    return NORMALIZATIONS.get(model)


def model_of(names: Container[str]) -> str | None:
    """The model whose files have layers or arrays of these names, None if unclear."""
    return next((model for sign, model in _SIGNS.items() if sign in names), None)


def variables_by_path(module: tf.Module, prefix: str = '') -> dict[str, tf.Variable]:
    """A module's variables by paths of attributes, such as 'stages/conv1/conv/kernel'.

    These are the names in runs and in .npz files of the project.
    """
    variables: dict[str, tf.Variable] = {}
    for name, child in tf.train.TrackableView.children(module).items():
        if isinstance(child, tf.Variable):
            variables[prefix + name] = child
        else:
            variables |= variables_by_path(child, f'{prefix}{name}/')
    return variables


def caffe_variables(model: Network) -> dict[str, tf.Variable]:
    """A GoogLeNet's variables by Caffe's names, without those of auxiliary heads."""
    layers = {name: model.stages[stage].conv for name, stage in _STEM.items()}
    for block, stage in model.stages.items():
        if isinstance(stage, InceptionBlock):
            for name, attribute in _BRANCHES.items():
                layers[f'{block}/{name}'] = getattr(stage, attribute).conv
    return variables_by_layer({**layers, CAFFE_CLASSIFIER: model.head.classifier})


def variables_by_layer(layers: Mapping[str, tf.Module]) -> dict[str, tf.Variable]:
    """The variables of layers as '<layer>/<part>', with Keras's names of the parts."""
    return {
        f'{name}/{part}': variable
        for name, layer in layers.items()
        for part, variable in keras_parts(layer).items()
    }


def keras_parts(layer: tf.Module) -> dict[str, tf.Variable]:
    """A layer's variables by Keras's names and in Keras's order."""
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
