"""Metrics of N images, from their labels and the logits or probabilities of a network.

Arrays `[N, C]` may be too large to copy, so they are processed in blocks of rows, which
the functions of libraries do not do; those also sort where counting is enough.
"""

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax
from scipy.stats import binomtest

_ROWS = 4096  # In float64 at a time, so that temporary arrays stay small.


class Interval(NamedTuple):
    """The bounds of a 95 % confidence interval."""

    low: float
    high: float


class ClassMetrics(NamedTuple):
    """Metrics of each class; NaN where the denominator is 0.

    Attributes:
        precision: float64 `[C]`, share of correct ones among the predictions.
        recall: float64 `[C]`, share of correct ones among the images.
        f1: float64 `[C]`, the harmonic mean of both.
        support: int64 `[C]`, the number of images.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray


class Curve(NamedTuple):
    """Precision over recall, from the highest threshold to the lowest.

    Attributes:
        recall, precision: float64 `[T]`, at each threshold that adds a true positive.
        average: the average precision; NaN without positives.
    """

    recall: np.ndarray
    precision: np.ndarray
    average: float


def blocks(count: int) -> Iterator[slice]:
    """Yields slices of at most 4096 rows that cover `count` rows."""
    for start in range(0, count, _ROWS):
        yield slice(start, min(start + _ROWS, count))


def keep_rows(values: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The rows at rising indices, moved to the start of the same memory."""
    if len(indices) < len(values):
        for rows in blocks(len(indices)):
            values[rows] = values[indices[rows]]
    return values[: len(indices)]


def of_labels(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The value at the label of each row of `[N, C]`."""
    return values[np.arange(len(labels)), labels]


def top_classes(logits: np.ndarray, count: int) -> np.ndarray:
    """The classes of the highest logits, the highest first, int64 `[N, count]`.

    Of equal logits the first comes first, as in argmax.

    Args:
        logits: float32 `[N, C]`, finite.
        count: at most C.
    """
    classes = np.empty([len(logits), count], np.int64)
    for rows in blocks(len(logits)):
        classes[rows] = np.argsort(-logits[rows], 1, kind='stable')[:, :count]
    return classes


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The number of classes before each label, int64 `[N]`; 0 if it is predicted.

    Of equal logits the first comes first, as in argmax.

    Args:
        logits: float32 `[N, C]`, finite.
        labels: int32 `[N]`.
    """
    result = np.empty(len(labels), np.int64)
    for rows in blocks(len(labels)):
        values = logits[rows]
        of_label = of_labels(values, labels[rows])[:, None]
        earlier = np.arange(logits.shape[1]) < labels[rows, None]
        result[rows] = ((values > of_label) | ((values == of_label) & earlier)).sum(1)
    return result


def losses(
    logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0
) -> np.ndarray:
    """Cross-entropy of each image in nats, float64 `[N]`.

    Args:
        logits: float32 `[N, C]`, finite.
        labels: int32 `[N]`.
        temperature: divisor of the logits.
    """
    result = np.zeros(len(labels))
    for rows in blocks(len(labels)):
        scores = log_softmax(logits[rows].astype(np.float64) / temperature, 1)
        result[rows] -= of_labels(scores, labels[rows])
    return result


def confusion_matrix(
    labels: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """Counts of images by label (row) and prediction (column), int64 `[C, C]`."""
    cells = labels.astype(np.int64) * classes + predicted
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def class_metrics(confusion: np.ndarray) -> ClassMetrics:
    """Precision, recall, F1 and support of each class of a confusion matrix."""
    correct, support = confusion.diagonal(), confusion.sum(1)
    predicted = confusion.sum(0)
    return ClassMetrics(
        _ratio(correct, predicted),
        _ratio(correct, support),
        _ratio(2 * correct, support + predicted),
        support,
    )


def macro_average(metrics: ClassMetrics) -> dict[str, float]:
    """Unweighted means over the classes that have images.

    The precision of a class that is never predicted counts as 0.
    """
    present = metrics.support > 0
    return {
        name: float(np.nan_to_num(getattr(metrics, name)[present]).mean())
        for name in ('precision', 'recall', 'f1')
    }


def most_confused(confusion: np.ndarray, count: int) -> list[tuple[int, int, int]]:
    """The most frequent errors, at most `count`, as (label, predicted, images)."""
    errors = confusion - np.diag(confusion.diagonal())
    order = np.argsort(-errors, axis=None, kind='stable')[:count]
    pairs = [divmod(cell, len(confusion)) for cell in order.tolist()]
    return [(a, b, int(errors[a, b])) for a, b in pairs if errors[a, b]]


def wilson_interval(hits: int, total: int) -> Interval:
    """The 95 % interval of a share, which stays within 0..1 (Wilson, 1927).

    Raises:
        ValueError: `total` is 0 or less than `hits`.
    """
    if not 0 <= hits <= total or not total:
        raise ValueError(
            f'Expected 0 <= hits <= total and total > 0, received {hits} of {total}.'
        )
    low, high = binomtest(hits, total).proportion_ci(0.95, 'wilson')
    # The bounds of no hits and of nothing but hits are exact in spite of rounding.
    return Interval(float(low) if hits else 0.0, float(high) if hits < total else 1.0)


def precision_recall(positives: np.ndarray, scores: Iterable[np.ndarray]) -> Curve:
    """Precision and recall at each threshold that adds a true positive.

    Recall and average precision change at no other thresholds, so only the positives
    are sorted.

    Args:
        positives: scores `[P]` of the positives.
        scores: all scores, those of the positives included, as arrays of any shape.
    """
    if not len(positives):
        return Curve(np.empty(0), np.empty(0), math.nan)
    thresholds, counts = np.unique(positives, return_counts=True)
    above = np.zeros(len(thresholds) + 1, np.int64)
    for part in scores:
        passed = np.searchsorted(thresholds, part.ravel(), 'right')
        above += np.bincount(passed, minlength=len(above))
    hits = counts[::-1].cumsum()
    precision = hits / above[:0:-1].cumsum()
    recall = hits / len(positives)
    return Curve(recall, precision, float(np.diff(recall, prepend=0) @ precision))


def class_curve(probabilities: np.ndarray, labels: np.ndarray, label: int) -> Curve:
    """The curve of one class against all others."""
    column = probabilities[:, label]
    return precision_recall(column[labels == label], [column])


def micro_average(probabilities: np.ndarray, labels: np.ndarray) -> Curve:
    """The curve of all N · C pairs of an image and a class, N of them positive."""
    return precision_recall(
        of_labels(probabilities, labels),
        (probabilities[rows] for rows in blocks(len(labels))),
    )


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Quotients, float64; NaN where the denominator is 0."""
    return np.divide(
        numerator,
        denominator,
        out=np.full(len(denominator), np.nan),
        where=denominator > 0,
    )
