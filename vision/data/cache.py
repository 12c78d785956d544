"""Decoding a split once, and keeping the pictures in memory or in one file on disk."""

import dataclasses
import hashlib
import json
import logging
import mmap
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vision.data.bad_files import BadFiles
from vision.data.download import locked
from vision.data.index import CACHE
from vision.data.pipeline import eval_batches
from vision.data.source import DatasetError, Split

Progress = Callable[[int, int], None]  # (pictures done, pictures in all)

_GROUP = 64  # Files an element of the pipeline.
_VERSION = 1  # Of the decoder and the layout; another one makes a cache useless.

_log = logging.getLogger(__name__)


def decode_to_memory(split: Split, side: int, bad_files: BadFiles | None = None,
                     progress: Progress | None = None) -> Split:
    """The same split with images uint8 [N, side, side, 3] in memory.

    Undecodable pictures get the weight 0 and are recorded in bad_files.
    progress: called while the work goes on.
    """
    shape = (len(split), side, side, 3)
    # Memory by the page, which TensorFlow can share, unlike most of NumPy's.
    images = np.frombuffer(mmap.mmap(-1, int(np.prod(shape))), np.uint8).reshape(shape)
    weights = np.empty(len(split), np.float32)
    for start, group, group_weights in _decoded(split, side, bad_files, progress):
        images[start:start + len(group)] = group
        weights[start:start + len(group)] = group_weights
    return _replaced(split, images, weights)


def decode_to_disk(split: Split, side: int, folder: Path,
                   bad_files: BadFiles | None = None,
                   progress: Progress | None = None) -> Split:
    """The same split with images uint8 [N, side, side, 3] in a memory-mapped file.

    The file lies in the folder, is used again by the next run, and is made anew if any
    picture's size or time of change is another than when it was made. Of two
    processes that want it at once, one makes it. Killed, it starts again.

    Raises DatasetError where the folder cannot be written to or is full.
    """
    file = folder / f'decoded-{_digest([side, *split.names])[:16]}.uint8'
    bad_files = bad_files or BadFiles()
    with locked(file):
        fingerprint = _fingerprint(split, side)
        bad = _bad_in(file, fingerprint, len(split) * side**2 * 3)
        if bad is None:
            bad = _write(file, split, side, fingerprint, progress)
        # 'c' is for TensorFlow, which shares only what it could write to; nobody does.
        images = np.memmap(file, np.uint8, 'c', shape=(len(split), side, side, 3))
    weights = split.weights.copy()
    for index, reason in bad:
        bad_files.record(split.names[index], int(split.labels[index]), reason)
        weights[index] = 0
    return _replaced(split, images, weights)


def cache_folder(data_dir: str) -> Path:
    """Where caches of a dataset lie unless told otherwise: .tapestry beside the data.

    Raises DatasetError without a data_dir.
    """
    if not data_dir:
        raise DatasetError('Expected a folder for the decoded pictures, since there is '
                           'no data directory; pass --cache_dir.')
    root = Path(data_dir)
    return (root if root.is_dir() else root.parent) / CACHE


def _write(file: Path, split: Split, side: int, fingerprint: str,
           progress: Progress | None) -> list[tuple[int, str]]:
    """Decodes into `<file>.part`, then renames; returns the bad pictures."""
    bad_files = BadFiles()
    part = file.with_name(f'{file.name}.part')
    try:
        with part.open('wb') as stream:
            # Written rather than mapped: a full disk is then an error, not a signal.
            for _, group, _ in _decoded(split, side, bad_files, progress):
                stream.write(group.data)
            stream.flush()
            os.fsync(stream.fileno())
        index_of = {name: index for index, name in enumerate(split.names)}
        bad = [(index_of[item.name], item.reason) for item in bad_files.items()]
        _record(file).unlink(missing_ok=True)
        part.replace(file)
        _record(file).write_text(json.dumps({
            'fingerprint': fingerprint,
            'bad': bad
        }), encoding='utf-8')
    except OSError as error:
        part.unlink(missing_ok=True)
        need = len(split) * side**2 * 3
        raise DatasetError(
            f'Cannot keep {need / 1e9:.1f} GB of decoded pictures in {file.parent}: '
            f'{error.strerror}. Make room, choose another --cache_dir, or pass '
            '--cache=off.') from error
    return bad


def _bad_in(file: Path, fingerprint: str, size: int) -> list[tuple[int, str]] | None:
    """The bad pictures of a file made of the very same sources; None without one.

    size: bytes that the file has to have.
    """
    try:
        record = json.loads(_record(file).read_text(encoding='utf-8'))
        if record['fingerprint'] == fingerprint and file.stat().st_size == size:
            return record['bad']
        _log.info(
            '%s is not whole or not of these pictures any more: decoding '
            'them again.', file)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _record(file: Path) -> Path:
    return file.with_suffix('.json')


def _fingerprint(split: Split, side: int) -> str:
    """Changes with anything that the decoded pictures depend on."""
    assert split.paths is not None
    status: dict[str, Any] = {}
    for path in split.paths:
        if path not in status:
            try:
                found = os.stat(path)
                status[path] = (found.st_size, found.st_mtime_ns)
            except OSError as error:
                status[path] = error.strerror
    ranges = () if split.ranges is None else split.ranges.tolist()
    return _digest([_VERSION, tf.__version__, len(split), side, *ranges,
                    *status.items()])  # yapf: disable


def _digest(parts: Iterable[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(repr(part).encode() + b'\n')
    return digest.hexdigest()


def _decoded(split: Split, side: int, bad_files: BadFiles | None,
             progress: Progress | None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yields where a group of pictures starts, the pictures, and their weights."""
    total = len(split)
    batches = eval_batches(split, batch_size=_GROUP, image_size=side,
                           bad_files=bad_files)
    for start, batch in zip(range(0, total, _GROUP), batches.as_numpy_iterator()):
        count = min(_GROUP, total - start)
        yield start, batch.images[:count], batch.weights[:count]
        if progress is not None:
            progress(start + count, total)


def _replaced(split: Split, images: np.ndarray, weights: np.ndarray) -> Split:
    return dataclasses.replace(split, images=images, paths=None, ranges=None,
                               weights=weights)


def fits_in_memory(pictures: int, side: int, share: float = 0.25) -> bool:
    """Whether so many decoded pictures take at most this share of the free memory."""
    return pictures * side**2 * 3 <= share * _available_bytes()


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
