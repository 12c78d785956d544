"""CIFAR-10: ten classes of 32x32 photographs (Krizhevsky, 2009)."""

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vision.data.datasets.layout import class_splits, complete, contents, no_archive
from vision.data.source import ArraySplit, DatasetError, HeldOut, Source, Split

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


def load(data_dir: str, held_out: HeldOut) -> Source:
    """CIFAR-10: 60,000 photographs of 32x32 pixels, ten classes.

    data_dir is the folder of the official archive, binary `cifar-10-batches-bin` or
    Python `cifar-10-batches-py`, or the folder that holds it: both are read into memory
    as the same splits. Or a folder of files `{train,test}/<class>/*`, which stay on
    disk. The validation split is taken from each class of the 50,000 training images.

    Raises:
        DatasetError: there is none of these, or a part of one is missing.
    """
    return Source(
        'cifar10',
        CLASSES,
        splits=complete(_read_splits(data_dir), held_out),
        image_size=IMAGE_SIZE,
        fixed_size=True,
    )


def _read_splits(data_dir: str) -> Mapping[str, Split]:
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
        return class_splits(parent, {name: name for name in _BATCHES}, CLASSES)
    raise no_archive(
        'cifar10',
        'Expected cifar-10-batches-bin, cifar-10-batches-py or '
        f'train/{CLASSES[0]} and so on in {data_dir}, got {contents(data_dir)}.',
    )


def _from_batches(
    root: Path, ending: str, read: Callable[[Path], np.ndarray]
) -> dict[str, ArraySplit]:
    """The splits of the batches, whose images are named after their files.

    Args:
        read: reads a file, as uint8 [10000, 1 + 3072]: a label and an image, channel
            after channel.
    """
    files = {name: root / f'{name}{ending}' for name in sum(_BATCHES.values(), [])}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        raise no_archive(
            'cifar10',
            f'{root} lacks {", ".join(missing)}; the archive was not extracted whole.',
        )
    splits = {}
    for split, batches in _BATCHES.items():
        records = np.concatenate([read(files[name]) for name in batches])
        labels = records[:, 0].astype(np.int32)
        names = [f'{name}/{i:05d}' for name in batches for i in range(_IMAGES)]
        images = records[:, 1:].reshape(-1, 3, IMAGE_SIZE, IMAGE_SIZE)
        splits[split] = ArraySplit(
            labels, names, np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        )
    return splits


def _read_binary(file: Path) -> np.ndarray:
    """Records of a label and an image's bytes, nothing else."""
    expected, size = _IMAGES * (1 + _IMAGE_BYTES), file.stat().st_size
    if size != expected:
        raise DatasetError(
            f'{file}: expected {expected:,} bytes, got {size:,}; '
            'extract the archive again.'
        )
    return np.fromfile(file, np.uint8).reshape(_IMAGES, -1)


def _read_pickle(file: Path) -> np.ndarray:
    """A pickled dictionary with `labels` and `data`, among others."""
    try:
        with open(file, 'rb') as contents:
            batch = _ArrayUnpickler(contents, encoding='latin1').load()
        labels = np.array(batch['labels'], np.uint8)
        pixels = np.frombuffer(batch['data'].state[-1].encode('latin1'), np.uint8)
        if labels.shape != (_IMAGES,):
            raise ValueError(f'{len(labels)} labels')
        return np.column_stack([labels, pixels.reshape(_IMAGES, _IMAGE_BYTES)])
    # A damaged pickle raises anything.
    except Exception as error:
        raise DatasetError(
            f'{file}: expected a batch of CIFAR-10, got {error!r}; '
            'extract the archive again.'
        ) from error


class _Pickled:
    """Stands for an array, or for its dtype, which is uint8: keeps the state only."""

    def __init__(self, *arguments: Any) -> None:
        del arguments

    def __setstate__(self, state: tuple) -> None:
        self.state = state


class _ArrayUnpickler(pickle.Unpickler):
    """Reads plain values and arrays of bytes; a pickle can call nothing else.

    NumPy's classes are refused: a crafted state can corrupt memory.
    """

    def find_class(self, module: str, name: str) -> type:
        if f'{module}.{name}' not in (
            'numpy.core.multiarray._reconstruct',
            'numpy.ndarray',
            'numpy.dtype',
        ):
            raise pickle.UnpicklingError(f'the forbidden {module}.{name}')
        return _Pickled
