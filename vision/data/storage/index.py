"""The images of a folder tree, and the index of a large one."""

import contextlib
import json
import os
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from vision.data.source import DatasetError
from vision.files import publish

EXTENSIONS = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.gif', '.bmp', '.webp')
CACHE = '.tapestry'  # A folder for what may be thrown away, inside the data directory.
_WORTH_KEEPING = 10_000  # Images; fewer are found in less than 0.1 s.
# A file system's clock may stand still for so long: what changes within that time
# leaves the folder's modification time as it was.
_TICK_NS = 2_000_000_000


class Folder(NamedTuple):
    """The sorted names of what a folder holds, without hidden files and folders.

    Attributes:
        mtime_ns: when it last changed; -1 where that is too recent to be compared.
        folders: names of its folders.
        images: names of the files that have the extension of an image.
    """

    mtime_ns: int
    folders: list[str]
    images: list[str]


def scan(folder: str, status: os.stat_result) -> Folder:
    """Reads a folder. `__MACOSX`, and names that begin with a dot, are left out.

    Raises:
        OSError: it cannot be read.
    """
    folders, images = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith('.') or name == '__MACOSX':
                continue
            if entry.is_dir():
                folders.append(name)
            elif name.lower().endswith(EXTENSIONS):
                images.append(name)
    return Folder(status.st_mtime_ns, sorted(folders), sorted(images))


def walk(
    folder: str,
    scan: Callable[[str, os.stat_result], Folder] = scan,
) -> Iterator[tuple[str, Folder | OSError]]:
    """Yields a folder and those below it: each before those in it, which are in order.

    Links are followed, but not from a folder into one that holds it.

    Args:
        folder: path of the folder.
        scan: reads a folder.

    Yields:
        The path of a folder and what it holds, or why it cannot be read.
    """
    # With the device and inode of the folders that hold each.
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [(folder, ())]
    while waiting:
        path, parents = waiting.pop()
        try:
            # Before the folder is read: a change after that shows the next time.
            status = os.stat(path)
            identity = (status.st_dev, status.st_ino)
            if identity in parents:
                continue
            content = scan(path, status)
        except OSError as error:
            yield path, error
            continue
        yield path, content
        below = (*parents, identity)
        waiting += [
            (os.path.join(path, name), below) for name in reversed(content.folders)
        ]


def find_images(root: Path, cache: bool = True) -> list[str]:
    """The images below a folder: relative paths with '/', sorted by code point.

    With cache, the names in a large tree are kept in `<root>/.tapestry`, if that can
    be written, and only folders whose modification time has changed are read again. So
    files added, removed or renamed are noticed; one with new contents is not, and need
    not be, since only its name counts.

    Raises:
        DatasetError: a folder cannot be read or a name is not Unicode.
    """
    file = root / CACHE / 'index.json'
    known = _read(file) if cache else {}
    # By path relative to the root, '' for the root itself.
    folders: dict[str, Folder] = {}
    recent = time.time_ns() - _TICK_NS
    start = len(os.path.join(root, ''))

    def scan_changed(path: str, status: os.stat_result) -> Folder:
        folder = known.get(path[start:])
        if folder is None or folder.mtime_ns != status.st_mtime_ns:
            folder = scan(path, status)
            if folder.mtime_ns >= recent:
                folder = folder._replace(mtime_ns=-1)
        folders[path[start:]] = folder
        return folder

    paths: list[str] = []
    for path, content in walk(str(root), scan_changed):
        if isinstance(content, OSError):
            raise DatasetError(
                f'Expected a folder that can be read, got {path}: {content.strerror}.'
            ) from content
        prefix = f'{path[start:]}/' if path[start:] else ''
        paths += [f'{prefix}{name}' for name in content.images]
    paths.sort()
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise DatasetError(
                f'{root}: expected file names in UTF-8, got {path!r}; rename it.'
            ) from None
    if cache and len(paths) > _WORTH_KEEPING and folders != known:
        body = json.dumps(folders, separators=(',', ':')).encode()
        # Its checksum before it, by which a damaged file is detected.
        write_cache(file, b'%d\n%s' % (zlib.crc32(body), body))
    return paths


def _read(file: Path) -> dict[str, Folder]:
    """The folders of an earlier index; none where there is none or it is damaged."""
    try:
        checksum, _, body = file.read_bytes().partition(b'\n')
        if checksum == b'%d' % zlib.crc32(body):
            return {path: Folder(*rest) for path, rest in json.loads(body).items()}
    except (OSError, ValueError):
        pass
    return {}


def write_cache(file: Path, contents: bytes) -> None:
    """Writes a file whole or not at all; a folder that is read-only is left alone."""
    # A unique name, since processes may write the same file at once, without a lock.
    temporary = file.with_name(f'.{file.name}.{uuid.uuid4().hex}.tmp')
    # Without a cache all works as well, only more slowly.
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        try:
            temporary.write_bytes(contents)
            publish(temporary, file)
        finally:
            temporary.unlink(missing_ok=True)
