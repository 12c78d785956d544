"""What is computed once for each image of a split, kept in memory or in a file."""

import errno
import hashlib
import json
import logging
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vision.data.decoding.bad_files import BadFiles
from vision.data.download.download import locked
from vision.data.pipeline import eval_batches
from vision.data.source import ArraySplit, DatasetError, RangeSplit, Split
from vision.files import replacing, write_atomically

Progress = Callable[[int, int], None]  # (images done, images in all)

_VERSION = 2  # Of the decoder and the record; another one makes a file useless.
_Bad = list[tuple[int, str]]  # The indices of bad images, and what is wrong with each.


class Contents(NamedTuple):
    """What is kept: an array, computed of the images and in the order of the split.

    Attributes:
        compute: makes values [B, ...] of images uint8 [B, S, S, 3] and their names; of
            the last batch there are fewer names than images, which are then padded.
        batch_size: B.
        image_size: S, in pixels.
        what: the contents in words, for messages.
        remedy: what else can be done where the disk does not take them.
        parameters: the arguments that change where or whether they are kept.
        made_of: what they depend on besides the images and their shape.
        checked: whether they are read and compared with their checksum before use.
    """

    compute: Callable[[np.ndarray, Sequence[str]], np.ndarray]
    batch_size: int
    image_size: int
    shape: tuple[int, ...]
    dtype: type
    what: str
    remedy: str
    parameters: tuple[str, ...]
    made_of: str = ''
    checked: bool = False

    @property
    def size(self) -> int:
        """Bytes."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def in_memory(
    split: Split,
    contents: Contents,
    bad_files: BadFiles | None,
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The contents in memory, and the sample weights float32 [N].

    Undecodable images get the weight 0 and are recorded in bad_files.
    """
    # Memory by the page, which TensorFlow can share, unlike most of NumPy's.
    values: np.ndarray = np.frombuffer(
        mmap.mmap(-1, contents.size), contents.dtype
    ).reshape(contents.shape)
    sample_weights = np.empty(len(split), np.float32)
    for start, group, weights in _groups(split, contents, bad_files, progress):
        values[start : start + len(group)] = group
        sample_weights[start : start + len(group)] = weights
    return values, sample_weights


def on_disk(
    file: Path,
    split: Split,
    contents: Contents,
    bad_files: BadFiles,
    progress: Progress | None,
) -> tuple[np.ndarray, np.ndarray]:
    """As in_memory, but the contents are in a memory-mapped file.

    They are computed where the file is not there yet, is damaged, or is out of date,
    that is made of other images or of something else than what is `made_of` now. If
    several processes need the file at once, one makes it and the others wait.

    Raises:
        DatasetError: the folder cannot be written to or is full.
    """
    with locked(file):
        fingerprint = digest(
            [
                _VERSION,
                tf.__version__,
                contents.made_of,
                *contents.shape,
                *_state_of_images(split),
            ]
        )
        bad = _bad_in(file, contents, fingerprint)
        if bad is None:
            bad = _make(file, split, contents, fingerprint, progress)
        values = _mapped(file, contents)
    sample_weights = split.sample_weights.copy()
    for index, reason in bad:
        bad_files.record(split.names[index], int(split.labels[index]), reason)
        sample_weights[index] = 0
    return values, sample_weights


def _groups(
    split: Split,
    contents: Contents,
    bad_files: BadFiles | None,
    progress: Progress | None,
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields where a batch starts, what is computed of it, and its sample weights.

    progress is called when the consumer comes back for the next batch.
    """
    size = contents.batch_size
    batches = eval_batches(
        split, batch_size=size, image_size=contents.image_size, bad_files=bad_files
    )
    for start, batch in zip(range(0, len(split), size), batches.as_numpy_iterator()):
        names = split.names[start : start + size]
        values = contents.compute(batch.images, names)
        yield start, values[: len(names)], batch.sample_weights[: len(names)]
        if progress is not None:
            progress(start + len(names), len(split))


def digest(parts: Iterable[Any]) -> str:
    """32 hexadecimal digits that change with any of the parts and with their order."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        total.update(repr(part).encode() + b'\n')
    return total.hexdigest()


def _make(
    file: Path,
    split: Split,
    contents: Contents,
    fingerprint: str,
    progress: Progress | None,
) -> _Bad:
    """Computes and writes the file and its record; returns the bad images."""
    bad_files, checksum = BadFiles(), hashlib.blake2b()
    try:
        with replacing(file) as stream:
            # Before the work, which can take hours.
            if shutil.disk_usage(file.parent).free < contents.size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            # Written rather than mapped: a full disk is then an error, not a signal.
            for _, group, _ in _groups(split, contents, bad_files, progress):
                stream.write(group.data)
                if contents.checked:
                    checksum.update(group.data)
            _record(file).unlink(missing_ok=True)
        index_of = {name: index for index, name in enumerate(split.names)}
        bad = [(index_of[item.name], item.reason) for item in bad_files.items()]
        checksum.update(json.dumps(bad).encode())
        record = {
            'fingerprint': fingerprint,
            'checksum': checksum.hexdigest(),
            'bad': bad,
        }
        write_atomically(_record(file), json.dumps(record))
    except OSError as error:
        raise DatasetError(
            f'Cannot keep {contents.size / 1e9:.1f} GB of {contents.what} in '
            f'{file.parent}: {error.strerror}. {contents.remedy}',
            *contents.parameters,
        ) from error
    return bad


def _bad_in(file: Path, contents: Contents, fingerprint: str) -> _Bad | None:
    """The bad images of a file that can be used; None where there is no such file."""
    fault = 'damaged'
    try:
        record = json.loads(_record(file).read_text(encoding='utf-8'))
        if record['fingerprint'] != fingerprint:
            fault = 'out of date'
        elif file.stat().st_size == contents.size:
            checksum = hashlib.blake2b()
            if contents.checked:
                checksum.update(_mapped(file, contents).data)
            checksum.update(json.dumps(record['bad']).encode())
            if checksum.hexdigest() == record['checksum']:
                return record['bad']
    except (OSError, ValueError, KeyError, TypeError):
        pass  # Whatever is wrong with it, a new one is as good.
    if file.exists():
        logging.getLogger(__name__).warning(
            '%s is %s: the %s are made again.', file, fault, contents.what
        )
    return None


def _mapped(file: Path, contents: Contents) -> np.ndarray:
    # 'c', since TensorFlow shares only writable memory; nothing writes to it.
    return np.memmap(file, contents.dtype, 'c', shape=contents.shape)


def _record(file: Path) -> Path:
    return file.with_suffix('.json')


def _state_of_images(split: Split) -> list[Any]:
    """Changes with the files of a split, or with its pixels."""
    if isinstance(split, ArraySplit):
        pixels = hashlib.blake2b()
        for image in split.images:  # One by one: the whole need not be contiguous.
            pixels.update(np.ascontiguousarray(image).data)
        return [split.images.shape, pixels.hexdigest()]
    status: dict[str, Any] = {}
    for path in dict.fromkeys(split.paths):
        try:
            state = os.stat(path)
            status[path] = (state.st_size, state.st_mtime_ns)
        except OSError as error:
            status[path] = error.strerror
    ranges = split.ranges.tolist() if isinstance(split, RangeSplit) else ()
    return [*ranges, *status.items()]
