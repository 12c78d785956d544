"""Arrays in files, described by shape and type before they are read."""

import contextlib
import os
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from vision.errors import UserError


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
