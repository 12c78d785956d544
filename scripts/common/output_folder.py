"""The folder that a command writes its results into."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vision import files
from vision.errors import UserError


class OutputError(UserError):
    """The results cannot be written where they should go."""


def check_writable(
    folder: Path, name: str = '--output', mend: str = 'Choose another.'
) -> None:
    """Makes the folder; a wrong path shows before the work, not after it.

    Args:
        folder: where something will be written to.
        name: what the person calls it.
        mend: what can be done where it cannot be written to.

    Raises:
        OutputError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / '.probe.tmp'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f'Expected {name} to be a folder that can be written to, '
            f'got {folder}: {error.strerror}. {mend}'
        ) from error


def replace(
    folder: Path, contents: Mapping[str, bytes | str], names: Sequence[str]
) -> list[Path]:
    """Replaces our files in the folder and leaves all others; returns what is there.

    Args:
        folder: where to.
        contents: what belongs into each file.
        names: of all files of ours; those that have no contents now are removed.

    Raises:
        OutputError: a file cannot be written.
    """
    try:
        for name, content in contents.items():
            files.write_atomically(folder / name, content)
        for name in set(names) - set(contents):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f'{folder}: the results could not be written: {error}. '
            'Choose another --output.'
        ) from error
    return [folder / name for name in names if name in contents]
