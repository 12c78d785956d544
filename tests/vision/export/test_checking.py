"""The comparison of an export with the model."""

import numpy as np
import pytest

from vision.export import FORMATS
from vision.export.checking import compare
from vision.export.processes import Predictions

FORM = FORMATS.load('tflite_int8')
EXPECTED = np.array([[0.7, 0.2, 0.1], [0.304, 0.3, 0.396]], np.float32)


def compared(comparison, expected=EXPECTED):
    return compare(FORM, Predictions(np.array(comparison, np.float32), 1.0), expected)


def test_the_same_passes():
    same = compared(EXPECTED)
    assert same.failures == ()
    assert (same.difference, same.agreement) == (0, 1)


def test_a_difference_of_one_probability_fails():
    comparison = compared([[0.7, 0.2, 0.1], [0.304 + 0.31, 0.3 - 0.31, 0.396]])
    assert comparison.difference == pytest.approx(0.31, rel=1e-4)
    assert (
        'the largest difference of a probability is 0.31, at most 0.3'
        in (comparison.failures[0])
    )


def test_another_top_1_fails():
    expected = np.array([[0.53, 0.47, 0], [0, 0, 1]], np.float32)
    comparison = compared([[0.47, 0.53, 0], [0, 0, 1]], expected)
    assert comparison.agreement == 0.5
    assert comparison.failures == (
        'the top-1 of 50.0% of the images agrees, at least 90% has to',
    )


def test_ties_are_no_disagreement():
    tied = np.array([[0.334, 0.333, 0.333]], np.float32)
    comparison = compared([[0.33, 0.33, 0.34]], tied)
    assert (comparison.agreement, comparison.failures) == (1, ())
    apart = np.array([[0.342, 0.329, 0.329]], np.float32)
    assert compared([[0.33, 0.33, 0.34]], apart).agreement == 0


def test_what_does_not_add_up_to_1_fails():
    comparison = compared([[0.7, 0.2, 0.11], [0.304, 0.3, 0.396]])
    assert comparison.failures == (
        'the probabilities of an image add up to 1.01 instead of 1',
    )


def test_a_second_softmax_fails():
    sharp = np.array([[0.98, 0.01, 0.01]], np.float32)
    powers = np.exp(sharp)
    comparison = compared(powers / powers.sum(-1, keepdims=True), sharp)
    assert comparison.total == pytest.approx(1)
    assert len(comparison.failures) == 1
    assert 'largest difference of a probability is 0.41' in comparison.failures[0]


def unsure(images=8, classes=1000):
    """Probabilities that are all small, the largest 0.005 or less."""
    drawn = np.random.default_rng(0).uniform(0.1, 1, [images, classes])
    return (drawn / drawn.sum(-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize('constant', [np.mean, np.median])
def test_the_same_prediction_for_all_images_fails(constant):
    expected = unsure()
    assert expected.max() < 0.005
    answer = constant(expected, axis=0)
    comparison = compared([answer / answer.sum()] * len(expected), expected)
    assert comparison.agreement == 1
    assert len(comparison.failures) == 1
    assert 'the mean difference is 0.0003' in comparison.failures[0]


def test_the_same_prediction_for_two_images_fails():
    comparison = compared([EXPECTED.mean(0)] * 2)
    assert any('the mean difference' in line for line in comparison.failures)


@pytest.mark.parametrize('classes, rest', [(2, 0.0), (3, 0.05)])
def test_the_most_frequent_prediction_for_all_images_fails(classes, rest):
    rare = np.full([20, classes], rest, np.float32)
    rare[:, 0] = 1 - rest * (classes - 1)
    rare[0] = rare[0, ::-1]
    comparison = compared([rare[1]] * 20, rare)
    assert any('the mean difference' in line for line in comparison.failures)


def test_small_noise_in_an_uncertain_prediction_passes():
    expected = unsure()
    noise = np.random.default_rng(1).uniform(0.9, 1.1, expected.shape)
    comparison = compared(
        expected * noise / (expected * noise).sum(-1, keepdims=True), expected
    )
    assert comparison.failures == ()
    assert 0 < comparison.error < comparison.spread / 5


def test_one_image_and_a_constant_model_have_other_limits():
    assert compared([[0.6, 0.25, 0.15]], EXPECTED[:1]).failures == ()
    still = np.repeat(EXPECTED[:1], 3, axis=0)
    assert compared(still + np.float32(1e-7), still).failures == ()


def test_what_is_no_number_fails():
    comparison = compared([[np.nan] * 3, [0.304, 0.3, 0.396]])
    assert len(comparison.failures) >= 2


def test_another_number_of_classes_fails():
    comparison = compared(EXPECTED[:, :2])
    assert comparison.failures == (
        'expected probabilities of shape (2, 3), received (2, 2)',
    )
