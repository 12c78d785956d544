"""Reliability of probabilities, and the temperature that calibrates them.

Guo et al., 2017, "On Calibration of Modern Neural Networks",
https://arxiv.org/abs/1706.04599.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import softmax

from trainers.evaluation.metrics import blocks, of_labels
from vision.errors import UserError

BINS = 15
_LOWEST, _HIGHEST = 0.01, 100.0


class Reliability(NamedTuple):
    """Confidence and accuracy of the images in each bin of confidence.

    Bins have equal widths; a confidence on a border is in the lower one.

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
    """Computes confidence and accuracy by bin.

    Args:
        confidence: float `[N]` in 0..1, the probability of the predicted class.
        correct: bool `[N]`, whether the prediction is correct.
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

    The cross-entropy is convex in the reciprocal of the temperature, so its derivative
    has one root.

    Args:
        logits: float32 `[N, C]`, finite.
        labels: int32 `[N]`.

    Raises:
        UserError: no temperature has the smallest, as where all predictions are
            correct.
    """
    low, high = math.log(_LOWEST), math.log(_HIGHEST)
    if not _slope(low, logits, labels) > 0:
        raise UserError(
            f'Expected errors among the {len(labels):,} images to fit a temperature '
            'to, but (nearly) all predictions are correct: the loss falls with the '
            'temperature down to 0. Leave out --calibrate, or pass more images.'
        )
    if not _slope(high, logits, labels) < 0:
        raise UserError(
            'Expected predictions that are better than guessing to fit a temperature '
            f'to, but on these {len(labels):,} images they are not: the loss falls '
            'with rising temperature without end. Train the network first, or check '
            'the data.'
        )
    return math.exp(brentq(_slope, low, high, (logits, labels), xtol=1e-10))


def _slope(log_temperature: float, logits: np.ndarray, labels: np.ndarray) -> float:
    """Derivative of the mean cross-entropy by the reciprocal of the temperature."""
    factor, total = math.exp(-log_temperature), 0.0
    for rows in blocks(len(labels)):
        values = logits[rows].astype(np.float64)
        values -= values.max(1, keepdims=True)
        expected = (softmax(factor * values, 1) * values).sum(1)
        total += (expected - of_labels(values, labels[rows])).sum()
    return total / len(labels)
