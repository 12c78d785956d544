"""Bootstrap and McNemar's test against what is known of them."""

import math
from fractions import Fraction

import numpy as np
import pytest

from trainers.evaluation import comparison


def test_bootstrapped_means_scatter_as_theory_says():
    values = np.random.default_rng(0).normal(3, 2, size=[400, 2])
    means = comparison.bootstrap_means(values, 4000)
    assert means.shape == (4000, 2)
    np.testing.assert_allclose(means.mean(0), values.mean(0), atol=0.01)
    np.testing.assert_allclose(means.std(0), values.std(0) / 20, rtol=0.05)


def test_columns_are_resampled_together():
    values = np.random.default_rng(0).normal(size=[50, 1])
    means = comparison.bootstrap_means(np.concatenate([values, values + 1], 1), 100)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1)


@pytest.mark.parametrize('numbers', [1, 70, 10**6])
def test_resamples_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch, numbers):
    values = np.random.default_rng(1).normal(size=[33, 2])
    expected = comparison.bootstrap_means(values, 20, seed=5)
    monkeypatch.setattr(comparison, '_NUMBERS', numbers)
    np.testing.assert_allclose(
        comparison.bootstrap_means(values, 20, seed=5), expected, rtol=1e-12, atol=1e-15
    )
    assert (comparison.bootstrap_means(values, 20, seed=6) != expected).any()


def test_interval_holds_the_middle():
    assert comparison.interval(np.arange(1001.0)) == (25, 975)


@pytest.mark.parametrize(
    'first, second', [(0, 0), (1, 8), (8, 1), (5, 5), (0, 20), (310, 400), (4000, 4300)]
)
def test_mcnemar_is_the_binomial_test_of_a_fair_coin(first, second):
    total = first + second
    tail = term = 1
    for k in range(min(first, second)):
        term = term * (total - k) // (k + 1)  # of k + 1 in total
        tail += term
    assert term == math.comb(total, min(first, second))
    expected = min(Fraction(2 * tail, 2**total), 1)
    assert comparison.mcnemar(first, second) == pytest.approx(float(expected), rel=1e-9)
