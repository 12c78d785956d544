"""What passes as the same, and what does not."""

import numpy as np
import pytest

from vision.export import Answers, compare, FORMATS

FORM = FORMATS['tflite_int8']
EXPECTED = np.array([[0.7, 0.2, 0.1], [0.304, 0.3, 0.396]], np.float32)


def compared(found, expected=EXPECTED):
    return compare(FORM, Answers(np.array(found, np.float32), 1.0), expected)


def test_the_same_passes():
    same = compared(EXPECTED)
    assert same.failures == ()
    assert (same.difference, same.agreement) == (0, 1)


def test_a_difference_of_one_probability_fails():
    found = compared([[0.7, 0.2, 0.1], [0.304 + 0.31, 0.3 - 0.31, 0.396]])
    assert found.difference == pytest.approx(0.31, rel=1e-4)
    assert 'the largest difference of a probability is 0.31, at most 0.3' in (
        found.failures[0])


def test_another_top_1_fails():
    found = compared([[0.45, 0.45001, 0.09999], [0.304, 0.3, 0.396]])
    assert found.agreement == 0.5
    assert found.failures == (
        'the top-1 of 50.0% of the pictures agrees, at least 90% has to',)


def test_ties_are_no_disagreement():
    tied = np.array([[0.334, 0.333, 0.333]], np.float32)
    found = compared([[0.33, 0.33, 0.34]], tied)
    assert (found.agreement, found.failures) == (1, ())


def test_what_does_not_add_up_to_1_fails():
    found = compared([[0.7, 0.2, 0.11], [0.304, 0.3, 0.396]])
    assert found.failures == ('the probabilities of a picture add up to 1.01 instead '
                              'of 1',)


def test_a_second_softmax_fails():
    sharp = np.array([[0.98, 0.01, 0.01]], np.float32)
    powers = np.exp(sharp)
    found = compared(powers / powers.sum(-1, keepdims=True), sharp)
    assert found.total == pytest.approx(1)
    assert len(found.failures) == 1
    assert 'largest difference of a probability is 0.41' in found.failures[0]


def test_what_is_no_number_fails():
    found = compared([[np.nan] * 3, [0.304, 0.3, 0.396]])
    assert len(found.failures) >= 2


def test_another_number_of_classes_fails():
    found = compared(EXPECTED[:, :2])
    assert found.failures == ('expected probabilities of shape (2, 3), got (2, 2)',)
