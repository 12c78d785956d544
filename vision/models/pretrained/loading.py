"""All of a network's weights from a file, or none."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from vision.models.network import Network
from vision.models.pretrained.arrays import PretrainedError, Stored, explained
from vision.models.pretrained.keras_file import KerasFile
from vision.models.pretrained.matching import (
    Match,
    by_caffe,
    by_keras,
    by_path,
    check_model,
    is_by_path,
)
from vision.models.pretrained.names import model_of
from vision.models.pretrained.reading import opened

_SHOWN = 8  # Problems in an error.

# The convolution that tells how wide a MobileNetV2 is, in Keras's files and in ours,
# and its output channels at alpha 1.
_ALPHA_KERNELS = ('block_16_project/kernel', 'stages/block_16/project/conv/kernel')
_ALPHA_CHANNELS = 320


class Loaded(NamedTuple):
    """What became of a file.

    arrays: how many variables have been assigned.
    head: 'loaded', or 'fresh' where the classifier keeps the values it had.
    notes: sentences about what of the file was left out.
    """

    arrays: int
    head: str
    notes: tuple[str, ...]


def load(
    model: Network,
    weights: str | os.PathLike[str] | Mapping[str, np.ndarray],
    heads: bool = True,
) -> Loaded:
    """Gives a network weights. Where anything does not fit, none of it is assigned.

    Heads that are absent from the weights, or of another form or number of classes,
    keep their values; the result says which. Batch norms, depthwise and separable
    convolutions are laid out as in Keras: kernels `[height, width, in, out]`, depthwise
    ones `[height, width, channels, 1]`, dense ones `[in, out]`.

    Args:
        model: the network, with the normalization that its weights were trained with.
        weights: arrays of float32 or float16, in a file or by the names that
            `variables_by_path` gives. A file is one that Keras writes
            (`.weights.h5`, or `.h5` of weights or of a model) for a network that
            Keras has; or an `.npz` of those names, or for GoogLeNet of
            `<layer>/kernel` and `<layer>/bias` by the layers' names in Caffe.
        heads: False for classifiers that keep their values whatever the weights have.

    Raises:
        PretrainedError: the model or its normalization is another one; the file
            cannot be read; or arrays are missing, unknown, of another shape or type,
            or not finite, each named.
    """
    if isinstance(weights, Mapping):
        arrays = {name: np.asarray(array) for name, array in weights.items()}
        return _load(model, by_path(model, _stored(arrays)), 'the given weights', heads)
    file = os.fspath(weights)
    with opened(file) as found:
        if isinstance(found, KerasFile):
            match = by_keras(model, found, file)
        elif model_of(found) == 'googlenet' or (
            model.name == 'googlenet' and not is_by_path(found)
        ):
            match = by_caffe(model, found, file)
        else:
            match = by_path(model, found)
        return _load(model, match, file, heads)


def load_googlenet(model: Network, path: str | os.PathLike[str]) -> Loaded:
    """Gives a GoogLeNet the weights of BVLC's, trained on ImageNet.

    https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet; released for
    unrestricted use. The file has no auxiliary heads: those of the model keep their
    values, and so does a classifier of other than 1000 classes.

    Args:
        model: `create('googlenet')`, with its own normalization.
        path: an .npz of 116 float32 arrays, as `load` explains.

    Raises:
        PretrainedError: as of `load`.
    """
    check_model(model, 'googlenet', os.fspath(path))
    return load(model, path)


def _load(model: Network, match: Match, file: str, heads: bool) -> Loaded:
    match = _settle_heads(model, match, file, heads)
    problems, arrays = _checked(match, file)
    if problems:
        raise PretrainedError(_refusal(model, match, file, problems))
    for name, variable in match.variables.items():
        variable.assign(arrays[name])
    loaded = any(_head_of(name, match) == match.classifier for name in arrays)
    return Loaded(len(arrays), 'loaded' if loaded else 'fresh', match.notes)


def _stored(arrays: Mapping[str, np.ndarray]) -> dict[str, Stored]:
    return {
        name: Stored(array.shape, array.dtype, array.view)
        for name, array in arrays.items()
    }


def _head_of(name: str, match: Match) -> str | None:
    """The head that an array belongs to, None for the backbone."""
    if name.startswith(f'{match.classifier}/'):
        return match.classifier
    found = re.match('heads/[^/]+(?=/)', name)
    return found[0] if found else None


def _settle_heads(model: Network, match: Match, file: str, wanted: bool) -> Match:
    """Leaves out, on both sides, the heads that cannot be loaded or are not wanted."""
    heads = {_head_of(name, match): None for name in (*match.variables, *match.stored)}
    variables, stored, notes = dict(match.variables), dict(match.stored), []
    for head in filter(None, heads):
        ours = {n: v for n, v in variables.items() if _head_of(n, match) == head}
        theirs = {n: a for n, a in stored.items() if _head_of(n, match) == head}
        if wanted and _fits(ours, theirs):
            continue
        if wanted:
            notes.append(_head_note(model, match, head, ours, theirs, file))
        for name in (*ours, *theirs):
            variables.pop(name, None)
            stored.pop(name, None)
    return match._replace(
        variables=variables, stored=stored, notes=(*match.notes, *notes)
    )


def _fits(ours: Mapping[str, tf.Variable], theirs: Mapping[str, Stored]) -> bool:
    """Whether a head is to be loaded: it is the same one, if perhaps a damaged one."""
    shapes = {name: tuple(variable.shape) for name, variable in ours.items()}
    if any(_is_permuted(theirs[n].shape, shapes[n]) for n in theirs.keys() & ours):
        return True
    same = all(theirs[n].shape == shapes[n] for n in theirs.keys() & ours)
    return bool(theirs) and same and _layers(ours) == _layers(theirs)


def _layers(names: Iterable[str]) -> set[str]:
    return {name.rpartition('/')[0] for name in names}


def _is_permuted(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return shape != expected and sorted(shape) == sorted(expected)


def _head_note(
    model: Network,
    match: Match,
    head: str,
    ours: Mapping[str, tf.Variable],
    theirs: Mapping[str, Stored],
    file: str,
) -> str:
    what = 'classifier'
    if head != match.classifier:
        what = f'auxiliary classifier at {head.removeprefix("heads/")}'
    if not theirs:
        return f'There is no {what} in {file}: it starts fresh.'
    classes = _classes(head, theirs)
    there = f'The {what} of {classes} classes in {file} is'
    if not ours and head != match.classifier:
        return f'{there} left out: the model has none.'
    if classes != model.classes:
        return f'{there} replaced by a fresh one of {model.classes}.'
    return f'{there} replaced by a fresh one: the model has a head of another form.'


def _classes(head: str, arrays: Mapping[str, Stored]) -> int:
    """How many classes a head in a file is for, 0 where it has no classifier."""
    for name in (f'{head}/bias', f'{head}/classifier/bias'):
        if name in arrays and arrays[name].shape:
            return arrays[name].shape[0]
    return 0


def _checked(match: Match, file: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """What keeps arrays from being assigned, a line each; and those that fit."""
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
    """Why an array cannot be that of a variable of this shape, or nothing."""
    if stored is None:
        return 'is missing'
    if stored.shape != shape:
        advice = ': transpose it' if _is_permuted(stored.shape, shape) else ''
        return f'has shape {stored.shape}, the model has {shape}{advice}'
    # Each float16 is a float32 too, while a float64 would be rounded.
    if stored.dtype.kind != 'f' or stored.dtype.itemsize not in (2, 4):
        return f'is {stored.dtype}, not float32'
    return ''


def _refusal(model: Network, match: Match, file: str, problems: list[str]) -> str:
    lines = problems[:_SHOWN]
    if len(problems) > _SHOWN:
        lines.append(f'and {len(problems) - _SHOWN} more')
    return (
        f'Expected the weights of {model.name!r} in {file}, but'
        f'{_guess(model, match)}:\n  ' + '\n  '.join(lines)
    )


def _guess(model: Network, match: Match) -> str:
    """Which other model the weights may be of, from their names and shapes."""
    known = sum(name in match.stored for name in match.variables)
    if 2 * known < len(match.variables):
        other = model_of({*match.stored, *_layers(match.stored)})
        which = f', {other!r}' if other not in (None, model.name) else ''
        return f' they seem to be of another model{which}'
    for name in _ALPHA_KERNELS:
        if name in match.stored and name in match.variables:
            channels = match.stored[name].shape[-1:]
            if channels and channels[0] != match.variables[name].shape[-1]:
                alpha = round(channels[0] / _ALPHA_CHANNELS, 2)
                return f' they seem to be of alpha={alpha:g}: make the model with that'
    return ''
