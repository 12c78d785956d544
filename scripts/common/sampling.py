"""Samples of a split that are spread over its classes."""

import numpy as np

from vision import data
from vision.data import Split


def rank_in_class(labels: np.ndarray) -> np.ndarray:
    """For each example, the number of earlier examples of its class.

    Sorted by this rank, examples take turns by class.

    Args:
        labels: int [N].

    Returns:
        int64 [N].
    """
    by_class = np.argsort(labels, kind='stable')
    ordered = labels[by_class]
    ranks = np.empty(len(labels), np.int64)
    ranks[by_class] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return ranks


def balanced(split: Split, count: int) -> Split:
    """At most `count` random images, of as many classes as possible, in their order."""
    order = np.random.default_rng(0).permutation(len(split))
    ranks = rank_in_class(split.labels[order])
    chosen = order[np.argsort(ranks, kind='stable')[:count]]
    return data.take(split, np.sort(chosen))
