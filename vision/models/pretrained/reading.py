"""Weight files, recognized by their contents and not by their names."""

import contextlib
import os
import zipfile
from collections.abc import Iterator

import h5py
import numpy as np

from vision.models.pretrained.arrays import Stored, explained
from vision.models.pretrained.keras_file import KerasFile, keras_layers_in

HDF5 = b'\x89HDF\r\n\x1a\n'  # the first bytes of all such files

_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@contextlib.contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[KerasFile | dict[str, Stored]]:
    """The layers of a Keras file, or the arrays of an .npz by their names.

    The arrays can be read inside the context. Nothing is unpickled.

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
                contents = keras_layers_in(stack.enter_context(h5py.File(file, 'r')))
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
