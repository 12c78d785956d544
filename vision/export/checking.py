"""Whether an export computes what the model computes."""

import math
from typing import NamedTuple

import numpy as np

from vision.export.formats import Format
from vision.export.processes import Predictions

# Another top-1 counts as the same if the model gives it a probability lower than its
# own top-1 by no more than this: rounding decides there.
TIE = 0.01
# The largest mean difference, as a share of the mean distance of the model's
# probabilities from their mean over the images. Trained networks had at most 0.044, in
# 8 bits; the same probabilities for all images give at least 0.5, the distance from a
# median divided by that from a mean.
RELATIVE_TOLERANCE = 0.25
# A mean difference that is always allowed, for a model whose probabilities hardly
# depend on the image.
ROUNDING = 1e-6
# The largest difference from 1 of the sum of an image's probabilities. A second softmax
# passes this check and fails those against the model.
SUM_TOLERANCE = 1e-3


class Comparison(NamedTuple):
    """How an export differs from the model.

    Attributes:
        difference: the largest of any probability.
        error: the mean of all probabilities of all images.
        spread: the mean distance of the model's probabilities from their mean over the
            images.
        agreement: share of images, 0..1, with the same top-1, or one whose probability
            in the model is lower by at most `TIE`.
        total: the sum of an image's probabilities that is farthest from 1.
        failures: a sentence for each failed check; empty where all pass.
    """

    difference: float
    error: float
    spread: float
    agreement: float
    total: float
    failures: tuple[str, ...]


def compare(form: Format, predictions: Predictions, expected: np.ndarray) -> Comparison:
    """Compares an export with the model.

    Args:
        form: the format, with its tolerances.
        predictions: the predictions of the export.
        expected: the model's probabilities, float32 `[N, classes]`.
    """
    probabilities = predictions.probabilities
    if probabilities.shape != expected.shape:
        return Comparison(
            math.nan,
            math.nan,
            math.nan,
            0.0,
            math.nan,
            failures=(
                f'expected probabilities of shape {expected.shape}, '
                f'received {probabilities.shape}',
            ),
        )
    differences = np.abs(probabilities.astype(np.float64) - expected)
    difference, error = float(differences.max()), float(differences.mean())
    spread = float(np.abs(expected - expected.mean(0, dtype=np.float64)).mean())
    # A single image has no spread.
    allowed = (
        max(RELATIVE_TOLERANCE * spread, ROUNDING) if len(expected) > 1 else math.inf
    )
    chosen = expected[np.arange(len(expected)), probabilities.argmax(-1)]
    agreement = float((chosen >= expected.max(-1) - TIE).mean())
    totals = probabilities.sum(-1, dtype=np.float64)
    total = float(totals[np.abs(totals - 1).argmax()])
    checks = [  # written so that NaN fails
        (
            difference <= form.tolerance,
            f'the largest difference of a probability is {difference:.2g}, at most '
            f'{form.tolerance:g} is allowed',
        ),
        (
            error <= allowed,
            f'the mean difference is {error:.2g}, at most {allowed:.2g} is allowed for '
            f'probabilities of the model that vary by {spread:.2g} between images',
        ),
        (
            agreement >= form.agreement,
            f'the top-1 of {agreement:.1%} of the images agrees, at least '
            f'{form.agreement:.0%} has to',
        ),
        (
            abs(total - 1) <= SUM_TOLERANCE,
            f'the probabilities of an image add up to {total:.6g} instead of 1',
        ),
    ]
    return Comparison(
        difference,
        error,
        spread,
        agreement,
        total,
        failures=tuple(text for passed, text in checks if not passed),
    )
