"""Decoding a split once, and keeping the images in memory or in one file on disk."""

import os
from pathlib import Path

import numpy as np

from vision.data.decoding.bad_files import BadFiles
from vision.data.source import ArraySplit, DatasetError, Split
from vision.data.storage import stored
from vision.data.storage.index import CACHE
from vision.data.storage.stored import Contents, Progress

_GROUP = 64  # Files an element of the pipeline.


def decode_to_memory(
    split: Split,
    side: int,
    bad_files: BadFiles | None = None,
    progress: Progress | None = None,
) -> ArraySplit:
    """The same split with images uint8 [N, side, side, 3] in memory.

    Undecodable images get the weight 0 and are recorded in bad_files.

    Args:
        progress: called after every group of images.
    """
    return _decoded(
        split, *stored.in_memory(split, _contents(split, side), bad_files, progress)
    )


def decode_to_disk(
    split: Split,
    side: int,
    folder: Path,
    bad_files: BadFiles | None = None,
    progress: Progress | None = None,
) -> ArraySplit:
    """The same split with images uint8 [N, side, side, 3] in a memory-mapped file.

    Args:
        split: the images.
        side: to which they are fitted, in pixels.
        folder: where the file is. The next run uses it again, unless the size or the
            modification time of an image has changed. If several processes need it at
            once, one makes it and the others wait.
        bad_files: where undecodable images are recorded.
        progress: called after every group of images.

    Raises:
        DatasetError: the folder cannot be written to or is full.
    """
    file = folder / f'decoded-{stored.digest([side, *split.names])[:16]}.uint8'
    return _decoded(
        split,
        *stored.on_disk(
            file, split, _contents(split, side), bad_files or BadFiles(), progress
        ),
    )


def cache_folder(data_dir: str) -> Path:
    """Where caches of a dataset are by default: .tapestry beside the data.

    Raises:
        DatasetError: there is no data_dir.
    """
    if not data_dir:
        raise DatasetError(
            'Expected a folder for the cache, since there is no data '
            'directory; pass a cache_dir.',
            'cache_dir',
        )
    root = Path(data_dir)
    return (root if root.is_dir() else root.parent) / CACHE


def _contents(split: Split, side: int) -> Contents:
    return Contents(
        compute=lambda images, names: images,
        batch_size=_GROUP,
        image_size=side,
        shape=(len(split), side, side, 3),
        dtype=np.uint8,
        what='decoded images',
        remedy='Make room, choose another cache_dir, or keep no cache.',
        parameters=('cache_dir', 'cache'),
    )


def _decoded(
    split: Split, images: np.ndarray, sample_weights: np.ndarray
) -> ArraySplit:
    return ArraySplit(split.labels, split.names, images, sample_weights=sample_weights)


def fits_in_memory(images: int, side: int, share: float = 0.25) -> bool:
    """Whether so many decoded images take at most this share of the free memory."""
    return images * side**2 * 3 <= share * _available_bytes()


def _available_bytes() -> int:
    """Free memory of the machine, or of the container where that has less."""
    try:
        with open('/proc/meminfo', encoding='ascii') as lines:
            fields = dict(line.split(':') for line in lines)
        available = int(fields['MemAvailable'].split()[0]) * 1024
    except (OSError, KeyError):
        available = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    try:
        group = Path('/sys/fs/cgroup')
        limit = int((group / 'memory.max').read_text(encoding='ascii'))
        used = int((group / 'memory.current').read_text(encoding='ascii'))
    except (OSError, ValueError):  # There is no limit, or this is not Linux.
        return available
    return min(available, limit - used)
