"""From a split to batches, by arithmetic on the step number.

Every random choice is stateless and keyed by (seed, epoch, index), so the only state
of the input is the step: batches are the same bits from any starting step, whatever
the parallelism.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from vision.data.bad_files import BadFiles
from vision.data.fetch import fetcher, on_host
from vision.data.source import DatasetError, Split


class Batch(NamedTuple):
    """images uint8 [B, S, S, 3], labels int32 [B], weights float32 [B]."""
    images: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor


def steps_per_epoch(split: Split, batch_size: int) -> int:
    """Whole batches in an epoch; the remainder is dropped.

    Raises DatasetError where the split does not fill one batch.
    """
    if not 1 <= batch_size <= len(split):
        raise DatasetError(
            f'The batch size must lie in 1..{len(split)}, the pictures in the split, '
            f'got {batch_size}; set it within that range.')
    return len(split) // batch_size


def train_batches(split: Split, *, batch_size: int, image_size: int, seed: int,
                  end_step: int, start_step: int = 0, augment: Sequence[str] = (),
                  shuffle: bool = True, limit: int | None = None,
                  bad_files: BadFiles | None = None) -> tf.data.Dataset:
    """The batches of steps start_step..end_step - 1, shuffled and augmented.

    Each epoch is a permutation of its own; with `limit` it ends after that many
    batches. An undecodable picture becomes zeros of weight 0 and a bad file.
    """
    epoch_steps = steps_per_epoch(split, batch_size)
    epoch_steps = min(epoch_steps, limit) if limit else epoch_steps
    fetch = fetcher(split, augment, image_size, bad_files or BadFiles())
    labels = on_host(split.labels)

    def batch(step: tf.Tensor) -> Batch:
        epoch = step // epoch_steps
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        indices = (step % epoch_steps) * batch_size + tf.range(
            batch_size, dtype=tf.int64)
        if shuffle:
            indices = tf.random.experimental.index_shuffle(
                indices, key, tf.constant(len(split) - 1, tf.int64))
        images, weights = fetch(indices, _example_seeds(key, indices))
        return Batch(images, tf.gather(labels, indices), weights)

    steps = tf.data.Dataset.range(start_step, end_step)
    return steps.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def eval_batches(split: Split, *, batch_size: int, image_size: int,
                 limit: int | None = None,
                 bad_files: BadFiles | None = None) -> tf.data.Dataset:
    """Every picture once, in the split's order; `limit` ends after so many batches.

    The last batch is padded with copies of example 0 of weight 0.
    """
    steps = -(-len(split) // batch_size)
    steps = min(steps, limit) if limit else steps
    fetch = fetcher(split, (), image_size, bad_files or BadFiles())
    labels = on_host(split.labels)

    def batch(step: tf.Tensor) -> Batch:
        indices = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        real = indices < len(split)
        indices = tf.where(real, indices, 0)
        images, weights = fetch(indices, tf.zeros([batch_size, 2], tf.int64))
        weights = tf.where(real, weights, 0.)
        return Batch(images, tf.gather(labels, indices), weights)

    dataset = tf.data.Dataset.range(steps)
    return dataset.map(batch, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _example_seeds(key: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """int64 [B, 2]: a number drawn for (seed, epoch), beside each example's index."""
    drawn = tf.random.stateless_uniform([], key, None, None, tf.int64)
    return tf.stack([tf.fill(indices.shape, drawn), indices], 1)
