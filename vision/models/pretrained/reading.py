"""Files of weights, recognized by their contents and not by their names.

Arrays are described by shape and type before they are read, and only arrays are read:
nothing is unpickled. Of Keras's HDF5 files, links, and arrays stored in another file,
are refused, so that a file of weights cannot make other files be read.
"""

import contextlib
import itertools
import math
import os
import re
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import h5py
import numpy as np

from vision.errors import UserError

HDF5 = b'\x89HDF\r\n\x1a\n'  # the first bytes of all such files

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

# Bytes; compressed arrays are unpacked by chunks, whose size the file declares.
_MAX_CHUNK = 1 << 26


class PretrainedError(UserError):
    """The weights do not fit the model, or their file cannot be read."""


class Stored(NamedTuple):
    """An array in a file.

    Shape and type are checked before it is read, so that no file causes more memory to
    be allocated than the model needs.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


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


@contextlib.contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raises PretrainedError, which names the file, in place of errors of reading."""
    try:
        yield
    # What h5py, zipfile and NumPy raise for damaged files, from a wrong checksum to a
    # dangling link; NumPy parses a header as Python.
    except (
        OSError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
        RuntimeError,
        SyntaxError,
        tokenize.TokenError,
        zlib.error,
        zipfile.BadZipFile,
    ) as error:
        raise PretrainedError(
            f'Expected weights at {path}, as a Keras .h5 or an .npz of plain arrays; '
            f'the file could not be read: {error}'
        ) from error


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[KerasFile | dict[str, Stored]]:
    """The layers of a Keras file, or the arrays of an .npz by their names.

    The arrays can be read inside the context.

    Raises:
        PretrainedError: the file is neither, or is damaged.
    """
    with contextlib.ExitStack() as stack:
        with explained(path):
            file = stack.enter_context(open(path, 'rb'))
            start = file.read(len(HDF5))
            file.seek(0)
            contents: KerasFile | dict[str, Stored]
            if start == HDF5:
                contents = _keras_layers(stack.enter_context(h5py.File(file, 'r')))
            elif start.startswith(b'PK'):
                contents = _arrays_in(stack.enter_context(zipfile.ZipFile(file)))
            elif start.startswith(b'\x93NUMPY'):
                raise ValueError('it contains a single array without a name')
            else:
                raise ValueError(
                    f'it begins with {start!r}' if start else 'it is empty'
                )
        yield contents


def _arrays_in(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """The arrays of an .npz, by names without '.npy'."""
    for name in archive.namelist():
        if not name.endswith('.npy'):
            raise ValueError(
                f'it contains {name}, which is not an array (if it is a .keras file, '
                "save the model's weights as .weights.h5)"
            )
    return {
        member.filename.removesuffix('.npy'): _array(archive, member)
        for member in archive.infolist()
    }


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:
    def read() -> np.ndarray:
        with archive.open(member) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            # The checksum is compared at the end of the file.
            if file.read(1):
                raise ValueError(f'{member.filename} is longer than its array')
        return array

    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _NPY_HEADERS:
            raise ValueError(f'the array format {version} is unknown')
        shape, _, dtype = _NPY_HEADERS[version](file)
    return Stored(shape, dtype, read)


def _keras_layers(file: h5py.File) -> KerasFile:
    """The layers of a `.weights.h5`, or of an .h5 in the older format.

    Raises:
        ValueError: the file is not Keras's, or refers to another file.
        OSError, KeyError, TypeError, RuntimeError: it is damaged.
    """
    root = _child(file, 'model_weights') if _has(file, 'model_weights') else file
    names = _strings(root, 'layer_names')
    layers = (
        [layer for name in names for layer in _older_layers(root, name)]
        if names
        else _newer_layers(file)
    )
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
        else:
            children = [(f'{path}/{key}', _child(group, key)) for key in group]
            waiting += [item for item in children if isinstance(item[1], h5py.Group)]
    return sorted(layers, key=lambda layer: (layer.container, numbered(layer.name)))


def _newer_layer(path: str, group: h5py.Group) -> Layer:
    container, key, _ = ('/' + path).rsplit('/', 2)
    name = group.attrs.get('name')
    if set(group) != {str(number) for number in range(len(group))}:
        raise ValueError(f'{path} has the arrays {", ".join(group)}; one is missing')
    named = isinstance(name, str)
    return Layer(
        container,
        name if named else key,
        named,
        arrays=tuple(_stored(group, str(number)) for number in range(len(group))),
    )


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
