"""The losses of single images, against Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainers.step.losses import balanced_class_weights, cross_entropy, l2

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 7, 32).astype(np.int32)
LOGITS = (5 * RNG.normal(size=[32, 7])).astype(np.float32)


def test_agrees_with_keras():
    oracle = keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, reduction='none'
    )
    np.testing.assert_allclose(
        cross_entropy(LABELS, LOGITS), oracle(LABELS, LOGITS), rtol=1e-5
    )


@pytest.mark.parametrize('smoothing', [0.1, 0.5, 0.99])
def test_label_smoothing_agrees_with_keras(smoothing):
    oracle = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=smoothing, reduction='none'
    )
    np.testing.assert_allclose(
        cross_entropy(LABELS, LOGITS, smoothing),
        oracle(np.eye(7)[LABELS], LOGITS),
        rtol=1e-5,
    )


@pytest.mark.parametrize('smoothing, expected', [(0.0, 2e4), (0.5, 1.5e4)])
def test_certain_and_wrong_is_finite(smoothing, expected):
    loss = cross_entropy(tf.constant([1]), tf.constant([[1e4, -1e4]]), smoothing)
    np.testing.assert_allclose(loss, [expected])


def test_l2_takes_kernels_only():
    shapes = [(), (5,), (2, 3), (3, 3, 2, 4)]
    arrays = [RNG.normal(size=shape).astype(np.float32) for shape in shapes]
    expected = 0.5 * sum(np.square(array).sum() for array in arrays[2:])
    assert float(l2([tf.Variable(a) for a in arrays])) == pytest.approx(expected)


def test_balanced_classes_have_the_same_weight():
    labels = np.array([0, 3, 0, 1, 0, 3], np.int32)
    weights = balanced_class_weights(labels, 5)
    assert weights.dtype == np.float32
    # Three classes share six images; those without images have any finite weight.
    np.testing.assert_allclose(weights[[0, 1, 3]], [2 / 3, 2, 1])
    assert weights.shape == (5,) and np.isfinite(weights).all()
    assert weights[labels].mean() == pytest.approx(1)
