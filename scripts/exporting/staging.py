"""A folder that appears as a whole, or not at all."""

import contextlib
import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from trainers import files
from vision.disk import flush
from vision.errors import UserError

MARK = 'export.json'  # Only a folder with this in it is replaced.


class OutputError(UserError):
    """The export cannot go where it should."""


@contextlib.contextmanager
def staged(output: Path, overwrite: bool) -> Iterator[Path]:
    """Gives a folder to fill, which becomes `output` unless there is an error.

    It lies beside the output under a fixed name, so that what a killed process left is
    removed by the next one.

    Args:
        output: may be there empty, or hold an earlier export that is to be replaced.
        overwrite: whether it is.

    Raises:
        OutputError: something else is there, or another process is at it.
    """
    output = output.absolute()
    _check(output, overwrite)
    staging = output.with_name(f'.{output.name}.tmp')
    try:
        with contextlib.ExitStack() as stack:
            files.make_directory(output.parent)
            stack.enter_context(_locked(staging))
            stack.enter_context(_terminable())
            try:
                yield staging
                _replace(output, staging)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except BrokenPipeError:  # of the terminal, not of the folder
        raise
    except OSError as error:
        raise OutputError(f'Expected --output to be a folder that can be written, got '
                          f'{output}: {error}. Choose another.') from error


def _check(output: Path, overwrite: bool) -> None:
    if not os.path.lexists(output):
        return
    if output.is_symlink() or not output.is_dir():
        raise OutputError(f'Expected --output to be a folder, got {output}, which is '
                          'not. Choose another.')
    inside = sorted(os.listdir(output))
    if inside and MARK not in inside:
        raise OutputError(f'Expected --output to be a new or empty folder, or one of '
                          f'an earlier export, got {output} with {inside[0]!r} in it. '
                          'Choose another.')
    if inside and not overwrite:
        raise OutputError(f'{output}: expected no export there, but there is one. '
                          'Replace it with --overwrite, or choose another --output.')


@contextlib.contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """An empty folder that no other process uses, whose locks end with them."""
    staging.mkdir(exist_ok=True)
    lock = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for left in list(staging.iterdir()):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        yield
    except BlockingIOError:
        raise OutputError(f'{staging}: another process makes this export. Wait for it '
                          'or stop it, or choose another --output.') from None
    finally:
        os.close(lock)


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Makes SIGTERM an interruption like Ctrl-C, after which Python cleans up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _replace(output: Path, staging: Path) -> None:
    """Puts the folder into its place; the old one is there until it is."""
    for folder, _, names in os.walk(staging):
        for name in names:
            flush(Path(folder, name))
        flush(Path(folder))
    old = output.with_name(f'.{output.name}.old')
    if os.path.lexists(old):
        shutil.rmtree(old)
    if output.exists():
        output.rename(old)
    try:
        staging.rename(output)
    except OSError:
        if old.exists():
            old.rename(output)
        raise
    flush(output.parent)
    shutil.rmtree(old, ignore_errors=True)
