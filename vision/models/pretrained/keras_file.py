"""The layers in the HDF5 files in which Keras saves weights or whole models.

Only arrays are read. Links, and arrays stored in another file, are refused, so that a
file of weights cannot make other files be read.
"""

import itertools
import math
import re
from typing import NamedTuple

import h5py

from vision.models.pretrained.arrays import Stored

# Bytes; compressed arrays are unpacked by chunks, whose size the file declares.
_MAX_CHUNK = 1 << 26


class Layer(NamedTuple):
    """A layer's arrays in Keras's order.

    Attributes:
        container: path of the model that contains the layer; models can be nested.
        name: the layer's name, or its class and number where the file has no name.
        named: whether the file has the name.
        arrays: the layer's arrays.
    """

    container: str
    name: str
    named: bool
    arrays: tuple[Stored, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(array.shape for array in self.arrays)


class KerasFile(NamedTuple):
    """The layers of a file.

    Attributes:
        layers: those that have arrays.
        ordered: whether all are in the model's order, or only those of the same class.
    """

    layers: list[Layer]
    ordered: bool


def keras_layers_in(file: h5py.File) -> KerasFile:
    """The layers of a `.weights.h5`, or of an .h5 in the older format.

    Raises:
        ValueError: the file is not Keras's, or refers to another file.
        OSError, KeyError, TypeError, RuntimeError: it is damaged.
    """
    root = _child(file, 'model_weights') if _has(file, 'model_weights') else file
    names = _strings(root, 'layer_names')
    if names:
        layers = [layer for name in names for layer in _older_layers(root, name)]
    else:
        layers = _newer_layers(file)
    layers = [layer for layer in layers if layer.arrays]
    if not layers:
        raise ValueError('it is an HDF5 file without layers of Keras')
    return KerasFile(layers, ordered=bool(names))


def _older_layers(root: h5py.Group, name: str) -> list[Layer]:
    """The layer of this name, or its layers if it is a model.

    The arrays of a layer have paths such as 'Conv1/kernel:0', all with the same 'Conv1'
    or without it. The arrays of a model have paths with several layers.
    """
    group = _child(root, name)
    inner: dict[str, list[Stored]] = {}
    for path in _strings(group, 'weight_names'):
        layer = path.split('/')[-2] if '/' in path else ''
        inner.setdefault(layer, []).append(_stored(group, path))
    if len(inner) > 1:
        return [Layer(name, key, True, tuple(a)) for key, a in inner.items()]
    return [Layer('', name, True, tuple(arrays)) for arrays in inner.values()]


def _newer_layers(file: h5py.File) -> list[Layer]:
    """The layers of all groups '<container>/<class and number>/vars'."""
    layers, seen, waiting = [], set(), [('', file)]
    while waiting:
        path, group = waiting.pop()
        # Hard links can form a cycle.
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            raise ValueError(f'the group {path} is in it twice')
        seen.add(address)
        if path.endswith('/vars'):
            layers.append(_newer_layer(path, group))
            continue
        for key in group:
            child = _child(group, key)
            if isinstance(child, h5py.Group):
                waiting.append((f'{path}/{key}', child))
    return sorted(layers, key=lambda layer: (layer.container, numbered(layer.name)))


def _newer_layer(path: str, group: h5py.Group) -> Layer:
    container, key, _ = ('/' + path).rsplit('/', 2)
    name = group.attrs.get('name')
    if set(group) != {str(number) for number in range(len(group))}:
        raise ValueError(f'{path} has the arrays {", ".join(group)}; one is missing')
    arrays = tuple(_stored(group, str(number)) for number in range(len(group)))
    if isinstance(name, str):
        return Layer(container, name, True, arrays)
    return Layer(container, key, False, arrays)


def numbered(name: str) -> tuple[str, int]:
    """A name and the number at its end, or 0, to sort names as Keras numbers them."""
    match = re.fullmatch(r'(.*?)_?(\d{1,9})?', name, re.DOTALL)
    assert match is not None  # all parts are optional
    return match[1], int(match[2] or 0)


def _child(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """The object at a path in the group; links are refused."""
    for key in path.split('/'):
        if not isinstance(group, h5py.Group) or not _has(group, key):
            raise ValueError(f'it has no {path}')
        link = group.id.links.get_info(key.encode('utf-8'))
        if link.type != h5py.h5l.TYPE_HARD:
            raise ValueError(f'{path} is a link, which is not followed')
        group = group[key]
    return group


def _has(group: h5py.Group, key: str) -> bool:
    # `key in group` would open the file that an external link names.
    return group.id.links.exists(key.encode('utf-8'))


def _stored(group: h5py.Group, path: str) -> Stored:
    dataset = _child(group, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f'{dataset.name} is not an array')
    if dataset.external or dataset.is_virtual:
        raise ValueError(f'{dataset.name} is stored in another file, which is not read')
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk > max(_MAX_CHUNK, math.prod(dataset.shape) * dataset.dtype.itemsize):
        raise ValueError(f'{dataset.name} has chunks of {chunk:,} bytes')
    return Stored(dataset.shape, dataset.dtype, lambda: dataset[()])


def _strings(group: h5py.Group, attribute: str) -> list[str]:
    """An attribute's strings; Keras splits long lists into `<attribute>0` and so on."""
    numbered_names = (f'{attribute}{number}' for number in itertools.count())
    parts = itertools.takewhile(group.attrs.__contains__, numbered_names)
    values = [v for name in (attribute, *parts) for v in group.attrs.get(name, ())]
    return [v.decode('utf-8') if isinstance(v, bytes) else str(v) for v in values]
