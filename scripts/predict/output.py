"""Where predictions go: standard output as they come, or a file as a whole."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.common import quiet
from scripts.common.output_folder import OutputError, writing
from vision import files
from vision.data.storage.index import EXTENSIONS

Write = Callable[[bytes], object]


@contextlib.contextmanager
def opened(path: str) -> Iterator[Write]:
    """A function that writes to a file, or to standard output where the path is empty.

    The file takes its name once everything is written: it is there as a whole or, after
    an error, as it was before.

    Raises:
        OutputError: it cannot be written.
    """
    if not path:
        yield _to_standard_output
        return
    file = Path(os.path.realpath(path))
    if file.exists() and not file.is_file():
        raise OutputError(
            f'Expected --output to be a file, got {path}, which is '
            f'{"a folder" if file.is_dir() else "a device"}.'
        )
    if path.lower().endswith(EXTENSIONS):
        raise OutputError(
            'Expected --output to be a file for predictions, such as '
            f'predictions.csv, got the name of an image: {path}.'
        )
    with writing(path), files.replacing(file) as stream:
        yield stream.write


def _to_standard_output(contents: bytes) -> None:
    if sys.stdout is None:  # after `>&-`
        raise OutputError(
            'Expected a standard output, but it is closed. Pass --output.'
        )
    with writing('standard output', 'the output', 'Choose another --output.'):
        try:
            sys.stdout.buffer.write(contents)
            sys.stdout.buffer.flush()
        except OSError:
            # What is left in the buffer would fail again when Python ends.
            quiet.forget_closed_streams()
            raise
