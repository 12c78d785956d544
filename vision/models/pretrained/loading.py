"""Loads all weights of a network from a file, or none."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from vision.models.network import Network
from vision.models.pretrained.matching import (
    Match,
    by_caffe,
    by_keras,
    by_path,
    is_by_path,
)
from vision.models.pretrained.names import model_of
from vision.models.pretrained.reading import (
    KerasFile,
    PretrainedError,
    Stored,
    explained,
    opened,
)

_SHOWN = 8  # problems in an error message

# The convolution that shows the alpha of a MobileNetV2, by Keras's name and by that of
# `variables_by_path`, and its output channels at alpha 1.
_ALPHA_KERNELS = ('block_16_project/kernel', 'stages/block_16/project/conv/kernel')
_ALPHA_CHANNELS = 320


class Loaded(NamedTuple):
    """The result of `load`.

    Attributes:
        arrays: number of assigned variables.
        head: 'loaded', or 'fresh' if the classifier keeps its values.
        notes: sentences about ignored parts of the file.
    """

    arrays: int
    head: str
    notes: tuple[str, ...]


def load(
    model: Network,
    weights: str | os.PathLike[str] | Mapping[str, np.ndarray],
    heads: bool = True,
) -> Loaded:
    """Assigns weights to a network; if an array does not fit, none is assigned.

    Heads that are absent from the weights, or have another form or number of classes,
    keep their values; the notes of the result name them. Arrays have the layout of
    Keras: kernels `[height, width, in, out]`, of depthwise convolutions
    `[height, width, channels, 1]`, of dense layers `[in, out]`.

    GoogLeNet can have the weights of BVLC, trained on ImageNet and released for
    unrestricted use (https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet):
    an .npz of `<layer>/kernel` and `<layer>/bias` with Caffe's names of the layers.

    Args:
        model: the network, with the normalization that its weights were trained with.
        weights: arrays of float32 or float16 by the names of `variables_by_path`; or a
            file: an .npz of such arrays, or for a network that Keras has a
            `.weights.h5` or `.h5` of weights or of a model that Keras saved.
        heads: False if all heads keep their values.

    Raises:
        PretrainedError: the weights belong to another model or normalization; the file
            cannot be read; or arrays are missing, unknown, of another shape or type,
            or not finite. The message names them.
    """
    if isinstance(weights, Mapping):
        stored = {
            name: Stored(array.shape, array.dtype, array.view)
            for name, array in weights.items()
        }
        return _load(model, by_path(model, stored), 'the given weights', heads)
    file = os.fspath(weights)
    with opened(file) as contents:
        if isinstance(contents, KerasFile):
            match = by_keras(model, contents, file)
        elif model_of(contents) == 'googlenet' or (
            model.name == 'googlenet' and not is_by_path(contents)
        ):
            match = by_caffe(model, contents, file)
        else:
            match = by_path(model, contents)
        return _load(model, match, file, heads)


def _load(model: Network, match: Match, file: str, heads: bool) -> Loaded:
    match = _settle_heads(model, match, file, heads)
    problems, arrays = _checked(match, file)
    if problems:
        shown = problems[:_SHOWN]
        if len(problems) > _SHOWN:
            shown.append(f'and {len(problems) - _SHOWN} more')
        raise PretrainedError(
            f'Expected the weights of {model.name!r} in {file}, but'
            f'{_guess(model, match)}:\n  ' + '\n  '.join(shown)
        )
    for name, variable in match.variables.items():
        variable.assign(arrays[name])
    loaded = any(name.startswith(f'{match.classifier}/') for name in arrays)
    return Loaded(len(arrays), 'loaded' if loaded else 'fresh', match.notes)


def _settle_heads(model: Network, match: Match, file: str, wanted: bool) -> Match:
    """Removes heads that are not wanted or do not fit from variables and arrays."""
    head_of = re.compile(f'({re.escape(match.classifier)}|heads/[^/]+)/').match
    starts = map(head_of, (*match.variables, *match.stored))
    for head in dict.fromkeys(start[1] for start in starts if start):
        prefix = f'{head}/'
        variables = {n: v for n, v in match.variables.items() if n.startswith(prefix)}
        stored = {n: a for n, a in match.stored.items() if n.startswith(prefix)}
        if wanted and _fits(variables, stored):
            continue
        notes = match.notes
        if wanted:
            notes += (_head_note(model, match, head, variables, stored, file),)
        match = match._replace(
            variables={n: v for n, v in match.variables.items() if n not in variables},
            stored={n: a for n, a in match.stored.items() if n not in stored},
            notes=notes,
        )
    return match


def _fits(variables: Mapping[str, tf.Variable], stored: Mapping[str, Stored]) -> bool:
    """Whether a head is loaded: it has the same layers, which can be damaged."""
    shapes = [
        (stored[name].shape, tuple(variables[name].shape))
        for name in stored.keys() & variables
    ]
    if any(_is_permuted(*pair) for pair in shapes):
        return True
    same = all(shape == expected for shape, expected in shapes)
    return bool(stored) and same and _layers(variables) == _layers(stored)


def _layers(names: Iterable[str]) -> set[str]:
    return {name.rpartition('/')[0] for name in names}


def _is_permuted(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return shape != expected and sorted(shape) == sorted(expected)


def _head_note(
    model: Network,
    match: Match,
    head: str,
    variables: Mapping[str, tf.Variable],
    stored: Mapping[str, Stored],
    file: str,
) -> str:
    """Why a head keeps its random values, or is ignored."""
    title = (
        'classifier'
        if head == match.classifier
        else f'auxiliary classifier at {head.removeprefix("heads/")}'
    )
    if not stored:
        return f'There is no {title} in {file}: it is initialized randomly.'
    bias = stored.get(f'{head}/bias') or stored.get(f'{head}/classifier/bias')
    classes = bias.shape[0] if bias and bias.shape else 0
    start = f'The {title} of {classes} classes in {file} is'
    if not variables and head != match.classifier:
        return f'{start} ignored: the model has none.'
    if classes != model.classes:
        return f'{start} replaced by a random one of {model.classes}.'
    return f'{start} replaced by a random one: the head of the model has another form.'


def _checked(match: Match, file: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """A line for each array that does not fit, and the arrays that fit."""
    problems, arrays = [], {}
    for name, variable in match.variables.items():
        problem = _misfit(match.stored.get(name), tuple(variable.shape))
        if not problem:
            with explained(file):
                arrays[name] = np.asarray(match.stored[name].read(), np.float32)
            if not np.isfinite(arrays[name]).all():
                problem = 'has values that are not finite'
        if problem:
            problems.append(f'{name} {problem}')
    problems += [f'{n} is unknown' for n in match.stored if n not in match.variables]
    return problems, arrays


def _misfit(stored: Stored | None, shape: tuple[int, ...]) -> str:
    """Why an array does not fit a variable of this shape, or ''."""
    if stored is None:
        return 'is missing'
    if stored.shape != shape:
        advice = ': transpose it' if _is_permuted(stored.shape, shape) else ''
        return f'has shape {stored.shape}, the model has {shape}{advice}'
    # float16 converts to float32 exactly, float64 does not.
    if stored.dtype.kind != 'f' or stored.dtype.itemsize not in (2, 4):
        return f'is {stored.dtype}, not float32'
    return ''


def _guess(model: Network, match: Match) -> str:
    """The model that the weights may belong to, by their names and shapes."""
    if 2 * len(match.stored.keys() & match.variables) < len(match.variables):
        other = model_of({*match.stored, *_layers(match.stored)})
        which = f', {other!r}' if other not in (None, model.name) else ''
        return f' they seem to be of another model{which}'
    for name in _ALPHA_KERNELS:
        if name in match.stored and name in match.variables:
            channels = match.stored[name].shape[-1:]
            if channels and channels[0] != match.variables[name].shape[-1]:
                alpha = round(channels[0] / _ALPHA_CHANNELS, 2)
                return f' they seem to be of alpha={alpha:g}; choose that alpha'
    return ''
