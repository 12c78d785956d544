"""Where predictions go: standard output as they come, or a file as a whole."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from vision.data.storage.index import EXTENSIONS
from vision.errors import UserError
from vision.files import flush

Write = Callable[[bytes], None]


@contextlib.contextmanager
def opened(path: str) -> Iterator[Write]:
    """A way to write to a file, or to standard output where the path is empty.

    The file takes its name once all has been written; it is either there as a whole or,
    after an error, as it was before.

    Raises:
        UserError: it cannot be written to.
    """
    if not path:
        yield _to_standard_output
        return
    file = Path(os.path.realpath(path))
    if file.exists() and not file.is_file():
        raise UserError(
            f'Expected --output to be a file, got {path}, which is '
            f'{"a folder" if file.is_dir() else "a device"}.'
        )
    if path.lower().endswith(EXTENSIONS):
        raise UserError(
            'Expected --output to be a file for predictions, such as '
            f'predictions.csv, got the name of an image: {path}.'
        )
    # A fixed name, so that what a killed process leaves is overwritten by the next one.
    temporary = file.with_name(f'.{file.name}.tmp')
    with _explained(f'--output={path}'):
        stream = temporary.open('wb')
    try:

        def write(contents: bytes) -> None:
            with _explained(f'--output={path}'):
                stream.write(contents)

        with _explained(f'--output={path}'), stream:
            yield write
            stream.flush()
            os.fsync(stream.fileno())
        with _explained(f'--output={path}'):
            temporary.replace(file)
            flush(file.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _to_standard_output(contents: bytes) -> None:
    if sys.stdout is None:  # as after `>&-`
        raise UserError('Expected a standard output, but it is closed. Pass --output.')
    with _explained('standard output'):
        try:
            sys.stdout.buffer.write(contents)
            sys.stdout.buffer.flush()
        except OSError:
            # What is left in the buffer would fail again when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise


@contextlib.contextmanager
def _explained(where: str) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # whoever read it has seen enough
        raise
    except OSError as error:
        raise UserError(
            f'Expected {where} to take the predictions, got: '
            f'{error.strerror or error}. Choose another --output.'
        ) from error
