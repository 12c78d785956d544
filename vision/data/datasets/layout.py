"""What the sources of files share: folders of classes, missing splits, sizes."""

import io
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from vision.data.source import (
    SPLITS,
    DatasetError,
    EncodedSplit,
    FileSplit,
    HeldOut,
    RangeSplit,
    SomeSplit,
    Split,
    stratified_split,
    take,
)
from vision.data.storage.index import find_images, scan

# What a folder of a split, or a split in a list, may be called in lower case.
SPLIT_NAMES = {
    'train': 'train',
    'training': 'train',
    'val': 'validation',
    'valid': 'validation',
    'validation': 'validation',
    'test': 'test',
    'testing': 'test',
}


def contents(folder: str | Path) -> str:
    """The first names in a folder, for an error message."""
    try:
        return shorten(sorted(os.listdir(folder))) or 'an empty folder'
    except (FileNotFoundError, NotADirectoryError):
        return 'no such folder'
    except OSError as error:
        return f'{error.strerror}'


def shorten(names: Sequence[str]) -> str:
    """The first five names of a list."""
    return ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')


def no_archive(dataset: str, problem: str) -> DatasetError:
    """The error for a data directory without the archive's files.

    Args:
        problem: what was expected and what is there, in one sentence.
    """
    from vision.data.download.archives import ARCHIVES

    archive = ARCHIVES[dataset]
    return DatasetError(
        f'{problem} Download {archive.url} ({archive.size:,} bytes), extract it and '
        f'pass DIR/{archive.folder} as data_dir.',
        'data_dir',
        'download',
    )


def find_root(
    dataset: str,
    data_dir: str,
    folders: Iterable[str],
    is_root: Callable[[Path], bool],
    expected: str,
) -> Path:
    """The data directory, or the first of the folders in it, that holds a dataset.

    Args:
        is_root: whether a folder holds it.
        expected: what it should hold, for the error message.

    Raises:
        DatasetError: there is no data directory, or none of these holds it.
    """
    if not data_dir:
        raise no_archive(dataset, f'{dataset} needs a data directory, got none.')
    for folder in ('', *folders):
        root = Path(data_dir, folder)
        if is_root(root):
            return root
    raise no_archive(
        dataset, f'Expected {expected} in {data_dir}, got {contents(data_dir)}.'
    )


def subfolders(folder: Path) -> list[str]:
    """The sorted names of the folders in a folder, without hidden ones.

    Raises:
        DatasetError: the folder cannot be read.
    """
    try:
        return scan(str(folder), folder.stat()).folders
    except OSError as error:
        raise DatasetError(
            f'Expected a folder that can be read, got {folder}: {error.strerror}.'
        ) from error


def file_split(
    root: Path, names: Sequence[str], labels: Sequence[int] | np.ndarray
) -> FileSplit:
    """A split of files, by their paths relative to root or absolute."""
    return FileSplit(
        np.array(labels, np.int32),
        names,
        paths=[os.path.join(root, name) for name in names],
    )


def class_splits(
    root: Path, folders: Mapping[str, str], classes: Sequence[str]
) -> dict[str, FileSplit]:
    """The splits of the images at `<folder>/<class>/**`, by the folder of each split.

    Images outside any folder of a class are left out.

    Args:
        folders: those of train and other splits in root; '' for root itself.

    Raises:
        DatasetError: there is a class that is not in classes, no image in a split, or
            no training image of a class.
    """
    paths = find_images(root)
    label_of = {name: label for label, name in enumerate(classes)}
    splits = {}
    for split, folder in folders.items():
        prefix = f'{folder}/' if folder else ''
        images = [
            path
            for path in paths
            if path.startswith(prefix) and '/' in path.removeprefix(prefix)
        ]
        names = [path.removeprefix(prefix).partition('/')[0] for path in images]
        unknown = set(names).difference(classes)
        if unknown:
            raise DatasetError(
                f'{root / folder}: expected the classes {shorten(classes)}; got '
                f'{shorten(sorted(unknown))} besides. Rename or remove these folders.'
            )
        if not images:
            raise DatasetError(
                f'Expected images in {root / folder}/<class>/, got '
                f'{contents(root / folder)}. Add some, or move the folder '
                'elsewhere.'
            )
        splits[split] = file_split(root, images, [label_of[name] for name in names])
    check_every_class(root / folders['train'], classes, splits['train'])
    return splits


def check_every_class(where: Path, classes: Sequence[str], train: Split) -> None:
    """Checks that train has an image of every class.

    Raises:
        DatasetError: it has none of some; the message names them.
    """
    counts = np.bincount(train.labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts) if not count]
    if empty:
        raise DatasetError(
            f'{where}: expected training images of every class, got '
            f'none of {shorten(empty)}. Add some, or remove the class.'
        )


def complete(ready: Mapping[str, SomeSplit], held_out: HeldOut) -> dict[str, SomeSplit]:
    """Takes the splits that are missing from each class of the training split.

    The shares are of the training split as it was given.

    Raises:
        DatasetError: there are too few training images.
    """
    splits = dict(ready)
    left = 1.0
    for name, share in (('test', held_out.test), ('validation', held_out.validation)):
        if name in splits:
            continue
        if left <= share < 1:
            raise DatasetError(
                'The shares of validation and test must add up to less than 1, got '
                f'{held_out.validation} and {held_out.test}.'
            )
        train = splits['train']
        kept, taken = stratified_split(train.labels, share / left, held_out.seed)
        if not len(taken):
            raise DatasetError(
                f'Expected enough training images to take a {name} split from each '
                f'class, got {len(ready["train"])} images of '
                f'{len(np.unique(train.labels))} classes. Add some, or a {name} split.'
            )
        splits['train'], splits[name] = take(train, kept), take(train, taken)
        left -= share
    return {name: splits[name] for name in SPLITS}


def typical_size(split: EncodedSplit) -> int:
    """The median of the shorter sides of 64 images, within 16..224 pixels.

    Raises:
        DatasetError: none of these is an image.
    """
    # Of so many the median is known well enough.
    at = np.linspace(0, len(split) - 1, min(64, len(split))).round().astype(int)
    sides = [side for side in (_shorter_side(split, i) for i in at) if side]
    if not sides:
        raise DatasetError(
            f'Expected images, got {len(at)} files that are none, '
            f'such as {split.paths[at[0]]}; see whether they are whole.'
        )
    return max(16, min(224, int(np.median(sides))))


def _shorter_side(split: EncodedSplit, index: int) -> int:
    """In pixels; 0 where the header cannot be read."""
    try:
        # Of a file no more than the header is read.
        file = (
            io.BytesIO(split.read(index))
            if isinstance(split, RangeSplit)
            else split.paths[index]
        )
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # About a size that is not decoded here.
            with Image.open(file) as image:
                return min(image.size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0
