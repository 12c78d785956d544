"""The 1000 classes of the ImageNet challenge, in the order of classifiers' logits.

Both lists are files of TensorFlow Datasets.
"""

import functools
from importlib import resources


@functools.cache
def class_ids() -> tuple[str, ...]:
    """1000 WordNet ids, such as 'n01440764'."""
    file = resources.files('tensorflow_datasets') / 'datasets/imagenet2012/labels.txt'
    return tuple(file.read_text(encoding='utf-8').split())


@functools.cache
def class_names() -> tuple[str, ...]:
    """1000 distinct names, such as 'tench, Tinca tinca'."""
    from tensorflow_datasets.datasets.siscore.labels import IMAGENET_LABELS_LIST

    return tuple(IMAGENET_LABELS_LIST)
