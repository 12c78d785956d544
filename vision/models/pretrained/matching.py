"""Which array of a file belongs to which variable of a network."""

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from vision.layers import BatchNorm, Conv2D, DepthwiseConv2D, SeparableConv2D
from vision.models.network import Network
from vision.models.pretrained.arrays import PretrainedError, Stored
from vision.models.pretrained.keras_file import KerasFile, Layer, numbered
from vision.models.pretrained.names import (
    CAFFE_CLASSIFIER,
    KERAS_LAYERS,
    NORMALIZATIONS,
    caffe_variables,
    keras_parts,
    model_of,
    variables_by_path,
)

# What Keras calls a layer of a backbone that is given no name, and a number behind.
_CLASSES: dict[type[tf.Module], str] = {
    Conv2D: 'conv2d',
    DepthwiseConv2D: 'depthwise_conv2d',
    SeparableConv2D: 'separable_conv2d',
    BatchNorm: 'batch_normalization',
}
_Layers = Mapping[str, tf.Module]


class Match(NamedTuple):
    """A network's variables and a file's arrays, both by the names of the file.

    classifier: what the names of the head's begin with.
    notes: what else is to be said.
    """

    variables: dict[str, tf.Variable]
    stored: dict[str, Stored]
    classifier: str
    notes: tuple[str, ...] = ()


def by_path(model: Network, stored: Mapping[str, Stored]) -> Match:
    """By our own names."""
    return Match(variables_by_path(model), dict(stored), 'head')


def is_by_path(stored: Mapping[str, Stored]) -> bool:
    """Whether a file's names are ours."""
    return any(name.startswith(('stages/', 'head/', 'heads/')) for name in stored)


def by_caffe(model: Network, stored: Mapping[str, Stored], file: str) -> Match:
    """By Caffe's names, of which there are some only for GoogLeNet.

    Raises:
        PretrainedError: the model is another one, or normalizes in another way.
    """
    check_model(model, 'googlenet', file)
    variables = _without_other_heads(model, caffe_variables(model), CAFFE_CLASSIFIER)
    return Match(variables, dict(stored), CAFFE_CLASSIFIER)


def by_keras(model: Network, found: KerasFile, file: str) -> Match:
    """By Keras's names; or, where a file has others, in Keras's order.

    Raises:
        PretrainedError: Keras has no such model, or it normalizes in another way.
    """
    layers = _layers_of(model, found, file)
    own, others = _model_in(found.layers, layers)
    # Files of the first versions of Keras 3 tell no names.
    if not any(layer.named for layer in own):
        layers = _unnamed(layers)
    own, notes = _renumbered(own), []
    if found.ordered and not set(list(layers)[:-1]) <= {layer.name for layer in own}:
        ordered = _in_order(own, layers)
        if ordered is not None:
            notes.append(_order_note(own, ordered, file))
            own = ordered
    strange = [x for x in own if x.name not in layers and _is_dense(x)]
    dense = strange + [x for x in others if _is_dense(x)]
    if dense:
        notes.append(
            f'Of another head in {file}, these dense layers are left out: '
            f'{", ".join(layer.name for layer in dense)}.'
        )
    around = [x for x in others if _changes_what_passes(x) and not _is_dense(x)]
    if around:
        notes.append(
            f'These layers of {file} are none of a {model.name} and are left '
            f'out, with what they do: {", ".join(x.name for x in around)}.'
        )
    stored = _flat([x for x in own if x not in strange], layers)
    variables = {
        f'{name}/{part}': variable
        for name, layer in layers.items()
        for part, variable in keras_parts(layer).items()
    }
    classifier = list(layers)[-1]
    variables = _without_other_heads(model, variables, classifier)
    return Match(variables, stored, classifier, tuple(notes))


def check_model(model: Network, name: str, file: str) -> None:
    """Raises PretrainedError unless a network is the one that a file is for."""
    if model.name != name or model.normalization != NORMALIZATIONS[name]:
        raise PretrainedError(
            f'Expected the model {name!r} with normalization {NORMALIZATIONS[name]!r}, '
            f'which the weights in {file} were trained with, received {model.name!r} '
            f'with {model.normalization!r}: make that model, or take other weights.'
        )


