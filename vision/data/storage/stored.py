"""What is computed once for each image of a split, kept in memory or in a file."""

import errno
import hashlib
import json
import logging
import mmap
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vision.data.decoding.bad_files import BadFiles
from vision.data.download.download import locked
from vision.data.pipeline import Batch, eval_batches
from vision.data.source import ArraySplit, DatasetError, RangeSplit, Split
from vision.files import replacing, write_atomically

Progress = Callable[[int, int], None]  # (images done, images in all)
# Where a group of images starts, what was computed for them, and their sample weights.
Groups = Iterator[tuple[int, np.ndarray, np.ndarray]]
MakeGroups = Callable[[BadFiles], Groups]  # Records undecodable images.

_VERSION = 2  # Of the decoder and the record; another one makes a file useless.
_Bad = list[tuple[int, str]]  # The indices of bad images, and what is wrong with each.

_log = logging.getLogger(__name__)


class Contents(NamedTuple):
    """What a file holds: an array, in the order of the split.

    Attributes:
        what: the contents in words, for messages.
        remedy: what else can be done where the disk does not take them.
        parameters: the arguments that change where or whether they are kept.
        made_of: what they depend on besides the images and their shape.
        checked: whether they are read and compared with their checksum before use.
    """

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
    shape: tuple[int, ...], dtype: type, groups: Groups
) -> tuple[np.ndarray, np.ndarray]:
    """What the groups hold, in one array, and the sample_weights float32 [N]."""
    # Memory by the page, which TensorFlow can share, unlike most of NumPy's.
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    values: np.ndarray = np.frombuffer(mmap.mmap(-1, size), dtype).reshape(shape)
    sample_weights = np.empty(shape[0], np.float32)
    for start, group, group_weights in groups:
        values[start : start + len(group)] = group
        sample_weights[start : start + len(group)] = group_weights
    return values, sample_weights


def on_disk(
    file: Path,
    split: Split,
    contents: Contents,
    groups: MakeGroups,
    bad_files: BadFiles,
) -> tuple[np.ndarray, np.ndarray]:
    """What the groups hold, in a memory-mapped file, and sample weights float32 [N].

    If several processes need the file at once, one makes it and the others wait.

    Args:
        groups: called where the file is not there yet, is damaged, or is out of date,
            that is made of other images or of something else than what is `made_of`
            now. Undecodable images are recorded in what it is called with.

    Raises:
        DatasetError: the folder cannot be written to or is full.
    """
    with locked(file):
        fingerprint = _fingerprint(split, contents)
        bad = _bad_in(file, contents, fingerprint)
        if bad is None:
            bad = _make(file, split, contents, fingerprint, groups)
        values = _mapped(file, contents)
    sample_weights = split.sample_weights.copy()
    for index, reason in bad:
        bad_files.record(split.names[index], int(split.labels[index]), reason)
        sample_weights[index] = 0
    return values, sample_weights


def in_order(
    split: Split,
    batch_size: int,
    side: int,
    bad_files: BadFiles | None,
    progress: Progress | None,
) -> Iterator[tuple[int, int, Batch]]:
    """Yields where a batch of NumPy arrays starts, how many count, and the batch.

    All are of the same shape; in the last, what does not count is padding. progress is
    called when the consumer comes back for the next batch.
    """
    total = len(split)
    batches = eval_batches(
        split, batch_size=batch_size, image_size=side, bad_files=bad_files
    )
    for start, batch in zip(range(0, total, batch_size), batches.as_numpy_iterator()):
        count = min(batch_size, total - start)
        yield start, count, batch
        if progress is not None:
            progress(start + count, total)


def digest(parts: Iterable[Any]) -> str:
    """32 hexadecimal digits that change with any of the parts and with their order."""
    total = hashlib.blake2b(digest_size=16)
    for part in parts:
        total.update(repr(part).encode() + b'\n')
    return total.hexdigest()


def _make(
    file: Path, split: Split, contents: Contents, fingerprint: str, groups: MakeGroups
) -> _Bad:
    """Computes and writes the file and its record; returns the bad images."""
    bad_files, checksum = BadFiles(), hashlib.blake2b()
    try:
        with replacing(file) as stream:
            _check_room(file.parent, contents.size)
            # Written rather than mapped: a full disk is then an error, not a signal.
            for _, group, _ in groups(bad_files):
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


def _check_room(folder: Path, size: int) -> None:
    """Checks the free space before the work, which can take hours.

    Raises:
        OSError: there is less; the error of a full disk.
    """
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _bad_in(file: Path, contents: Contents, fingerprint: str) -> _Bad | None:
    """The bad images of a file that can be used; None where there is no such file."""
    fault = 'damaged'
    try:
        record = json.loads(_record(file).read_text(encoding='utf-8'))
        if record['fingerprint'] != fingerprint:
            fault = 'out of date'
        elif record['checksum'] == _checksum(file, contents, record['bad']):
            return record['bad']
    except (OSError, ValueError, KeyError, TypeError):
        pass  # Whatever is wrong with it, a new one is as good.
    if file.exists():
        _log.warning('%s is %s: the %s are made again.', file, fault, contents.what)
    return None


def _checksum(file: Path, contents: Contents, bad: _Bad) -> str:
    """Of the bad images, and before them of the contents if these are checked.

    Raises:
        ValueError: the file has another size.
    """
    checksum = hashlib.blake2b()
    values = _mapped(file, contents)
    if contents.checked:
        checksum.update(values.data)
    checksum.update(json.dumps(bad).encode())
    return checksum.hexdigest()


def _mapped(file: Path, contents: Contents) -> np.ndarray:
    size = file.stat().st_size
    if size != contents.size:
        raise ValueError(f'Expected {contents.size} bytes in {file}, received {size}.')
    # 'c', since TensorFlow shares only writable memory; nothing writes to it.
    return np.memmap(file, contents.dtype, 'c', shape=contents.shape)


def _record(file: Path) -> Path:
    return file.with_suffix('.json')


def _fingerprint(split: Split, contents: Contents) -> str:
    """Changes with anything that the contents depend on."""
    return digest(
        [
            _VERSION,
            tf.__version__,
            contents.made_of,
            *contents.shape,
            *_state_of_images(split),
        ]
    )


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
