"""An output folder that appears as a whole or not at all."""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from scripts.common.output_folder import OutputError, writing
from vision import files

# Only a folder that holds this file with this content is replaced.
MARK = 'export.json'
MADE_BY = {'made_by': 'python -m scripts.export'}


@contextlib.contextmanager
def staged(output: Path, overwrite: bool) -> Iterator[Path]:
    """Yields an empty folder, which becomes `output` when the block ends.

    It is beside the output under a fixed name, so that the next process removes what a
    killed one left. An exception removes it and leaves the output unchanged.

    Args:
        output: does not exist, is an empty folder, or is an earlier export.
        overwrite: whether an earlier export is replaced.

    Raises:
        OutputError: the output is something else, cannot be written, or is being
            written by another process.
    """
    output = output.absolute()
    staging = output.with_name(f'.{output.name}.tmp')
    old = output.with_name(f'.{output.name}.old')
    with contextlib.ExitStack() as stack:
        with writing(output):
            files.make_directory(output.parent)
            try:
                stack.enter_context(
                    files.locked(output.with_name(f'.{output.name}.lock'), wait=False)
                )
            except files.LockedError as error:
                raise OutputError(
                    f'{output}: another process writes this export ({error}). Wait '
                    'until it ends or stop it, or choose another --output.'
                ) from None
            # An earlier export after a kill between the two renames of _replace.
            if not os.path.lexists(output) and _is_export(old):
                old.rename(output)
            _check(output, overwrite)
            if staging.exists():
                shutil.rmtree(staging)
            staging.mkdir()
        try:
            yield staging
            with writing(output):
                _replace(output, staging, old)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise


def _check(output: Path, overwrite: bool) -> None:
    if not os.path.lexists(output):
        return
    if output.is_symlink() or not output.is_dir():
        raise OutputError(
            f'Expected --output to be a folder, got {output}, which is not. Choose '
            'another.'
        )
    inside = sorted(os.listdir(output))
    if inside and not _is_export(output):
        raise OutputError(
            'Expected --output to be a new or empty folder, or an earlier export, got '
            f'{output} with {inside[0]!r} in it. Choose another.'
        )
    if inside and not overwrite:
        raise OutputError(
            f'Expected no earlier export in {output}, but there is one. Replace it '
            'with --overwrite, or choose another --output.'
        )


def _is_export(folder: Path) -> bool:
    try:
        record = json.loads((folder / MARK).read_text('utf-8'))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and MADE_BY.items() <= record.items()


def _replace(output: Path, staging: Path, old: Path) -> None:
    """Renames the staged folder to the output, and the earlier export to `old`."""
    for path in (staging, *staging.rglob('*')):
        files.flush(path)
    if os.path.lexists(old):
        shutil.rmtree(old)
    # Ignored, not blocked: TensorFlow's threads would receive blocked signals. The
    # process ends soon anyway.
    handlers = {
        number: signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        if output.exists():
            output.rename(old)
        staging.rename(output)
    except BaseException:
        if old.exists() and not output.exists():
            old.rename(output)
        raise
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    files.flush(output.parent)
    shutil.rmtree(old, ignore_errors=True)
