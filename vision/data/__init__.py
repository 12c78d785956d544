"""Datasets by name, and the pipeline that makes batches of them."""

from collections.abc import Callable
from pathlib import Path

from vision.data.datasets import (
    cats_and_dogs,
    cifar10,
    csv_file,
    image_folder,
    shapes,
    tfds,
    tiny_imagenet,
)
from vision.data.decoding.bad_files import BadFile, BadFiles
from vision.data.download import archives
from vision.data.pipeline import Batch, eval_batches, steps_per_epoch, train_batches
from vision.data.source import (
    SPLITS,
    DatasetError,
    HeldOut,
    Source,
    Split,
    check_disjoint,
    stratified_split,
    take,
)
from vision.data.storage.cache import (
    cache_folder,
    decode_to_disk,
    decode_to_memory,
    fits_in_memory,
)
from vision.data.storage.features import (
    FeatureError,
    Features,
    extract_features,
    feature_eval_batches,
    feature_train_batches,
)
from vision.errors import suggestion

__all__ = [
    'Batch',
    'BadFile',
    'BadFiles',
    'DATASETS',
    'DatasetError',
    'FeatureError',
    'Features',
    'HeldOut',
    'SPLITS',
    'Source',
    'Split',
    'cache_folder',
    'check_disjoint',
    'decode_to_disk',
    'decode_to_memory',
    'eval_batches',
    'extract_features',
    'feature_eval_batches',
    'feature_train_batches',
    'fits_in_memory',
    'is_obtainable',
    'is_tfds',
    'load',
    'obtain',
    'steps_per_epoch',
    'stratified_split',
    'take',
    'train_batches',
]

# Each is called as (data_dir, held_out).
DATASETS: dict[str, Callable[[str, HeldOut], Source]] = {
    'shapes': shapes.load,
    'tiny_imagenet': tiny_imagenet.load,
    'cifar10': cifar10.load,
    'cats_and_dogs': cats_and_dogs.load,
    'image_folder': image_folder.load,
    'csv': csv_file.load,
}
_TFDS = 'tfds:'  # In front of the name of a dataset of TensorFlow Datasets.


def load(name: str, data_dir: str = '', held_out: HeldOut = HeldOut()) -> Source:
    """Loads a dataset; `held_out` says what splits are made of where it lacks some.

    name: one of DATASETS, or `tfds:<name>[/<config>][:<version>]`.

    Raises DatasetError for an unknown name or data that is not what it should be.
    """
    if is_tfds(name):
        return tfds.load(name.removeprefix(_TFDS), data_dir, held_out)
    if name not in DATASETS:
        raise DatasetError(
            f'Unknown dataset {name!r}; expected one of {", ".join(DATASETS)}, '
            f'or tfds:<name>.{suggestion(name, DATASETS)}'
        )
    return DATASETS[name](data_dir, held_out)


def is_tfds(name: str) -> bool:
    """Whether the name is one of TensorFlow Datasets."""
    return name.startswith(_TFDS)


def is_obtainable(name: str) -> bool:
    """Whether `obtain` knows where a dataset is to be had."""
    return is_tfds(name) or name in archives.ARCHIVES


def obtain(
    name: str, data_dir: Path, progress: archives.LabelledProgress | None = None
) -> None:
    """Fetches a dataset into a folder, unless it is there.

    Raises DatasetError where it has no public address or cannot be had.
    """
    if is_tfds(name):
        tfds.prepare(name.removeprefix(_TFDS), str(data_dir))
    else:
        archives.install(name, data_dir, progress)
