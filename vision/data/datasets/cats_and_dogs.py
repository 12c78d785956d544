"""Cats and dogs: photographs of the Asirra set, in the layouts they come in."""

import os
import re
from collections.abc import Set
from pathlib import Path

import numpy as np

from vision.data.datasets.layout import (
    SPLIT_NAMES,
    class_splits,
    complete,
    file_split,
    find_root,
    shorten,
    subfolders,
    typical_size,
)
from vision.data.source import DatasetError, FileSplit, HeldOut, Source, take

CLASSES = ('cats', 'dogs')
FOLDERS = ('cats_and_dogs_filtered', 'cats_and_dogs', 'dogs-vs-cats')
_BATCH, _EVERY = 32, 5  # Of the validation images, every fifth batch is for the test.
_NUMBERED = re.compile(r'(?:cat|dog)\.[0-9]+\.jpg')  # As in Kaggle's folder.
_NUMBERS = {
    'train': range(1000),
    'validation': range(1000, 1500),
    'test': range(1500, 2500),
}


def load(data_dir: str, held_out: HeldOut) -> Source:
    """Cats and dogs: photographs of any size, two classes.

    data_dir is one of these folders, or the folder that holds it:

    `cats_and_dogs_filtered/{train,validation}/{cats,dogs}`, the archive of TensorFlow's
    tutorials. Its test split is taken from the validation images: shuffled by
    held_out.seed, every fifth batch of 32, which is 4, 9, 14, ... of batches 0..31. The
    tutorial takes the first fifth of the batches of a set that is shuffled anew each
    time, so that its test and validation images mix; here they stay apart.

    The same with a folder `test`, or without `validation`: what is missing is then
    taken from each class of train.

    `train/{cat,dog}.<number>.jpg` of Kaggle's "Dogs vs. Cats", or the folder train
    itself: of each class 0-999 are train, 1000-1499 validation, 1500-2499 test, the
    subset of F. Chollet, "Deep Learning with Python", chapter 8.

    Raises:
        DatasetError: there is none of these, or a part of one.
    """
    root = find_root(
        'cats_and_dogs',
        data_dir,
        FOLDERS,
        lambda root: _has_classes(root) or any(map(_numbered, (root, root / 'train'))),
        'train/cats and train/dogs, or train/cat.0.jpg and so on,',
    )
    splits = (
        complete(_from_folders(root, held_out.seed), held_out)
        if _has_classes(root)
        else _by_number(root)
    )
    return Source(
        'cats_and_dogs',
        CLASSES,
        splits,
        typical_size(splits['train']),
        fixed_size=False,
    )


def _has_classes(root: Path) -> bool:
    return all((root / 'train' / name).is_dir() for name in CLASSES)


def _numbered(folder: Path) -> Set[str]:
    """The images that Kaggle's folder holds; none where there is no such folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    return {name for name in names if _NUMBERED.fullmatch(name)}


def _from_folders(root: Path, seed: int) -> dict[str, FileSplit]:
    folders = {
        SPLIT_NAMES[name]: name for name in subfolders(root) if name in SPLIT_NAMES
    }
    splits = class_splits(root, folders, CLASSES)
    if set(splits) == {'train', 'validation'}:
        splits.update(_every_fifth_batch(splits['validation'], seed))
    return splits


def _every_fifth_batch(validation: FileSplit, seed: int) -> dict[str, FileSplit]:
    """Makes validation and test of the validation images, each in their order."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(validation))
    batches = np.argsort(order) // _BATCH  # Of each image.
    chosen = batches % _EVERY == _EVERY - 1
    if not chosen.any():
        raise DatasetError(
            f'Expected more than {_BATCH * (_EVERY - 1)} validation '
            'images, to make the test split of every fifth batch of '
            f'{_BATCH}, got {len(order)}. Add some, or a folder test.'
        )
    return {
        'validation': take(validation, np.flatnonzero(~chosen)),
        'test': take(validation, np.flatnonzero(chosen)),
    }


def _by_number(root: Path) -> dict[str, FileSplit]:
    folder = 'train/' if _numbered(root / 'train') else ''
    present = _numbered(root / folder)
    names = {
        split: [f'{kind}.{number}.jpg' for kind in ('cat', 'dog') for number in numbers]
        for split, numbers in _NUMBERS.items()
    }
    missing = [
        name for split in names.values() for name in split if name not in present
    ]
    if missing:
        raise DatasetError(
            'Expected cat.0.jpg ... cat.2499.jpg and the same of dogs '
            f'in {root / folder}, got {len(present)} images, without '
            f'{len(missing)} of these: {shorten(missing)}. Extract the '
            'archive again.'
        )
    return {
        split: file_split(
            root, [folder + name for name in files], np.repeat([0, 1], len(files) // 2)
        )
        for split, files in names.items()
    }
