"""Whether probabilities mean what they say, and the temperature that makes them.

Guo et al., 2017, "On Calibration of Modern Neural Networks",
https://arxiv.org/abs/1706.04599.
"""

import math
from typing import NamedTuple

import numpy as np

from trainers.evaluation.metrics import blocks
from vision.errors import UserError

BINS = 15
_COLDEST, _HOTTEST = 0.01, 100.0


class CalibrationError(UserError):
    """No temperature is best."""


class Reliability(NamedTuple):
    """Confidence and accuracy of the images in each bin of confidence.

    Bins are as wide as each other; a confidence on a border counts for the lower one.

    Attributes:
        counts: int64 `[BINS]`.
        confidence, accuracy: float64 `[BINS]`, means; NaN where a bin is empty.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error: the gap between both, averaged over images."""
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(gaps @ self.counts / self.counts.sum())


def reliability(confidence: np.ndarray, correct: np.ndarray) -> Reliability:
    """Sorts images into bins.

    Args:
        confidence: float `[N]` in 0..1, the probability of the class that is named.
        correct: bool `[N]`, whether it is right.
    """
    confidence = confidence.astype(np.float64)
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid='ignore'):  # 0 / 0 in empty bins
        return Reliability(
            counts,
            np.bincount(bins, confidence, BINS) / counts,
            np.bincount(bins, correct, BINS) / counts,
        )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the smallest mean cross-entropy.

    That is convex in the reciprocal of the temperature, so its slope has one zero,
    which is found by bisection.

    Args:
        logits: float32 `[N, C]`, finite.
        labels: int32 `[N]`.

    Raises:
        CalibrationError: the smallest is at no temperature, as where no image is
            named wrongly.
    """
    low, high = -math.log(_HOTTEST), -math.log(_COLDEST)
    if not _slope(logits, labels, math.exp(high)) > 0:
        raise CalibrationError(
            f'Expected mistakes among the {len(labels):,} images to fit a '
            'temperature to, but the network is right about (nearly) all of them: the '
            'colder, the better. Leave out --calibrate, or pass more images.'
        )
    if not _slope(logits, labels, math.exp(low)) < 0:
        raise CalibrationError(
            'Expected a network that knows more than nothing to fit a temperature to, '
            f'but on these {len(labels):,} images it is no better than guessing: the '
            'hotter, the better. Train it first, or check the data.'
        )
    while high - low > 1e-8:
        middle = (low + high) / 2
        if _slope(logits, labels, math.exp(middle)) > 0:
            high = middle
        else:
            low = middle
    return math.exp(-(low + high) / 2)


def _slope(logits: np.ndarray, labels: np.ndarray, factor: float) -> float:
    """Derivative of the mean cross-entropy by the factor of the logits."""
    total = 0.0
    for rows in blocks(len(labels)):
        part = logits[rows].astype(np.float64)
        part -= part.max(1, keepdims=True)
        powers = np.exp(factor * part)
        own = part[np.arange(len(part)), labels[rows]]
        total += ((powers * part).sum(1) / powers.sum(1) - own).sum()
    return total / len(labels)
