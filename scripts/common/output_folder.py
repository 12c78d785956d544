"""Where a command writes its results: one error, and one way to replace files."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vision import files
from vision.errors import UserError


class OutputError(UserError):
    """The results cannot be written where they should go."""


@contextlib.contextmanager
def writing(
    path: Path | str, name: str = '--output', remedy: str = 'Choose another.'
) -> Iterator[None]:
    """Turns an error of the disk into an OutputError; only writing stands in the block.

    Args:
        path: what is written.
        name: the flag that names it.
        remedy: what the user can do.

    Raises:
        OutputError: it cannot be written.
        BrokenPipeError: the reader of a pipe has gone.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f'Expected {name} to be writable, got {path}: {error.strerror or error}. '
            f'{remedy}'
        ) from error


def check_writable(
    folder: Path, name: str = '--output', remedy: str = 'Choose another.'
) -> None:
    """Creates the folder, so that a wrong path is reported before the work.

    Args:
        folder: where results will be written.
        name: the flag that names it.
        remedy: what the user can do where it cannot be written.

    Raises:
        OutputError: it cannot be created or written.
    """
    probe = folder / '.probe.tmp'
    with writing(folder, name, remedy):
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()


def replace(
    folder: Path, contents: Mapping[str, bytes | str | None], names: Sequence[str]
) -> list[Path]:
    """Replaces the files of a command in a folder, and leaves all others.

    Args:
        folder: an existing folder.
        contents: file name -> contents, or None for no such file.
        names: of all files of the command; those without contents are removed.

    Returns:
        The files that were written, in the order of `names`.

    Raises:
        OutputError: a file cannot be written.
    """
    written = {name: text for name, text in contents.items() if text is not None}
    for name, text in written.items():
        with writing(folder / name):
            files.write_atomically(folder / name, text)
    with writing(folder):
        for name in set(names) - set(written):
            (folder / name).unlink(missing_ok=True)
    return [folder / name for name in names if name in written]
