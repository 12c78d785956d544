"""Decoding a split once, to keep it in memory."""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from vision.data.bad_files import BadFiles
from vision.data.pipeline import eval_batches
from vision.data.source import Split

_GROUP = 128  # Files an element: twice as fast as one by one.


def decode_to_memory(split: Split, image_size: int, bad_files: BadFiles | None = None,
                     progress: Callable[[int, int], None] | None = None) -> Split:
    """The same split with images uint8 [N, image_size, image_size, 3] in memory.

    Undecodable pictures become zeros of weight 0 and are recorded in bad_files.
    progress: called as progress(done, total) while the work goes on.
    """
    total = len(split)
    images = np.empty([total, image_size, image_size, 3], np.uint8)
    weights = np.empty([total], np.float32)
    batches = eval_batches(split, batch_size=_GROUP, image_size=image_size,
                           bad_files=bad_files)
    for start, batch in zip(range(0, total, _GROUP), batches.as_numpy_iterator()):
        end = min(start + _GROUP, total)
        images[start:end] = batch.images[:end - start]
        weights[start:end] = batch.weights[:end - start]
        if progress is not None:
            progress(end, total)
    return dataclasses.replace(split, images=images, paths=None, weights=weights)


def fits_in_memory(split: Split, image_size: int, share: float = 0.25) -> bool:
    """Whether the decoded split takes at most this share of the available memory."""
    return len(split) * image_size**2 * 3 <= share * _available_bytes()


def _available_bytes() -> int:
    try:
        with open('/proc/meminfo', encoding='ascii') as lines:
            fields = dict(line.split(':') for line in lines)
        return int(fields['MemAvailable'].split()[0]) * 1024
    except (OSError, KeyError):
        return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
