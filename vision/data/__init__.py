"""Datasets by name, and the pipeline that makes batches of them.

    source = load('image_folder', 'photos', HeldOut(seed=1))
    batches = train_batches(
        source.splits['train'], batch_size=32, image_size=224, seed=0, end_step=1000
    )
    batches = eval_batches(source.splits['test'], batch_size=32, image_size=224)

`load`, `HeldOut`, `train_batches` and `eval_batches` are all that most callers need.
The names are imported when they are used, so that the package imports no TensorFlow.
"""

from typing import TYPE_CHECKING

from vision.data.datasets import DATASETS, is_obtainable, is_tfds, load, obtain
from vision.registry import lazy_attributes

if TYPE_CHECKING:
    from vision.data.decoding.bad_files import BadFile, BadFiles
    from vision.data.pipeline import (
        Batch,
        eval_batches,
        steps_per_epoch,
        train_batches,
    )
    from vision.data.source import (
        SPLITS,
        ArraySplit,
        DatasetError,
        FileSplit,
        HeldOut,
        RangeSplit,
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
        Features,
        extract_features,
        feature_eval_batches,
        feature_train_batches,
    )

__all__ = [
    'ArraySplit',
    'Batch',
    'BadFile',
    'BadFiles',
    'DATASETS',
    'DatasetError',
    'Features',
    'FileSplit',
    'HeldOut',
    'RangeSplit',
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

__getattr__ = lazy_attributes(
    __name__,
    __all__,
    'source',
    'decoding.bad_files',
    'pipeline',
    'storage.cache',
    'storage.features',
)
