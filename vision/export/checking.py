"""Whether an export says what the model says."""

import math
from typing import NamedTuple

import numpy as np

from vision.export.formats import Answers, Format

# A top-1 that differs between classes that the model itself tells apart by no more than
# this is no disagreement: rounding decides there.
TIE = 0.01
# The largest mean difference, as a share of the mean distance of the model's answers
# from their mean. Trained networks had at most 0.044, in 8 bits; what says the same of
# all images has at least 0.5, the distance from a median against that from a mean.
RELATIVE_TOLERANCE = 0.25
ROUNDING = 1e-6  # a mean difference that is none, of a model that hardly looks
# How far from 1 the probabilities of an image may add up; after a second softmax they
# still would, but be far from the model's.
SUM_TOLERANCE = 1e-3


class Comparison(NamedTuple):
    """How an export differs from the model.

    Attributes:
        difference: the largest of any probability.
        error: the mean of all probabilities of all images.
        spread: the mean distance of the model's probabilities from their mean over the
            images.
        agreement: share of images, 0..1, with the same top-1, or one that the model
            finds as likely up to `TIE`.
        total: the sum of an image's probabilities that is farthest from 1.
        failures: what is not as it should be, in words; empty where all is.
    """

    difference: float
    error: float
    spread: float
    agreement: float
    total: float
    failures: tuple[str, ...]


def compare(form: Format, answers: Answers, expected: np.ndarray) -> Comparison:
    """Compares an export with the model.

    Args:
        form: what is compared, with its tolerances.
        answers: what the export says.
        expected: the model's probabilities, float32 `[N, classes]`.
    """
    found = answers.probabilities
    if found.shape != expected.shape:
        wrong = f'expected probabilities of shape {expected.shape}, got {found.shape}'
        return Comparison(math.nan, math.nan, math.nan, 0.0, math.nan, (wrong,))
    differences = np.abs(found.astype(np.float64) - expected)
    difference, error = float(differences.max()), float(differences.mean())
    spread = float(np.abs(expected - expected.mean(0, dtype=np.float64)).mean())
    allowed = max(RELATIVE_TOLERANCE * spread, ROUNDING)
    rows = np.arange(len(expected))
    ties = expected[rows, found.argmax(-1)] >= expected.max(-1) - TIE
    agreement = float(ties.mean())
    totals = found.sum(-1, dtype=np.float64)
    total = float(totals[np.abs(totals - 1).argmax()])
    checks = {  # written so that what is not a number fails
        f'the largest difference of a probability is {difference:.2g}, at most '
        f'{form.tolerance:g} is allowed': difference <= form.tolerance,
        f'the mean difference is {error:.2g}, while the answers of the model are '
        f'{spread:.2g} from their mean; at most {allowed:.2g} is allowed': len(expected)
        < 2
        or error <= allowed,
        f'the top-1 of {agreement:.1%} of the images agrees, at least '
        f'{form.agreement:.0%} has to': agreement >= form.agreement,
        f'the probabilities of an image add up to {total:.6g} instead of 1': abs(
            total - 1
        )
        <= SUM_TOLERANCE,
    }
    failures = tuple(text for text, passed in checks.items() if not passed)
    return Comparison(difference, error, spread, agreement, total, failures)
