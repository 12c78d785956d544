"""CIFAR-10: ten classes of 32x32 photographs (Krizhevsky, 2009)."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vision.data.datasets.layout import (
    check_every_class,
    class_split,
    complete,
    contents,
    no_archive,
)
from vision.data.source import (
    ArraySplit,
    DatasetError,
    FileSplit,
    HeldOut,
    Source,
    Split,
)
from vision.data.storage.index import find_images

IMAGE_SIZE = 32
CLASSES = (
    'airplane',
    'automobile',
    'bird',
    'cat',
    'deer',
    'dog',
    'frog',
    'horse',
    'ship',
    'truck',
)
_BATCHES = {'train': [f'data_batch_{i}' for i in range(1, 6)], 'test': ['test_batch']}
_IMAGES = 10_000  # In each batch.
_IMAGE_BYTES = 3 * IMAGE_SIZE**2


class _Batch(NamedTuple):
    """labels uint8 [10000] and pixels uint8 [10000, 3072], channel after channel."""

    labels: np.ndarray
    pixels: np.ndarray


_Read = Callable[[Path], _Batch]


def load(data_dir: str, held_out: HeldOut) -> Source:
    """CIFAR-10: 60,000 photographs of 32x32 pixels, ten classes.

    data_dir is the folder of the official archive, binary `cifar-10-batches-bin` or
    Python `cifar-10-batches-py`, or the folder that holds it: both are read into memory
    as the same splits. Or a folder of files `{train,test}/<class>/*`, which stay on
    disk. The validation split is taken from each class of the 50,000 training images.

    Raises:
        DatasetError: there is none of these, or a part of one is missing.
    """
    splits = complete(_read_splits(data_dir), held_out)
    return Source('cifar10', CLASSES, splits, IMAGE_SIZE, fixed_size=True)


def _read_splits(data_dir: str) -> Mapping[str, Split]:
    """The splits train and test, as they come."""
    if not data_dir:
        raise no_archive('cifar10', 'cifar10 needs a data directory, got none.')
    parent = Path(data_dir)
    for folder, ending, read in (
        ('cifar-10-batches-bin', '.bin', _read_binary),
        ('cifar-10-batches-py', '', _read_pickle),
    ):
        for root in (parent, parent / folder):
            if (root / f'data_batch_1{ending}').is_file():
                return _from_batches(root, ending, read)
    if (parent / 'train' / CLASSES[0]).is_dir():
        return _from_files(parent)
    raise no_archive(
        'cifar10',
        'Expected cifar-10-batches-bin, cifar-10-batches-py or '
        f'train/{CLASSES[0]} and so on in {data_dir}, got {contents(data_dir)}.',
    )


def _from_files(root: Path) -> dict[str, FileSplit]:
    paths = find_images(root)
    splits = {name: class_split(root, name, paths, CLASSES) for name in _BATCHES}
    check_every_class(root / 'train', CLASSES, splits['train'])
    return splits


def _from_batches(root: Path, ending: str, read: _Read) -> dict[str, ArraySplit]:
    files = {
        split: [root / f'{name}{ending}' for name in names]
        for split, names in _BATCHES.items()
    }
    missing = [file.name for file in sum(files.values(), []) if not file.is_file()]
    if missing:
        raise no_archive(
            'cifar10',
            f'{root} lacks {", ".join(missing)}; the archive was not extracted whole.',
        )
    return {
        split: _in_memory([read(file) for file in files[split]], names)
        for split, names in _BATCHES.items()
    }


def _in_memory(batches: Sequence[_Batch], files: Sequence[str]) -> ArraySplit:
    """One split of several batches, named after their files."""
    labels = np.concatenate([batch.labels for batch in batches]).astype(np.int32)
    pixels = np.concatenate([batch.pixels for batch in batches])
    images = pixels.reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE).transpose(0, 2, 3, 1)
    names = [f'{file}/{i:05d}' for file in files for i in range(_IMAGES)]
    return ArraySplit(labels, names, np.ascontiguousarray(images))


def _read_binary(file: Path) -> _Batch:
    """Records of a label and an image's bytes, nothing else."""
    expected, size = _IMAGES * (1 + _IMAGE_BYTES), file.stat().st_size
    if size != expected:
        raise DatasetError(
            f'{file}: expected {expected:,} bytes, got {size:,}; '
            'extract the archive again.'
        )
    records = np.fromfile(file, np.uint8).reshape(_IMAGES, -1)
    return _Batch(records[:, 0], records[:, 1:])


def _read_pickle(file: Path) -> _Batch:
    """A pickled dictionary with `labels` and `data`, among others."""
    try:
        with open(file, 'rb') as contents:
            batch = _ArrayUnpickler(contents, encoding='latin1').load()
        labels = np.array(batch['labels'], np.uint8)
        pixels = batch['data'].bytes.reshape(_IMAGES, _IMAGE_BYTES)
        if labels.shape != (_IMAGES,):
            raise ValueError(f'{len(labels)} labels')
    # A damaged pickle raises anything.
    except Exception as error:
        raise DatasetError(
            f'{file}: expected a batch of CIFAR-10, got {error!r}; '
            'extract the archive again.'
        ) from error
    return _Batch(labels, pixels)


class _PickledArray:
    """Stands for an array: takes over the bytes of its state and nothing else."""

    def __init__(self, *arguments: Any) -> None:
        del arguments

    def __setstate__(self, state: tuple) -> None:
        self.bytes = np.frombuffer(state[-1].encode('latin1'), np.uint8)


class _PickledType(_PickledArray):
    """Stands for a dtype, which is known to be uint8."""

    def __setstate__(self, state: tuple) -> None:
        del state


class _ArrayUnpickler(pickle.Unpickler):
    """Reads plain values and arrays of bytes; a pickle can call nothing else.

    NumPy's classes are refused: a crafted state can corrupt memory.
    """

    def find_class(self, module: str, name: str) -> type:
        known = {
            ('numpy.core.multiarray', '_reconstruct'): _PickledArray,
            ('numpy', 'ndarray'): _PickledArray,
            ('numpy', 'dtype'): _PickledType,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f'the forbidden {module}.{name}')
        return known[module, name]
