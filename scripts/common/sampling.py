"""Samples of a split that are spread over its classes."""

import numpy as np


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
