"""Files that are either the old version or the new one, whatever happens meanwhile."""

import os
from pathlib import Path


def make_directory(path: Path) -> None:
    """Creates a folder and its parents so that they survive a power loss."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        flush(each.parent)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Replaces a file as a whole: a reader or a crash never meets half of it.

    Text is written as UTF-8; names of files that are not valid UTF-8, as Python hands
    them out, come back as the bytes that they are on the disk.
    """
    if isinstance(content, str):
        content = content.encode('utf-8', 'surrogateescape')
    # A fixed name, so that a killed write is overwritten by the next one.
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        with temporary.open('wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Waits until a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
