"""Sums over images, which stay on the device until they are read."""

from collections.abc import Mapping, Sequence

import tensorflow as tf


class Totals(tf.Module):
    """Named running sums in one float64 variable.

    Sums rather than means: they add up over batches of any size, and 2**53 images
    are counted exactly.

    Args:
        names: of the sums; 'weight' is the number of images that count.
    """

    def __init__(self, names: Sequence[str], name: str = 'totals'):
        super().__init__(name=name)
        self.names = tuple(names)
        self.sums = tf.Variable(
            tf.zeros(len(self.names), tf.float64), trainable=False, name='sums'
        )

    def add(self, values: Mapping[str, tf.Tensor]) -> None:
        """Adds one scalar for each name."""
        self.sums.assign_add(
            tf.stack([tf.cast(values[name], tf.float64) for name in self.names])
        )

    def read(self) -> dict[str, float]:
        """The sums so far."""
        return dict(zip(self.names, self.sums.numpy().tolist()))

    def reset(self) -> None:
        """Sets the sums to 0."""
        self.sums.assign(tf.zeros_like(self.sums))


def head_names(heads: int) -> list[str]:
    """Names of a model's heads: main, then aux1 for the shallowest auxiliary one."""
    return ['main'] + [f'aux{index + 1}' for index in range(heads - 1)]


def hits(
    labels: tf.Tensor, logits: tf.Tensor, sample_weights: tf.Tensor, k: int
) -> tf.Tensor:
    """Sum of the weights of images whose label is among the `k` largest logits.

    Of equal logits the first counts as the largest, as in argmax. (`tf.math.in_top_k`
    counts all of them as hits, which overrates the coarse logits of bfloat16.)

    Args:
        labels: int32 `[B]`.
        logits: float32 `[B, classes]`; a row that is not finite counts as wrong.
        sample_weights: float32 `[B]`.
        k: how many logits count; all of them where there are fewer classes.

    Returns:
        float32 scalar.
    """
    target = tf.gather(logits, labels, batch_dims=1)[:, tf.newaxis]
    earlier = tf.range(logits.shape[-1]) < labels[:, tf.newaxis]
    ahead = (logits > target) | ((logits == target) & earlier)
    rank = tf.reduce_sum(tf.cast(ahead, tf.int32), axis=-1)
    finite = tf.reduce_all(tf.math.is_finite(logits), axis=-1)
    return tf.reduce_sum(sample_weights * tf.cast((rank < k) & finite, tf.float32))


def means(totals: Mapping[str, float]) -> dict[str, float]:
    """Every sum divided by the weight that it was summed over; NaN over no images."""
    weight = totals['weight']
    return {
        name: value / weight if weight else float('nan')
        for name, value in totals.items()
        if name != 'weight'
    }
