"""Every metric against its definition, or against scikit-learn."""

import math
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from sklearn import metrics as sklearn_metrics

from trainers.evaluation import metrics
from trainers.step import losses
from trainers.step import metrics as training_metrics


def outputs(count=9000, classes=7, coarse=False):
    """Logits and labels, in more rows than are worked on at a time."""
    rng = np.random.default_rng(count + classes)
    labels = rng.integers(classes, size=count).astype(np.int32)
    logits = rng.normal(size=[count, classes]).astype(np.float32)
    logits[np.arange(count), labels] += 1
    return (np.round(logits) if coarse else logits), labels


@pytest.mark.parametrize('coarse', [False, True])
@pytest.mark.parametrize('classes', [2, 7])
def test_ranks_agree_with_the_hits_of_training_also_where_logits_are_equal(
    classes, coarse
):
    logits, labels = outputs(classes=classes, coarse=coarse)
    ranks = metrics.ranks(logits, labels)
    np.testing.assert_array_equal(ranks == 0, logits.argmax(1) == labels)
    for k in (1, 5):
        hits = training_metrics.hits(
            tf.constant(labels), tf.constant(logits), tf.ones(len(labels)), k
        )
        assert (ranks < k).sum() == hits


@pytest.mark.parametrize('coarse', [False, True])
@pytest.mark.parametrize('count', [1, 5, 7])
def test_best_are_those_of_all_sorted_also_where_logits_are_equal(count, coarse):
    logits, labels = outputs(coarse=coarse)
    top = metrics.top_classes(logits, count)
    np.testing.assert_array_equal(top, np.argsort(-logits, 1, kind='stable')[:, :count])
    np.testing.assert_array_equal(top[:, 0], logits.argmax(1))


def test_best_need_little_memory():
    logits = outputs(40_000, 50)[0]
    tracemalloc.start()
    try:
        metrics.top_classes(logits, 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < logits.nbytes  # a sorted copy would be twice that


def test_blocks_cover_every_row_once():
    for count in (0, 1, 4096, 4097, 9000):
        rows = [
            row
            for block in metrics.blocks(count)
            for row in range(block.start, block.stop)
        ]
        assert rows == list(range(count))


@pytest.mark.parametrize('temperature', [1.0, 0.3, 4.0])
def test_losses_agree_with_those_of_training(temperature):
    logits, labels = outputs()
    expected = losses.cross_entropy(
        tf.constant(labels), tf.constant(logits) / temperature
    )
    np.testing.assert_allclose(
        metrics.losses(logits, labels, temperature), expected, rtol=1e-4, atol=1e-6
    )


def test_losses_of_large_logits_are_finite():
    logits = np.array([[1e4, -1e4], [1e4, -1e4]], np.float32)
    np.testing.assert_array_equal(
        metrics.losses(logits, np.array([0, 1], np.int32), 0.5), [0, 4e4]
    )


def test_confusion_matrix_counts_each_image_once_row_by_label():
    matrix = metrics.confusion_matrix(
        np.array([0, 0, 2, 2], np.int32), np.array([0, 1, 2, 0]), 3
    )
    assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
    figures = metrics.class_metrics(matrix)
    np.testing.assert_array_equal(figures.support, [2, 0, 2])
    np.testing.assert_allclose(figures.precision, [0.5, 0, 1])
    np.testing.assert_allclose(figures.recall, [0.5, np.nan, 0.5])
    np.testing.assert_allclose(figures.f1, [0.5, 0, 2 / 3])
    assert metrics.most_confused(matrix, 5) == [(0, 1, 1), (2, 0, 1)]
    assert metrics.most_confused(np.diag([3, 4]), 5) == []


def test_most_confused_come_in_order_and_no_more_than_asked_for():
    matrix = np.array([[9, 2, 5], [7, 9, 0], [0, 5, 9]])
    assert metrics.most_confused(matrix, 3) == [(1, 0, 7), (0, 2, 5), (2, 1, 5)]


def test_class_metrics_and_their_means_agree_with_scikit_learn():
    logits, labels = outputs(300)
    labels[labels == 3] = 4  # a class without images
    logits[:, 5] = -9  # a class that is never predicted
    predicted = logits.argmax(1)
    matrix = metrics.confusion_matrix(labels, predicted, 7)
    np.testing.assert_array_equal(
        matrix, sklearn_metrics.confusion_matrix(labels, predicted, labels=range(7))
    )
    figures = metrics.class_metrics(matrix)
    expected = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(7), zero_division=np.nan
    )
    for actual, reference in zip(figures, expected):
        np.testing.assert_allclose(actual, reference)
    there = np.unique(labels)
    means = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=there, average='macro', zero_division=0
    )
    np.testing.assert_allclose(list(metrics.macro_average(figures).values()), means[:3])


@pytest.mark.parametrize('hits, total', [(0, 9), (1, 9), (9, 9), (966, 1000), (1, 1)])
def test_wilson_bounds_are_where_the_score_test_begins_to_reject(hits, total):
    low, high = metrics.wilson_interval(hits, total)
    share = hits / total
    assert 0 <= low <= share <= high <= 1
    for bound in {low, high} - {0.0, 1.0}:
        z = (share - bound) / math.sqrt(bound * (1 - bound) / total)
        assert abs(z) == pytest.approx(1.95996, abs=1e-4)
    assert (low == 0) == (hits == 0) and (high == 1) == (hits == total)


@pytest.mark.parametrize('hits, total', [(0, 0), (5, 4), (-1, 4)])
def test_wilson_needs_something_to_have_a_share_of(hits, total):
    with pytest.raises(ValueError, match=f'received {hits} of {total}'):
        metrics.wilson_interval(hits, total)


def test_precision_recall_of_a_small_case():
    # From the highest: positive, negative, positive, and one of both at once.
    scores = np.array([0.9, 0.8, 0.7, 0.2, 0.2])
    curve = metrics.precision_recall(scores[[0, 2, 4]], [scores[:2], scores[2:]])
    np.testing.assert_allclose(curve.recall, [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(curve.precision, [1, 2 / 3, 3 / 5])
    assert curve.average == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


@pytest.mark.parametrize('coarse', [False, True])
def test_average_precision_agrees_with_scikit_learn(coarse):
    scores, labels = outputs(coarse=coarse)
    truth = np.eye(7)[labels]
    curve = metrics.micro_average(scores, labels)
    assert curve.average == pytest.approx(
        sklearn_metrics.average_precision_score(truth, scores, average='micro')
    )
    for label in range(7):
        curve = metrics.class_curve(scores, labels, label)
        assert curve.average == pytest.approx(
            sklearn_metrics.average_precision_score(truth[:, label], scores[:, label])
        )


def test_class_without_images_has_no_curve():
    scores, labels = outputs(20, 3)
    labels[:] = 0
    curve = metrics.class_curve(scores, labels, 2)
    assert math.isnan(curve.average) and not len(curve.recall)


def test_rows_are_kept_without_a_copy():
    values = np.random.default_rng(0).normal(size=[10_000, 3]).astype(np.float32)
    places = np.flatnonzero(values[:, 0] < 1)
    expected = values[places]
    kept = metrics.keep_rows(values, places)
    np.testing.assert_array_equal(kept, expected)
    assert np.shares_memory(kept, values)
    every = np.arange(10_000)
    np.testing.assert_array_equal(metrics.keep_rows(values, every), values)
