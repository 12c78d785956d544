"""Datasets by name: one file a dataset, and the folder layouts that they share.

A dataset is one file and one line in `DATASETS`. The package imports neither NumPy nor
TensorFlow until a dataset is used.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from vision.errors import UserError, suggestion
from vision.registry import Entry, Registry

if TYPE_CHECKING:
    from vision.data.download.archives import LabelledProgress
    from vision.data.source import HeldOut, Source

# Each is called as (data_dir, held_out).
DATASETS = Registry(
    'a dataset',
    {
        'shapes': Entry(
            'vision.data.datasets.shapes:load',
            'Ten kinds of drawn shapes of 32x32 pixels, built in; the same each time.',
        ),
        'tiny_imagenet': Entry(
            'vision.data.datasets.tiny_imagenet:load',
            '200 classes of 64x64 photographs: tiny-imagenet-200, or the folder around '
            'it.',
        ),
        'cifar10': Entry(
            'vision.data.datasets.cifar10:load',
            'CIFAR-10: 60,000 photographs of 32x32 pixels, ten classes.',
        ),
        'cats_and_dogs': Entry(
            'vision.data.datasets.cats_and_dogs:load',
            'Cats and dogs: photographs of any size, two classes.',
        ),
        'image_folder': Entry(
            'vision.data.datasets.image_folder:load',
            'Your own images, in folders named after their classes.',
        ),
        'csv': Entry(
            'vision.data.datasets.csv_file:load',
            'Your own images, listed in a file of path,label or path,label,split.',
        ),
    },
)
# What stands in front of the name of a dataset of TensorFlow Datasets.
TFDS_PREFIX = 'tfds:'
TFDS_DESCRIPTION = (
    'Any prepared dataset of TensorFlow Datasets with one image and one class label.'
)


def load(name: str, data_dir: str = '', held_out: 'HeldOut | None' = None) -> 'Source':
    """Loads a dataset.

    Args:
        name: one of DATASETS, or `tfds:<name>[/<config>][:<version>]`.
        data_dir: the folder or file of the dataset.
        held_out: what splits are made of where the dataset lacks some; by default
            HeldOut().

    Raises:
        UserError: the name is unknown.
        DatasetError: the data is not what it should be.
    """
    from vision.data.source import HeldOut

    held_out = held_out or HeldOut()
    if is_tfds(name):
        from vision.data.datasets import tfds

        return tfds.load(name.removeprefix(TFDS_PREFIX), data_dir, held_out)
    if name not in DATASETS:
        raise UserError(
            f'Expected a dataset of {", ".join(DATASETS)}, or {TFDS_PREFIX}<name>; '
            f'received {name!r}.{suggestion(name, DATASETS)}',
            'dataset',
        )
    return DATASETS.load(name)(data_dir, held_out)


def is_tfds(name: str) -> bool:
    """Whether the name is one of TensorFlow Datasets."""
    return name.startswith(TFDS_PREFIX)


def is_obtainable(name: str) -> bool:
    """Whether `obtain` can get a dataset."""
    from vision.data.download.archives import ARCHIVES

    return is_tfds(name) or name in ARCHIVES


def obtain(
    name: str, data_dir: Path, progress: 'LabelledProgress | None' = None
) -> None:
    """Downloads and prepares a dataset in a folder, unless it is there.

    Args:
        name: as in `load`.
        data_dir: the folder.
        progress: called with what is being done, and bytes done and in all.

    Raises:
        DatasetError: the dataset has no public address or cannot be downloaded.
    """
    from vision.data.datasets import tfds
    from vision.data.download import archives

    if is_tfds(name):
        tfds.prepare(name.removeprefix(TFDS_PREFIX), str(data_dir))
    else:
        archives.install(name, data_dir, progress)
