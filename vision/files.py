"""Files that are complete after a crash, and locks between processes."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO


class LockedError(Exception):
    """Another process or thread holds a lock; the message says which, if known."""


@contextlib.contextmanager
def locked(lock: Path, wait: bool = True) -> Iterator[None]:
    """Holds a lock against other processes and threads until the block ends.

    Where the operating system has flock, it releases the lock when the process ends,
    however it ends. The holder is written to `<lock>.holder` where that is possible.
    Both files are removed at the end.

    Args:
        lock: the file that is locked; its folder is created.
        wait: whether to log a warning and wait while another holds the lock.

    Raises:
        LockedError: another holds the lock, and wait is False.
        OSError: the file cannot be created or locked.
    """
    import filelock  # Takes as long to import as all that a help text needs.

    record = lock.with_name(f'{lock.name}.holder')
    file_lock = filelock.FileLock(lock)
    try:
        file_lock.acquire(timeout=0)
    except filelock.Timeout:
        holder = 'unknown process'
        with contextlib.suppress(OSError):
            holder = record.read_text('utf-8', 'replace').strip() or holder
        if not wait:
            raise LockedError(holder) from None
        logging.getLogger(__name__).warning(
            'Another process (%s) holds %s; waiting for it.', holder, lock
        )
        file_lock.acquire()
    started = datetime.now(timezone.utc).isoformat(timespec='seconds')
    holder = f'pid {os.getpid()} on {socket.gethostname()}, started {started}\n'
    try:
        with contextlib.suppress(OSError):  # Only messages of others need it.
            record.write_text(holder, 'utf-8')
        yield
    finally:
        # The lock while it is held: who opened it meanwhile sees that it has no name.
        for file in (record, lock):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
        file_lock.release()


def make_directory(path: Path) -> None:
    """Creates a folder and its parents so that they survive a power loss."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        flush(folder.parent)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a file to write that becomes `path` as a whole when the block ends.

    A reader or a crash never meets a part of it; an exception leaves `path` unchanged.
    Concurrent writers of one path need a lock: they share the temporary file.
    """
    # A fixed name, so that a killed write is overwritten by the next one.
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        with temporary.open('wb') as file:
            yield file
        publish(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def publish(temporary: Path, path: Path) -> None:
    """Renames a complete file; its contents and its name survive a power loss."""
    flush(temporary)
    temporary.replace(path)
    flush(path.parent)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replaces a file as a whole: a reader or a crash never meets half of it.

    Text is written as UTF-8. Surrogates, by which Python represents bytes in file names
    that are not valid UTF-8, are written as these bytes.
    """
    if isinstance(content, str):
        content = content.encode('utf-8', 'surrogateescape')
    with replacing(path) as file:
        file.write(content)


def flush(path: Path) -> None:
    """Waits until a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
