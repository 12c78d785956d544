"""Arrays that are known by their form and not read yet."""

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
    """The file or the model is not the one that the weights belong to."""


class Stored(NamedTuple):
    """An array in a file that says of which shape and type it is.

    Whoever knows what to expect checks that first, so that no file can have more
    memory taken than the model has.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


@contextlib.contextmanager
def explained(path: str | os.PathLike[str]) -> Iterator[None]:
    """Says of which file it is that reading fails; raises PretrainedError."""
    try:
        yield
    # What h5py, zipfile and NumPy raise over damaged files, from a wrong checksum to
    # a name that leads nowhere; NumPy parses a header as Python.
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
            f'it could not be read: {error}'
        ) from error
