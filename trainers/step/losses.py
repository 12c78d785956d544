"""Losses of single images; the weighted sum of them is in the training step."""

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


def l2(variables: list[tf.Variable]) -> tf.Tensor:
    """Half the sum of squares of all kernels, float32 scalar.

    Kernels are the variables of rank 2 and more: biases and the scales of norms do not
    decay.
    """
    return tf.add_n([tf.nn.l2_loss(v) for v in variables if v.shape.rank > 1])
