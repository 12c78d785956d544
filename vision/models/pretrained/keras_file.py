"""What is in the HDF5 files that Keras saves weights in, and whole models.

Only arrays are read. A link or an array that leads to another file is refused, since
a file of weights from elsewhere has no business in ours.
"""

import math
import re
from typing import NamedTuple

import h5py

from vision.models.pretrained.arrays import Stored

# Bytes; compressed arrays are unpacked by chunks, whose size a file can make up.
_MAX_CHUNK = 1 << 26


class Layer(NamedTuple):
    """A layer's arrays in Keras's order.

    container: the model that it is in: the file's own, or one inside that.
    name: the layer's name, or where the file does not tell that its class and number.
    named: whether it is the name.
    """

    container: str
    name: str
    named: bool
    arrays: tuple[Stored, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(array.shape for array in self.arrays)


class KerasFile(NamedTuple):
    """The layers that have arrays.

    ordered: whether they come in the model's order; else those of a class do.
    """

    layers: list[Layer]
    ordered: bool


def keras_layers_in(file: h5py.File) -> KerasFile:
    """Finds the layers of a `.weights.h5`, or of an .h5 in the older format.

    Raises:
        ValueError: the file is not Keras's, or leads out of itself.
        OSError, KeyError, TypeError, RuntimeError: it is damaged.
    """
    root = _child(file, 'model_weights') if _has(file, 'model_weights') else file
    names = _strings(root, 'layer_names')
    if names:
        layers = [each for name in names for each in _older_layers(root, name)]
    else:
        layers = _newer_layers(file)
    layers = [layer for layer in layers if layer.arrays]
    if not layers:
        raise ValueError('it is an HDF5 file without layers of Keras')
    return KerasFile(layers, ordered=bool(names))


def _older_layers(root: h5py.Group, name: str) -> list[Layer]:
    """The layer of this name, or those in it where it is itself a model.

    A layer's arrays have paths such as 'Conv1/kernel:0', with one and the same
    'Conv1', or none. Those of a model are called by several layers.
    """
    group = _child(root, name)
    inner: dict[str, list[Stored]] = {}
    for path in _strings(group, 'weight_names'):
        layer = path.split('/')[-2] if '/' in path else ''
        inner.setdefault(layer, []).append(_stored(group, path))
    if len(inner) > 1:
        return [Layer(name, each, True, tuple(a)) for each, a in inner.items()]
    return [Layer('', name, True, tuple(arrays)) for arrays in inner.values()]


def _newer_layers(file: h5py.File) -> list[Layer]:
    """The layers of all groups '<container>/<class and number>/vars'."""
    layers, seen, waiting = [], set(), [('', file)]
    while waiting:
        path, group = waiting.pop()
        # Hard links can lead in a circle.
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
    """A name and the number behind it, 0 for none: in this order Keras counts."""
    match = re.fullmatch(r'(.*?)_?(\d{1,9})?', name, re.DOTALL)
    assert match is not None  # All of it is optional.
    return match[1], int(match[2] or 0)


def _child(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset:
    """What a path inside the group leads to, without leaving it by a link."""
    for key in path.split('/'):
        if not isinstance(group, h5py.Group) or not _has(group, key):
            raise ValueError(f'it has no {path}')
        link = group.id.links.get_info(key.encode('utf-8'))
        if link.type != h5py.h5l.TYPE_HARD:
            raise ValueError(f'{path} is a link to elsewhere, which is not followed')
        group = group[key]
    return group


def _has(group: h5py.Group, key: str) -> bool:
    # `key in group` would open the file that an external link names.
    return group.id.links.exists(key.encode('utf-8'))


def _stored(group: h5py.Group, path: str) -> Stored:
    dataset = _child(group, path)
    if not isinstance(dataset, h5py.Dataset) or dataset.shape is None:
        raise ValueError(f'{dataset.name} is no array')
    if dataset.external or dataset.is_virtual:
        raise ValueError(f'{dataset.name} is kept in another file, which is not read')
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk > max(_MAX_CHUNK, math.prod(dataset.shape) * dataset.dtype.itemsize):
        raise ValueError(f'{dataset.name} has chunks of {chunk:,} bytes')
    return Stored(dataset.shape, dataset.dtype, lambda: dataset[()])


def _strings(group: h5py.Group, attribute: str) -> list[str]:
    """An attribute's strings; Keras splits long lists into `<attribute>0` and on."""
    found = list(group.attrs.get(attribute, ()))
    number = 0
    while f'{attribute}{number}' in group.attrs:
        found.extend(group.attrs[f'{attribute}{number}'])
        number += 1
    return [s.decode('utf-8') if isinstance(s, bytes) else str(s) for s in found]
