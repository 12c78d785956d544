"""Whether an export says what the model says."""

from typing import NamedTuple

import numpy as np

from vision.export.formats import Answers, Format

# A top-1 that differs between classes that the model itself tells apart by no more than
# this is no disagreement: rounding decides there.
TIE = 0.01
# How far from 1 the probabilities of a picture may add up; after a second softmax they
# still would, but be far from the model's.
SUM_TOLERANCE = 1e-3


class Comparison(NamedTuple):
    """How an export differs from the model.

    Attributes:
        difference: the largest of any probability.
        agreement: share of pictures, 0..1, with the same top-1, or one that the model
            finds as likely up to `TIE`.
        total: the sum of a picture's probabilities that is farthest from 1.
        failures: what is not as it should be, in words; empty where all is.
    """

    difference: float
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
        wrong = (f'expected probabilities of shape {expected.shape}, got '
                 f'{found.shape}')
        return Comparison(float('nan'), 0.0, float('nan'), (wrong,))
    difference = float(np.abs(found - expected).max())
    rows = np.arange(len(expected))
    ties = expected[rows, found.argmax(-1)] >= expected.max(-1) - TIE
    agrees = (found.argmax(-1) == expected.argmax(-1)) | ties
    agreement = float(agrees.mean())
    totals = found.sum(-1, dtype=np.float64)
    total = float(totals[np.abs(totals - 1).argmax()])
    checks = {  # written so that what is not a number fails
        f'the largest difference of a probability is {difference:.2g}, at most '
        f'{form.tolerance:g} is allowed': difference <= form.tolerance,
        f'the top-1 of {agreement:.1%} of the pictures agrees, at least '
        f'{form.agreement:.0%} has to': agreement >= form.agreement,
        f'the probabilities of a picture add up to {total:.6g} instead of 1':
            abs(total - 1) <= SUM_TOLERANCE,
    }
    failures = tuple(text for text, passed in checks.items() if not passed)
    return Comparison(difference, agreement, total, failures)
