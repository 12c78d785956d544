"""The classes of a dataset among those of a network."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from trainers.inference.classifier import Classifier
from vision.data import DatasetError, Source

_LISTED = 5


def match_classes(source: Source, classifier: Classifier) -> np.ndarray:
    """The label in the network of each class of a dataset, int32 `[source classes]`.

    Classes are equal if their ids are, such as wnids, or else if their names are.

    Raises:
        DatasetError: the network does not have a class of the dataset, or two classes
            of the dataset are the same one in the network.
    """
    by_id = {id_: label for label, id_ in enumerate(classifier.ids)}
    by_name = {name: label for label, name in enumerate(classifier.classes)}
    labels = [
        by_id.get(id_, by_name.get(name, -1))
        for id_, name in zip(source.ids, source.classes)
    ]
    unknown = [id_ for id_, label in zip(source.ids, labels) if label < 0]
    if unknown:
        raise DatasetError(
            f'{source.name}: expected classes of the network, but it does not have '
            f'{_listed(unknown)}. Its classes are {_listed(classifier.ids)}. Check '
            '--data_dir, or rename the folders to the ids or names of its classes.'
        )
    label, times = Counter(labels).most_common(1)[0]
    if times > 1:
        same = [id_ for id_, other in zip(source.ids, labels) if other == label]
        raise DatasetError(
            f'{source.name}: expected different classes, but {_listed(same)} are all '
            f'{classifier.classes[label]!r} in the network. Merge them.'
        )
    return np.array(labels, np.int32)


def _listed(names: Sequence[str]) -> str:
    shown = ', '.join(map(repr, names[:_LISTED]))
    more = len(names) - _LISTED
    return f'{shown} and {more:,} more' if more > 0 else shown
