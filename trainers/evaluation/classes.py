"""The classes of a dataset among those that a network names."""

from collections import Counter

import numpy as np

from trainers.inference.classifier import Classifier
from vision.data import DatasetError, Source

_LISTED = 5


def match_classes(source: Source, classifier: Classifier) -> np.ndarray:
    """The network's label for each class of a dataset, int32 `[source classes]`.

    Classes are the same where their ids are, such as wnids, or else their names.

    Raises:
        DatasetError: the network does not know a class, or two are one to it.
    """
    by_id = {each: label for label, each in enumerate(classifier.ids)}
    by_name = {name: label for label, name in enumerate(classifier.classes)}
    found = [
        by_id.get(each, by_name.get(name, -1))
        for each, name in zip(source.ids, source.classes)
    ]
    unknown = [i for i, label in enumerate(found) if label < 0]
    if unknown:
        raise DatasetError(
            f'{source.name}: expected classes that the network names, but it does not '
            f'know {_listed([source.ids[i] for i in unknown])}. It names '
            f'{_listed(classifier.ids)}. Check --data_dir, or give the folders the ids '
            'or names of its classes.'
        )
    label, times = Counter(found).most_common(1)[0]
    if times > 1:
        same = [source.ids[i] for i, each in enumerate(found) if each == label]
        raise DatasetError(
            f'{source.name}: expected different classes, but {_listed(same)} are all '
            f'{classifier.classes[label]!r} to the network. Merge them.'
        )
    return np.array(found, np.int32)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    shown = ', '.join(map(repr, names[:_LISTED]))
    left = len(names) - _LISTED
    return f'{shown} and {left:,} more' if left > 0 else shown
