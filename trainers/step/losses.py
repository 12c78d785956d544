"""Losses of single images; the training step sums them."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def cross_entropy(
    labels: tf.Tensor, logits: tf.Tensor, smoothing: float = 0.0
) -> tf.Tensor:
    """Softmax cross-entropy of each image, in nats.

    Args:
        labels: int32 `[B]`, each in 0..classes-1.
        logits: float32 `[B, classes]`.
        smoothing: share of each label that is spread evenly over all classes (Szegedy
            et al., 2015, https://arxiv.org/abs/1512.00567, section 7).

    Returns:
        float32 `[B]`.
    """
    if not smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    classes = logits.shape[-1]
    targets = tf.one_hot(
        labels, classes, 1 - smoothing + smoothing / classes, smoothing / classes
    )
    return tf.nn.softmax_cross_entropy_with_logits(targets, logits)


def l2(variables: Sequence[tf.Variable]) -> tf.Tensor:
    """Half the sum of squares of all kernels, float32 scalar.

    Kernels are the variables of rank 2 and more: biases and the scales of batch norms
    do not decay.
    """
    return tf.add_n([tf.nn.l2_loss(v) for v in variables if v.shape.rank > 1])


def balanced_class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Factors of the loss by class, so that each class has the same total weight.

    Args:
        labels: int32 `[N]` of the training split.
        classes: number of classes.

    Returns:
        float32 `[classes]`; their mean over the images is 1.
    """
    counts = np.bincount(labels, minlength=classes)
    present = np.count_nonzero(counts)
    return (len(labels) / (present * np.maximum(counts, 1))).astype(np.float32)