def _layers_of(model: Network, found: KerasFile, file: str) -> dict[str, tf.Module]:
    """The model's layers by Keras's names, if the file can be meant for it."""
    meant = model_of({layer.name for layer in found.layers})
    if meant is not None:
        check_model(model, meant, file)
    if model.name not in KERAS_LAYERS:
        raise PretrainedError(
            f'Expected an .npz of its own variables for the model {model.name!r}, '
            f'received the Keras file {file}; such files are for '
            f'{", ".join(KERAS_LAYERS)}.'
        )
    check_model(model, model.name, file)
    return KERAS_LAYERS[model.name](model)


def _model_in(found: list[Layer], layers: _Layers) -> tuple[list[Layer], list[Layer]]:
    """The layers of the model that a file is about, and those around it."""
    containers: dict[str, list[Layer]] = {}
    for layer in found:
        containers.setdefault(layer.container, []).append(layer)

    def likeness(name: str) -> tuple[int, int]:
        known = sum(layer.name in layers for layer in containers[name])
        return known, len(containers[name])

    best = max(containers, key=likeness)
    return containers[best], [layer for layer in found if layer.container != best]


def _unnamed(layers: _Layers) -> dict[str, tf.Module]:
    """The layers by their class and number, counted from 1; the classifier is one."""
    *backbone, classifier = layers.values()
    counts = dict.fromkeys(_CLASSES, 0)
    found = {}
    for layer in backbone:
        counts[type(layer)] += 1
        found[f'{_CLASSES[type(layer)]}_{counts[type(layer)]}'] = layer
    return {**found, 'dense': classifier}


def _renumbered(layers: list[Layer]) -> list[Layer]:
    """Counts the layers that Keras named from 1; it goes on where it was before."""
    names: dict[str, str] = {}
    for kind in _CLASSES.values():
        of_kind = [x.name for x in layers if numbered(x.name)[0] == kind]
        for count, name in enumerate(sorted(of_kind, key=numbered), start=1):
            names[name] = f'{kind}_{count}'
    return [x._replace(name=names.get(x.name, x.name)) for x in layers]


def _in_order(found: list[Layer], layers: _Layers) -> list[Layer] | None:
    """A file's layers by the names of those in their places, if all shapes agree.

    The classifier, which comes last, may have any shape or be absent.
    """
    *backbone, _ = [_shapes(layer) for layer in layers.values()]
    theirs, rest = found[: len(backbone)], found[len(backbone) :]
    if [layer.shapes for layer in theirs] != backbone or len(rest) > 1:
        return None
    # Of a model in a model, the frozen layers come last.
    if any(layer.container for layer in found):
        return None
    return [layer._replace(name=name) for layer, name in zip(found, layers)]


def _shapes(layer: tf.Module) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(variable.shape) for variable in keras_parts(layer).values())


def _order_note(found: list[Layer], ordered: list[Layer], file: str) -> str:
    pairs = zip(found, ordered)
    old, new = next((x.name, y.name) for x, y in pairs if x.name != y.name)
    return (
        f'The layers in {file} have other names ({old} for {new}): they are taken '
        'in their order, as Keras does.'
    )


def _is_dense(layer: Layer) -> bool:
    return [len(shape) for shape in layer.shapes] in ([2], [2, 1])


def _changes_what_passes(layer: Layer) -> bool:
    """Not an optimizer, which is in no list of layers, nor a source of random seeds."""
    return layer.container != '/' and any(x.dtype.kind == 'f' for x in layer.arrays)


def _flat(found: list[Layer], layers: _Layers) -> dict[str, Stored]:
    """The arrays by layer and part; a number for those that our layer does not have."""
    stored = {}
    for layer in found:
        ours = list(keras_parts(layers[layer.name])) if layer.name in layers else []
        for number, array in enumerate(layer.arrays):
            part = ours[number] if number < len(ours) else number
            stored[f'{layer.name}/{part}'] = array
    return stored


def _without_other_heads(
    model: Network, variables: dict[str, tf.Variable], classifier: str
) -> dict[str, tf.Variable]:
    """Leaves out a classifier that does not sit on the average, as others' do."""
    if not model.head.dense and model.head.pooling == 'average':
        return variables
    return {n: v for n, v in variables.items() if not n.startswith(f'{classifier}/')}
