"""Datasets by name, and the pipeline that makes batches of them."""

from collections.abc import Callable

from vision.data import shapes, tiny_imagenet
from vision.data.bad_files import BadFile, BadFiles
from vision.data.memory import decode_to_memory, fits_in_memory
from vision.data.pipeline import Batch, eval_batches, steps_per_epoch, train_batches
from vision.data.source import (check_disjoint, DatasetError, HeldOut, Source, Split,
                                SPLITS, stratified_split)
from vision.errors import suggestion

__all__ = [
    'Batch', 'BadFile', 'BadFiles', 'DATASETS', 'DatasetError', 'HeldOut', 'SPLITS',
    'Source', 'Split', 'check_disjoint', 'decode_to_memory', 'eval_batches',
    'fits_in_memory', 'load', 'steps_per_epoch', 'stratified_split', 'train_batches'
]

# Each is called as (data_dir, held_out).
DATASETS: dict[str, Callable[[str, HeldOut], Source]] = {
    'shapes': shapes.load,
    'tiny_imagenet': tiny_imagenet.load,
}


def load(name: str, data_dir: str = '', held_out: HeldOut = HeldOut()) -> Source:
    """Loads a dataset; `held_out` says what splits are made of where it lacks some.

    Raises DatasetError for an unknown name or data that is not what it should be.
    """
    if name not in DATASETS:
        raise DatasetError(
            f'Unknown dataset {name!r}; expected one of {", ".join(DATASETS)}.'
            f'{suggestion(name, DATASETS)}')
    return DATASETS[name](data_dir, held_out)
