"""Weight files, told apart by what they hold and not by their names."""

import contextlib
import os
import zipfile
from collections.abc import Iterator
from typing import IO

import h5py
import numpy as np

from vision.models.pretrained.arrays import Stored, explained
from vision.models.pretrained.keras_file import KerasFile, keras_layers_in

HDF5 = b'\x89HDF\r\n\x1a\n'  # How every such file begins.

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[KerasFile | dict[str, Stored]]:
    """The layers of a Keras file, or the arrays of an .npz by their names.

    The arrays can be read as long as the context lasts. Nothing is unpickled.

    Raises:
        PretrainedError: the file is neither, or is damaged.
    """
    with contextlib.ExitStack() as stack:
        with explained(path):
            file = stack.enter_context(open(path, 'rb'))
            start = file.read(len(HDF5))
            file.seek(0)
            found: KerasFile | dict[str, Stored]
            if start == HDF5:
                found = keras_layers_in(stack.enter_context(h5py.File(file, 'r')))
            elif start.startswith(b'PK'):
                found = _arrays_in(stack.enter_context(zipfile.ZipFile(file)))
            else:
                raise ValueError(_what_it_is(start))
        yield found


def _what_it_is(start: bytes) -> str:
    if not start:
        return 'it is empty'
    if start.startswith(b'\x93NUMPY'):
        return 'it holds a single array without a name'
    return f'it begins with {start!r} like neither'


def _arrays_in(archive: zipfile.ZipFile) -> dict[str, Stored]:
    """What an .npz holds, by names without '.npy'."""
    found = {}
    for member in archive.infolist():
        if not member.filename.endswith('.npy'):
            raise ValueError(
                f'it holds {member.filename}, which is no array (of a '
                ".keras file, save the model's weights as .weights.h5)"
            )
        found[member.filename.removesuffix('.npy')] = _array(archive, member)
    return found


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Stored:

    def read() -> np.ndarray:
        with archive.open(member) as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
            # To the end, where the checksum is compared.
            if file.read(1):
                raise ValueError(f'{member.filename} is longer than its array')
        return array

    with archive.open(member) as file:
        shape, dtype = _header(file)
    return Stored(shape, dtype, read)


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    if version not in _NPY_HEADERS:
        raise ValueError(f'an array of format {version} is not known')
    shape, _, dtype = _NPY_HEADERS[version](file)
    return shape, dtype
