"""Sums that are exact, and what counts as a hit."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainers.step.metrics import Totals, head_names, hits, means

RNG = np.random.default_rng(4)
LABELS = RNG.integers(0, 10, 200).astype(np.int32)
LOGITS = RNG.normal(size=[200, 10]).astype(np.float32)
ONES = np.ones(200, np.float32)


def count(labels, logits, k: int, weights=None) -> float:
    weights = [1.0] * len(labels) if weights is None else weights
    return float(
        hits(
            tf.constant(labels, tf.int32),
            tf.constant(logits, tf.float32),
            tf.constant(weights, tf.float32),
            k,
        )
    )


def test_totals_count_beyond_float32():
    totals = Totals(['weight', 'loss'])
    totals.add({'weight': 2.0**24, 'loss': tf.constant(0.5)})
    totals.add({'loss': tf.constant(0.25), 'weight': 1})
    assert totals.read() == {'weight': 2**24 + 1, 'loss': 0.75}


def test_totals_start_again():
    totals = Totals(['weight'])
    totals.add({'weight': 3})
    totals.reset()
    assert totals.read() == {'weight': 0}


def test_totals_need_every_name():
    with pytest.raises(KeyError, match='loss'):
        Totals(['weight', 'loss']).add({'weight': 1})


def test_means_are_over_the_weight():
    assert means({'weight': 4, 'loss': 2, 'top1': 3}) == {'loss': 0.5, 'top1': 0.75}


def test_mean_over_no_images_is_no_number():
    assert math.isnan(means({'weight': 0, 'loss': 0})['loss'])


@pytest.mark.parametrize('heads, names', [(1, ['main']), (3, ['main', 'aux1', 'aux2'])])
def test_head_names(heads, names):
    assert head_names(heads) == names


@pytest.mark.parametrize('k', [1, 5])
def test_hits_agree_with_keras(k):
    oracle = keras.metrics.sparse_top_k_categorical_accuracy(LABELS, LOGITS, k)
    assert count(LABELS, LOGITS, k) == np.sum(oracle)


def test_top_1_is_what_argmax_takes_it_for_even_among_equals():
    coarse = np.round(LOGITS)  # As bfloat16 has it: the largest logit comes up twice.
    expected = np.sum(coarse.argmax(1) == LABELS)
    assert count(LABELS, coarse, 1) == expected


def test_equal_logits_are_a_guess():
    labels = np.arange(10)
    for k in (1, 5):
        assert count(labels, np.zeros([10, 10]), k) == k


@pytest.mark.parametrize('k, expected', [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_fewer_classes_than_k(k, expected):
    assert count([0, 1, 2], [[3, 2, 1]] * 3, k) == expected


def test_weight_0_does_not_count():
    assert count([0, 0, 1], [[1, 0]] * 3, 1, [1, 0, 1]) == 1


@pytest.mark.parametrize(
    'row',
    [
        [math.nan, 0, 1],
        [math.inf, 0, 1],
        [math.nan] * 3,
        [0, math.nan, 1],
        [2, -math.inf, 1],
    ],
)
@pytest.mark.parametrize('k', [1, 5])
def test_row_that_is_not_finite_is_wrong(row, k):
    assert count([0, 0], [row, [2, 0, 1]], k) == 1
