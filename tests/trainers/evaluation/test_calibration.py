"""Bins of confidence, their error, and the temperature that minimizes the loss."""

import numpy as np
import pytest

from trainers.evaluation import calibration, metrics
from vision.errors import UserError


def test_images_fall_into_bins_by_confidence():
    confidence = np.array([0.0, 1 / 15, 0.1, 0.98, 1.0], np.float64)
    bins = calibration.reliability(confidence, np.array([0, 0, 1, 1, 0], bool))
    assert bins.counts.tolist() == [2, 1] + [0] * 12 + [2]
    assert bins.confidence[[0, 1, 14]] == pytest.approx([1 / 30, 0.1, 0.99])
    assert bins.accuracy[[0, 1, 14]].tolist() == [0, 1, 0.5]
    assert np.isnan(bins.accuracy[2:14]).all()
    # |0 - 1/30| for two, |1 - 0.1| for one, |0.5 - 0.99| for two
    assert bins.error == pytest.approx((2 / 30 + 0.9 + 2 * 0.49) / 5)


@pytest.mark.parametrize('accuracy', [0.0, 0.55, 1.0])
def test_error_is_the_gap_where_all_are_equally_confident(accuracy):
    correct = np.arange(200) < round(200 * accuracy)
    bins = calibration.reliability(np.full(200, 0.7, np.float32), correct)
    assert bins.error == pytest.approx(abs(accuracy - 0.7), abs=1e-6)


def drawn(factor, count=5000, classes=5):
    """Logits that are right about how sure they are, times a factor; and labels."""
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=[count, classes])
    # The largest of logits with Gumbel noise is a draw from their softmax.
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    return (factor * logits).astype(np.float32), labels.astype(np.int32)


@pytest.mark.parametrize('factor', [0.2, 1.0, 5.0])
def test_temperature_undoes_a_factor_of_the_logits(factor):
    logits, labels = drawn(factor)
    temperature = calibration.fit_temperature(logits, labels)
    assert temperature == pytest.approx(factor, rel=0.05)
    best = metrics.losses(logits, labels, temperature).mean()
    for other in (temperature * 1.001, temperature / 1.001):
        assert best < metrics.losses(logits, labels, other).mean()


def test_temperature_of_the_logits_moves_with_them():
    one, labels = drawn(1.0)
    three = calibration.fit_temperature(3 * one, labels)
    assert three == pytest.approx(3 * calibration.fit_temperature(one, labels))


@pytest.mark.parametrize(
    'right, message',
    [
        (
            True,
            'Expected errors among the 40 images to fit a temperature to, but (nearly) '
            'all predictions are correct: the loss falls with the temperature down to '
            '0. Leave out --calibrate, or pass more images.',
        ),
        (
            False,
            'Expected predictions that are better than guessing to fit a temperature '
            'to, but on these 40 images they are not: the loss falls with rising '
            'temperature without end. Train the network first, or check the data.',
        ),
    ],
)
def test_where_no_temperature_is_best_it_says_why(right, message):
    labels = np.arange(40, dtype=np.int32) % 4
    logits = np.eye(4, dtype=np.float32)[labels if right else (labels + 1) % 4]
    with pytest.raises(UserError) as error:
        calibration.fit_temperature(logits, labels)
    assert str(error.value) == message
