"""Assigns the arrays of a file to the variables of a network."""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from vision.layers import BatchNorm, Conv2D, DepthwiseConv2D, SeparableConv2D
from vision.models.network import Network
from vision.models.pretrained.names import (
    CAFFE_CLASSIFIER,
    KERAS_LAYERS,
    NORMALIZATIONS,
    caffe_variables,
    keras_parts,
    model_of,
    variables_by_layer,
    variables_by_path,
)
from vision.models.pretrained.reading import (
    KerasFile,
    Layer,
    PretrainedError,
    Stored,
    numbered,
)

# Keras's names of unnamed layers, which a number follows.
_CLASSES: dict[type[tf.Module], str] = {
    Conv2D: 'conv2d',
    DepthwiseConv2D: 'depthwise_conv2d',
    SeparableConv2D: 'separable_conv2d',
    BatchNorm: 'batch_normalization',
}
_Layers = Mapping[str, tf.Module]


class Match(NamedTuple):
    """A network's variables and a file's arrays, both by the names of the file.

    Attributes:
        variables: those of the network.
        stored: the arrays of the file.
        classifier: prefix of the names of the head.
        notes: sentences about ignored parts of the file.
    """

    variables: dict[str, tf.Variable]
    stored: dict[str, Stored]
    classifier: str
    notes: tuple[str, ...] = ()


def by_path(model: Network, stored: Mapping[str, Stored]) -> Match:
    """By the names of `variables_by_path`."""
    return Match(variables_by_path(model), dict(stored), 'head')


def is_by_path(stored: Mapping[str, Stored]) -> bool:
    """Whether a file's names are those of `variables_by_path`."""
    return any(name.startswith(('stages/', 'head/', 'heads/')) for name in stored)


def by_caffe(model: Network, stored: Mapping[str, Stored], file: str) -> Match:
    """By Caffe's names, which only GoogLeNet has.

    Raises:
        PretrainedError: it is another model, or has another normalization.
    """
    check_model(model, 'googlenet', file)
    return Match(
        _without_other_heads(model, caffe_variables(model), CAFFE_CLASSIFIER),
        dict(stored),
        CAFFE_CLASSIFIER,
    )


def by_keras(model: Network, contents: KerasFile, file: str) -> Match:
    """By Keras's names; or, if a file has others, in Keras's order.

    Raises:
        PretrainedError: Keras has no such model, or it has another normalization.
    """
    layers = _layers_of(model, contents, file)
    inside, outside = _model_in(contents.layers, layers)
    # Files of the first versions of Keras 3 have no names.
    if not any(layer.named for layer in inside):
        layers = _unnamed(layers)
    inside, notes = _renumbered(inside), []
    *backbone, classifier = layers
    is_complete = set(backbone) <= {layer.name for layer in inside}
    if contents.ordered and not is_complete and _in_order(inside, layers):
        pairs = list(zip(inside, layers))
        old, new = next((x.name, name) for x, name in pairs if x.name != name)
        notes.append(
            f'The layers in {file} have other names ({old} for {new}) and are '
            'assigned in their order, as in Keras.'
        )
        inside = [layer._replace(name=name) for layer, name in pairs]
    unknown = [x for x in inside if x.name not in layers and _is_dense(x)]
    dense = [layer.name for layer in (*unknown, *filter(_is_dense, outside))]
    if dense:
        notes.append(
            f'These dense layers of another head in {file} are ignored: '
            f'{", ".join(dense)}.'
        )
    others = [
        layer.name
        for layer in outside
        # Neither an optimizer, which is in no list of layers, nor random seeds.
        if layer.container != '/' and any(a.dtype.kind == 'f' for a in layer.arrays)
        if not _is_dense(layer)
    ]
    if others:
        notes.append(
            f'These layers of {file} are not part of a {model.name} and are ignored, '
            f'with their effect: {", ".join(others)}.'
        )
    return Match(
        _without_other_heads(model, variables_by_layer(layers), classifier),
        _flat([x for x in inside if x not in unknown], layers),
        classifier,
        tuple(notes),
    )


