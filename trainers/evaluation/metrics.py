"""Figures of merit of N images, from their labels and what a network says of them."""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

_ROWS = 4096  # In float64 at a time, so that temporary arrays stay small.
_Z = 1.959963984540054  # Standard deviations on either side that hold 95 %.


class Interval(NamedTuple):
    """Bounds that hold a figure with 95 % confidence."""

    low: float
    high: float


class ClassMetrics(NamedTuple):
    """Figures of each class; NaN where there is nothing to divide by.

    Attributes:
        precision: float64 `[C]`, share of right ones among what is named so.
        recall: float64 `[C]`, share of right ones among what is so.
        f1: float64 `[C]`, the harmonic mean of both.
        support: int64 `[C]`, images that are so.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


class Curve(NamedTuple):
    """Precision over recall, from the highest threshold to the lowest.

    Attributes:
        recall, precision: float64 `[T]`, one for each threshold that adds a hit.
        average: the precision averaged over the steps of recall; NaN without images
            to find.
    """

    recall: np.ndarray
    precision: np.ndarray
    average: float


def blocks(count: int) -> Iterator[slice]:
    """Slices that cover so many rows, for arrays that are too large to copy whole."""
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))


def top_classes(logits: np.ndarray, count: int) -> np.ndarray:
    """The classes of the highest logits, the highest first, int64 `[N, count]`.

    Of equal logits the first is ahead, as in argmax.

    Args:
        logits: float32 `[N, C]`, finite.
        count: at most C.
    """
    found = np.empty([len(logits), count], np.int64)
    for rows in blocks(len(logits)):
        found[rows] = np.argsort(-logits[rows], 1, kind='stable')[:, :count]
    return found


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes are ahead of each label, int64 `[N]`; 0 where it is named.

    Of equal logits the first is ahead, as in argmax.

    Args:
        logits: float32 `[N, C]`, finite.
        labels: int32 `[N]`.
    """
    found = np.empty(len(labels), np.int64)
    for rows in blocks(len(labels)):
        part, own = logits[rows], _of_labels(logits[rows], labels[rows])[:, None]
        earlier = np.arange(logits.shape[1]) < labels[rows, None]
        found[rows] = ((part > own) | ((part == own) & earlier)).sum(1)
    return found


def losses(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """Cross-entropy of each image in nats, float64 `[N]`.

    Args:
        logits: float32 `[N, C]`, finite.
        labels: int32 `[N]`.
        temperature: what logits are divided by.
    """
    found = np.empty(len(labels))
    for rows in blocks(len(labels)):
        part = logits[rows].astype(np.float64) / temperature
        part -= part.max(1, keepdims=True)
        found[rows] = np.log(np.exp(part).sum(1)) - _of_labels(part, labels[rows])
    return found


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """Counts of images by label (row) and prediction (column), int64 `[C, C]`."""
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def class_metrics(confusion: np.ndarray) -> ClassMetrics:
    """Precision, recall, F1 and support of each class of a confusion matrix."""
    hits, support, named = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    return ClassMetrics(
        _ratio(hits, named),
        _ratio(hits, support),
        _ratio(2 * hits, support + named),
        support,
    )


def macro_average(figures: ClassMetrics) -> dict[str, float]:
    """Means over the classes that have images, each counting alike.

    The precision of a class that is never named counts as 0.
    """
    there = figures.support > 0
    return {
        name: float(np.nan_to_num(getattr(figures, name)[there]).mean())
        for name in ('precision', 'recall', 'f1')
    }


def most_confused(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The most frequent mistakes, at most `count`, as (label, predicted, images)."""
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind='stable')[:count]
    pairs = [divmod(cell, len(confusion)) for cell in order.tolist()]
    return [(a, b, int(mistakes[a, b])) for a, b in pairs if mistakes[a, b]]


def wilson_interval(hits: int, total: int) -> Interval:
    """The 95 % interval of a share, which stays within 0..1 (Wilson, 1927).

    Raises:
        ValueError: there is nothing to have a share of.
    """
    if not 0 <= hits <= total or not total:
        raise ValueError(
            f'Expected 0 <= hits <= total and total > 0, received {hits} of {total}.'
        )
    share, weight = hits / total, 1 / (1 + _Z**2 / total)
    centre = weight * (share + _Z**2 / (2 * total))
    half = (
        weight * _Z * math.sqrt(share * (1 - share) / total + (_Z / (2 * total)) ** 2)
    )
    # The bounds at 0 and at all hits are exact; rounding must not step over them.
    return Interval(
        0.0 if hits == 0 else centre - half, 1.0 if hits == total else centre + half
    )


def precision_recall(positives: np.ndarray, scores: Iterable[np.ndarray]) -> Curve:
    """How precise one is at each threshold that adds something to what is found.

    Recall and average precision change at no other thresholds, so no more than the
    positives are ever sorted.

    Args:
        positives: scores `[P]` of what is to be found.
        scores: parts of all scores, those of the positives among them, as arrays of any
            shape.
    """
    if not len(positives):
        return Curve(np.empty(0), np.empty(0), math.nan)
    thresholds, own = np.unique(positives, return_counts=True)
    named = np.zeros(len(thresholds) + 1, np.int64)
    for part in scores:
        passed = np.searchsorted(thresholds, part.ravel(), 'right')
        named += np.bincount(passed, minlength=len(named))
    hits = own[::-1].cumsum()
    precision = hits / named[:0:-1].cumsum()
    recall = hits / len(positives)
    return Curve(recall, precision, float(np.diff(recall, prepend=0) @ precision))


def class_curve(probabilities: np.ndarray, labels: np.ndarray, label: int) -> Curve:
    """The curve of one class against all others."""
    column = probabilities[:, label]
    return precision_recall(column[labels == label], [column])


def micro_average(probabilities: np.ndarray, labels: np.ndarray) -> Curve:
    """The curve of all N · C pairs of an image and a class, N of which are right."""
    return precision_recall(
        _of_labels(probabilities, labels),
        (probabilities[rows] for rows in blocks(len(labels))),
    )


def _of_labels(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The value at each row's label."""
    return np.take_along_axis(values, labels[:, None].astype(np.int64), 1)[:, 0]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Shares, float64; NaN where there is nothing below."""
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
