"""The image files that a person means by a path, a folder or a pattern."""

import glob
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from vision.data.storage.index import EXTENSIONS


class ImageFile(NamedTuple):
    """A file to look at, or why there is none.

    Attributes:
        name: the path as it was given, or as it was found below what was given.
        path: where it is read from; '' where it cannot be.
        size: of the file in bytes.
        error: why it cannot be read; '' where it perhaps can.
    """

    name: str
    path: str = ''
    size: int = 0
    error: str = ''


def find(what: str | os.PathLike) -> Iterator[ImageFile]:
    """The images that a path, a folder or a pattern stands for; at least one entry.

    A path is taken as it is, whatever its suffix. A folder is searched, sorted and with
    all folders below, for the suffixes of images; what is hidden is skipped, and
    links are followed, but not from a folder into one that holds it. What is no path
    but has wildcards (`*`, `?`, `[...]`, `**`) is what it matches, sorted, each file
    once.
    """
    path = os.fspath(what)
    if os.path.isdir(path):
        found = _below(path)
        problem = 'No images in this folder'
    elif os.path.lexists(path) or path == glob.escape(path):
        yield of_file(path)
        return
    else:
        found = _matching(path)
        problem = 'No such file, and none matches it as a pattern'
    nothing = ImageFile(path, error=problem)
    yield next(found, nothing)
    yield from found


def of_file(path: str) -> ImageFile:
    """The file at a path; nothing is opened."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        return ImageFile(path, error=getattr(error, 'strerror', '') or str(error))
    if stat.S_ISDIR(status.st_mode):
        return ImageFile(path, error='A folder, not a file')
    if not stat.S_ISREG(status.st_mode):
        # Opening a pipe could wait forever.
        return ImageFile(path, error='A pipe or a device, not a file')
    if not status.st_size:
        return ImageFile(path, error='The file is empty')
    return ImageFile(path, path, status.st_size)


def _below(folder: str) -> Iterator[ImageFile]:
    """The images in a folder and in those below it."""
    waiting: list[tuple[str, tuple[tuple[int, int], ...]]] = [(folder, ())]
    while waiting:
        path, above = waiting.pop()
        if not os.path.isdir(path):
            yield of_file(path)
            continue
        try:
            status = os.stat(path)
            names = os.listdir(path)
        except OSError as error:
            yield ImageFile(path, error=error.strerror or str(error))
            continue
        identity = (status.st_dev, status.st_ino)
        if identity not in above:
            paths = [os.path.join(path, name) for name in names if _is_shown(name)]
            waiting += [
                (each, (*above, identity))
                for each in sorted(paths, reverse=True)
                if _is_named_as_image(each) or os.path.isdir(each)
            ]


def _is_shown(name: str) -> bool:
    return not name.startswith('.') and name != '__MACOSX'


def _is_named_as_image(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def _matching(pattern: str) -> Iterator[ImageFile]:
    """What a pattern matches; of folders, the images below, and no file twice."""
    seen = set()
    for match in sorted(glob.glob(pattern, recursive=True)):
        for file in _below(match) if os.path.isdir(match) else [of_file(match)]:
            if file.name not in seen:
                seen.add(file.name)
                yield file