def check_model(model: Network, name: str, file: str) -> None:
    """Raises PretrainedError unless the weights of a file belong to a network."""
    if model.name != name or model.normalization != NORMALIZATIONS[name]:
        raise PretrainedError(
            f'Expected the model {name!r} with normalization {NORMALIZATIONS[name]!r}, '
            f'which the weights in {file} were trained with, received {model.name!r} '
            f'with {model.normalization!r}. Choose that model and normalization, or '
            'other weights.'
        )


def _layers_of(model: Network, contents: KerasFile, file: str) -> dict[str, tf.Module]:
    """The model's layers by Keras's names, if the file is not of another model."""
    name = model_of({layer.name for layer in contents.layers}) or model.name
    if name not in KERAS_LAYERS:
        raise PretrainedError(
            f'Expected an .npz of its variables for the model {model.name!r}, received '
            f'the Keras file {file}. Keras has only {", ".join(KERAS_LAYERS)}.'
        )
    check_model(model, name, file)
    return KERAS_LAYERS[name](model)


def _model_in(
    layers: list[Layer], expected: _Layers
) -> tuple[list[Layer], list[Layer]]:
    """The layers of the container with most of the expected ones, and the others."""

    def likeness(container: str) -> tuple[int, int]:
        names = [layer.name for layer in layers if layer.container == container]
        return sum(name in expected for name in names), len(names)

    best = max(dict.fromkeys(layer.container for layer in layers), key=likeness)
    return (
        [layer for layer in layers if layer.container == best],
        [layer for layer in layers if layer.container != best],
    )


def _unnamed(layers: _Layers) -> dict[str, tf.Module]:
    """The layers by class and number, counted from 1; the classifier is 'dense'."""
    *backbone, classifier = layers.values()
    numbers = {kind: itertools.count(1) for kind in _CLASSES}
    return {
        f'{_CLASSES[type(layer)]}_{next(numbers[type(layer)])}': layer
        for layer in backbone
    } | {'dense': classifier}


def _renumbered(layers: list[Layer]) -> list[Layer]:
    """The layers that Keras named, numbered from 1; Keras counts all of a process."""
    names: dict[str, str] = {}
    for kind in _CLASSES.values():
        of_kind = [x.name for x in layers if numbered(x.name)[0] == kind]
        for count, name in enumerate(sorted(of_kind, key=numbered), start=1):
            names[name] = f'{kind}_{count}'
    return [x._replace(name=names.get(x.name, x.name)) for x in layers]


def _in_order(stored: list[Layer], layers: _Layers) -> bool:
    """Whether a file's layers are the model's in the same order, by their shapes.

    The classifier, which is the last layer, can have any shape or be absent.
    """
    *backbone, _ = [
        tuple(tuple(variable.shape) for variable in keras_parts(layer).values())
        for layer in layers.values()
    ]
    return (
        [layer.shapes for layer in stored[: len(backbone)]] == backbone
        and len(stored) <= len(layers)
        # In a nested model the order differs: frozen layers come last.
        and not any(layer.container for layer in stored)
    )


def _is_dense(layer: Layer) -> bool:
    return [len(shape) for shape in layer.shapes] in ([2], [2, 1])


def _flat(stored: list[Layer], layers: _Layers) -> dict[str, Stored]:
    """The arrays as '<layer>/<part>'; a number for parts that the model lacks."""
    arrays = {}
    for layer in stored:
        parts = list(keras_parts(layers[layer.name])) if layer.name in layers else []
        for number, array in enumerate(layer.arrays):
            part = parts[number] if number < len(parts) else number
            arrays[f'{layer.name}/{part}'] = array
    return arrays


def _without_other_heads(
    model: Network, variables: dict[str, tf.Variable], classifier: str
) -> dict[str, tf.Variable]:
    """Removes a classifier whose input is not the average, as in published models."""
    if not model.head.dense and model.head.pooling == 'average':
        return variables
    return {n: v for n, v in variables.items() if not n.startswith(f'{classifier}/')}
