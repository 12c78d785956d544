"""The images of a folder tree, found quickly and remembered for the next time."""

import contextlib
import json
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vision.data.source import DatasetError
from vision.files import write_atomically

EXTENSIONS = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.gif', '.bmp', '.webp')
CACHE = '.tapestry'  # A folder for what may be thrown away, inside the data directory.
_FILE = 'index.json'
_WORTH_KEEPING = 10_000  # Images; fewer are found in less than 0.1 s.
# A file system's clock may stand still for so long: what changes within that time
# leaves the folder's modification time as it was.
_TICK_NS = 2_000_000_000


class _Folder(NamedTuple):
    """What one folder holds, and when it last changed; -1 where that is too recent."""

    mtime_ns: int
    folders: list[str]
    images: list[str]


_Folders = dict[str, _Folder]  # By path relative to the root, '' for the root itself.


def find_images(root: Path, cache: bool = True) -> list[str]:
    """The images below a folder: relative paths with '/', sorted by code point.

    An image is what has the extension of one. Hidden files and folders and `__MACOSX`
    are skipped; links are followed, but not from a folder into one that holds it.

    With cache, what is found in a large tree is kept in `<root>/.tapestry`, if that can
    be written, and only folders whose modification time has changed are read again. So
    files added, removed or renamed are noticed; one with new contents is not, and need
    not be, since only its name counts.

    Raises DatasetError where a folder cannot be read or a name is not Unicode.
    """
    file = root / CACHE / _FILE
    known = _read(file) if cache else {}
    folders = dict(_walk(str(root), known))
    paths = sorted(
        f'{path}/{name}' if path else name
        for path, folder in folders.items()
        for name in folder.images
    )
    _check_unicode(root, paths)
    if cache and len(paths) > _WORTH_KEEPING and folders != known:
        write_cache(file, _pack(folders))
    return paths


def _walk(root: str, known: _Folders) -> Iterator[tuple[str, _Folder]]:
    """Each folder's relative path and contents, read only where it has changed."""
    recent = time.time_ns() - _TICK_NS
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [('', ())]
    while waiting:
        path, parents = waiting.pop()
        full = f'{root}/{path}' if path else root
        try:
            # Before the folder is read: a change after that shows the next time.
            status = os.stat(full)
            identity = (status.st_dev, status.st_ino)
            if identity in parents:
                continue
            folder = known.get(path)
            if folder is None or folder.mtime_ns != status.st_mtime_ns:
                mtime_ns = status.st_mtime_ns
                folder = _scan(full, mtime_ns if mtime_ns < recent else -1)
        except OSError as error:
            raise DatasetError(
                f'Expected a folder that can be read, got {full}: {error.strerror}.'
            ) from error
        yield path, folder
        below = (*parents, identity)
        waiting += [
            (f'{path}/{name}' if path else name, below) for name in folder.folders
        ]


def _scan(folder: str, mtime_ns: int) -> _Folder:
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
    return _Folder(mtime_ns, folders, images)


def _check_unicode(root: Path, paths: list[str]) -> None:
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            raise DatasetError(
                f'{root}: expected file names in UTF-8, got {path!r}; rename it.'
            ) from None


def _pack(folders: _Folders) -> bytes:
    """JSON behind a line with its checksum, which tells a damaged file."""
    body = json.dumps(folders, separators=(',', ':')).encode()
    return b'%d\n%s' % (zlib.crc32(body), body)


def _read(file: Path) -> _Folders:
    """The folders of an earlier time; none where there is no sound index."""
    try:
        checksum, _, body = file.read_bytes().partition(b'\n')
        if checksum != b'%d' % zlib.crc32(body):
            return {}
        folders = json.loads(body)
    except (OSError, ValueError):
        return {}
    return {path: _Folder(*folder) for path, folder in folders.items()}


def write_cache(file: Path, contents: bytes) -> None:
    """Writes a file whole or not at all; a folder that is read-only is left alone."""
    # Without a cache all works as well, only more slowly.
    with contextlib.suppress(OSError):
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, contents)
