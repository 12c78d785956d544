"""A folder that appears as a whole, or not at all."""

import contextlib
import fcntl
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from scripts.common.output_folder import OutputError, writing
from vision import files
from vision.files import flush

# Only a folder with this file in it, and this in the file, is replaced.
MARK = 'export.json'
MADE_BY = {'made_by': 'python -m scripts.export'}


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
    staging = output.with_name(f'.{output.name}.tmp')
    with contextlib.ExitStack() as stack:
        # SIGTERM becomes an interruption like Ctrl-C, after which Python cleans up.
        stack.enter_context(_on_signals(_interrupt, signal.SIGTERM))
        with writing(output):
            files.make_directory(output.parent)
            stack.enter_context(_locked(staging))
            _restore(output)
            _check(output, overwrite)
        yield staging
        with writing(output):
            _replace(output, staging)


def _check(output: Path, overwrite: bool) -> None:
    if not os.path.lexists(output):
        return
    if output.is_symlink() or not output.is_dir():
        raise OutputError(
            f'Expected --output to be a folder, got {output}, which is '
            'not. Choose another.'
        )
    inside = sorted(os.listdir(output))
    if inside and not _is_export(output):
        raise OutputError(
            f'Expected --output to be a new or empty folder, or one of '
            f'an earlier export, got {output} with {inside[0]!r} in it. '
            'Choose another.'
        )
    if inside and not overwrite:
        raise OutputError(
            f'{output}: expected no export there, but there is one. '
            'Replace it with --overwrite, or choose another --output.'
        )


def _is_export(folder: Path) -> bool:
    try:
        record = json.loads((folder / MARK).read_text('utf-8'))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and MADE_BY.items() <= record.items()


def _old(output: Path) -> Path:
    return output.with_name(f'.{output.name}.old')


def _restore(output: Path) -> None:
    """Puts an earlier export back that a kill between two renames has left aside."""
    if not os.path.lexists(output) and _is_export(_old(output)):
        _old(output).rename(output)


@contextlib.contextmanager
def _locked(staging: Path) -> Iterator[None]:
    """An empty folder that no other process uses, whose locks end with them."""
    lock = _take(staging)
    try:
        for left in list(staging.iterdir()):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()
        yield
    finally:
        # Once ours is renamed, another process may have one of its own there.
        if _is_at(lock, staging):
            shutil.rmtree(staging, ignore_errors=True)
        os.close(lock)


def _take(staging: Path) -> int:
    """Opens the folder and locks it; returns the descriptor."""
    while True:
        staging.mkdir(exist_ok=True)
        try:
            lock = os.open(staging, os.O_RDONLY)
        except FileNotFoundError:  # removed meanwhile, by who had it before
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise OutputError(
                f'{staging}: another process makes this export. Wait for '
                'it or stop it, or choose another --output.'
            ) from None
        if _is_at(lock, staging):
            return lock
        os.close(lock)


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextlib.contextmanager
def _on_signals(handler: Callable | signal.Handlers, *numbers: int) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _replace(output: Path, staging: Path) -> None:
    """Puts the folder into its place; the old one is there until it is."""
    for folder, _, names in os.walk(staging):
        for name in names:
            flush(Path(folder, name))
        flush(Path(folder))
    old = _old(output)
    if os.path.lexists(old):
        shutil.rmtree(old)
    # Ignored, not blocked: TensorFlow's threads would take blocked ones. What they ask
    # for, an end, is a moment away.
    with _on_signals(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM):
        try:
            if output.exists():
                output.rename(old)
            staging.rename(output)
        except BaseException:
            if old.exists() and not output.exists():
                old.rename(output)
            raise
    flush(output.parent)
    shutil.rmtree(old, ignore_errors=True)
