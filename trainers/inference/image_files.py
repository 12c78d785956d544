"""The image files that a path, a folder or a pattern stands for."""

import glob
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from vision.data.storage.index import walk


class ImageFile(NamedTuple):
    """A file, or why it cannot be read.

    Attributes:
        name: the path as given, or below the folder or pattern given.
        path: where it is read from; '' where it cannot be read.
        size: of the file in bytes.
        error: why it cannot be read; '' where nothing is known against it.
    """

    name: str
    path: str = ''
    size: int = 0
    error: str = ''


def find(what: str | os.PathLike) -> Iterator[ImageFile]:
    """The images that a path, a folder or a pattern stands for; at least one entry.

    A path of a file stands for the file, whatever its suffix; a folder for the images
    in it and in the folders below, in the order of the names in each. Anything else is
    a pattern with wildcards (`*`, `?`, `[...]`, `**`): it stands for what it matches,
    sorted and without repetition.
    """
    path = os.fspath(what)
    if os.path.isdir(path):
        files = _below(path)
        problem = 'No images in this folder'
    elif os.path.lexists(path) or path == glob.escape(path):
        yield of_file(path)
        return
    else:
        files = _matching(path)
        problem = 'No such file, and none matches it as a pattern'
    yield next(files, ImageFile(path, error=problem))
    yield from files


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
    waiting: list[str] = []  # Images of the folders that hold the next, the first last.
    for path, content in walk(folder):
        while waiting and waiting[-1].split(os.sep) < path.split(os.sep):
            yield of_file(waiting.pop())
        if isinstance(content, OSError):
            yield ImageFile(path, error=content.strerror or str(content))
        else:
            waiting += [os.path.join(path, name) for name in reversed(content.images)]
    yield from map(of_file, reversed(waiting))


def _matching(pattern: str) -> Iterator[ImageFile]:
    """What a pattern matches; of folders, the images below, and no file twice."""
    seen = set()
    for match in sorted(glob.glob(pattern, recursive=True)):
        for file in _below(match) if os.path.isdir(match) else [of_file(match)]:
            if file.name not in seen:
                seen.add(file.name)
                yield file
