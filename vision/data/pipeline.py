"""From a split to batches, by arithmetic on the step number.

Every random choice is stateless and keyed by (seed, epoch, index), so the only state
of the input is the step: batches are the same bits from any starting step, whatever
the parallelism.
"""

from collections.abc import Callable, Sequence, Sized
from typing import NamedTuple

import tensorflow as tf

from vision.data.augment import Augmentation, Augmenter, draws
from vision.data.augment.mixing import partners
from vision.data.decoding.bad_files import BadFiles
from vision.data.fetch import fetcher, on_host
from vision.data.source import DatasetError, Split


class Batch(NamedTuple):
    """Images with what is known of them.

    Attributes:
        images: uint8 [B, S, S, 3], or features of them, float32 [B, F].
        labels: int32 [B].
        sample_weights: float32 [B], 0 for padding and for images that could not be
            decoded.
        partners: int32 [B], the labels of what was mixed into the images, or None.
        shares: float32 [B] in 0.5..1, the share of each image that belongs to its
            label, or None where nothing is mixed.
    """

    images: tf.Tensor
    labels: tf.Tensor
    sample_weights: tf.Tensor
    partners: tf.Tensor | None = None
    shares: tf.Tensor | None = None


def steps_per_epoch(split: Sized, batch_size: int) -> int:
    """Whole batches in an epoch of a split or its features; the remainder is dropped.

    Raises:
        DatasetError: the split does not fill one batch.
    """
    if not 1 <= batch_size <= len(split):
        raise DatasetError(
            f'The batch size must lie in 1..{len(split)}, the images in the split, '
            f'got {batch_size}; set it within that range.'
        )
    return len(split) // batch_size


def train_batches(
    split: Split,
    *,
    batch_size: int,
    image_size: int,
    seed: int,
    end_step: int,
    start_step: int = 0,
    augment: Sequence[Augmentation] = (),
    shuffle: bool = True,
    limit: int | None = None,
    bad_files: BadFiles | None = None,
) -> tf.data.Dataset:
    """The batches of steps start_step..end_step - 1, shuffled and augmented.

    Each epoch is another permutation. An undecodable image gets the weight 0.

    Args:
        split: the images.
        batch_size: B; images that do not fill a batch are left out of the epoch.
        image_size: S, side of the images in pixels.
        seed: of the order and the augmentation.
        end_step: number of the step behind the last one.
        start_step: number of the first step.
        augment: the augmentations, in their order.
        shuffle: whether the order is random, or that of the split.
        limit: batches of an epoch; None: as many as the split fills.
        bad_files: where undecodable images are recorded.

    Returns:
        A dataset of `Batch`.

    Raises:
        DatasetError: the split does not fill one batch.
        UserError: an augmentation is not as expected.
    """
    fetch = fetcher(split, Augmenter(augment, image_size), bad_files or BadFiles())
    labels = on_host(split.labels)

    def batch(key: tf.Tensor, indices: tf.Tensor) -> Batch:
        images, sample_weights, shares = fetch(indices, draws.of_examples(key, indices))
        own = tf.gather(labels, indices)
        others = None if shares is None else partners(own)
        return Batch(images, own, sample_weights, others, shares)

    return for_training(
        split,
        batch,
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
        end_step=end_step,
        shuffle=shuffle,
        limit=limit,
    )


def eval_batches(
    split: Split,
    *,
    batch_size: int,
    image_size: int,
    limit: int | None = None,
    bad_files: BadFiles | None = None,
) -> tf.data.Dataset:
    """Every image once, in the split's order.

    The last batch is padded with copies of example 0 of weight 0.

    Args:
        split: the images.
        batch_size: B.
        image_size: S, side of the images in pixels.
        limit: number of batches; None: all.
        bad_files: where undecodable images are recorded.

    Returns:
        A dataset of `Batch`.
    """
    fetch = fetcher(split, Augmenter((), image_size), bad_files or BadFiles())
    labels = on_host(split.labels)

    def batch(indices: tf.Tensor) -> Batch:
        images, sample_weights, _ = fetch(indices, tf.zeros_like(indices))
        return Batch(images, tf.gather(labels, indices), sample_weights)

    return for_evaluation(split, batch, batch_size=batch_size, limit=limit)


def for_training(
    examples: Sized,
    batch: Callable[[tf.Tensor, tf.Tensor], Batch],
    *,
    batch_size: int,
    seed: int,
    end_step: int,
    start_step: int = 0,
    shuffle: bool = True,
    limit: int | None = None,
) -> tf.data.Dataset:
    """The batches of steps start_step..end_step - 1, in the order of train_batches.

    Args:
        batch: `(key, indices) -> Batch`, of the epoch's int64 [2] and int64 [B].
    """
    epoch_steps = steps_per_epoch(examples, batch_size)
    epoch_steps = min(epoch_steps, limit or epoch_steps)

    def of_step(step: tf.Tensor) -> Batch:
        key = tf.stack([tf.constant(seed, tf.int64), step // epoch_steps])
        indices = (step % epoch_steps) * batch_size + tf.range(
            batch_size, dtype=tf.int64
        )
        if shuffle:
            indices = tf.random.experimental.index_shuffle(
                indices, key, tf.constant(len(examples) - 1, tf.int64)
            )
        return batch(key, indices)

    return _map(tf.data.Dataset.range(start_step, end_step), of_step)


def for_evaluation(
    examples: Sized,
    batch: Callable[[tf.Tensor], Batch],
    *,
    batch_size: int,
    limit: int | None = None,
) -> tf.data.Dataset:
    """Every example once, in their order, the last batch padded as in eval_batches.

    Args:
        batch: `indices -> Batch`, of int64 [B].
    """
    steps = -(-len(examples) // batch_size)
    steps = min(steps, limit or steps)

    def of_step(step: tf.Tensor) -> Batch:
        indices = step * batch_size + tf.range(batch_size, dtype=tf.int64)
        real = indices < len(examples)
        padded = batch(tf.where(real, indices, 0))
        return padded._replace(
            sample_weights=tf.where(real, padded.sample_weights, 0.0)
        )

    return _map(tf.data.Dataset.range(steps), of_step)


def _map(
    steps: tf.data.Dataset, batch: Callable[[tf.Tensor], Batch]
) -> tf.data.Dataset:
    options = tf.data.Options()
    # They have no use here, and copy each array that batches are taken from.
    options.experimental_optimization.apply_default_optimizations = False
    return (
        # There is nothing for AutoGraph to convert, and looking for it takes seconds.
        steps.map(tf.autograph.experimental.do_not_convert(batch), tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
        .with_options(options)
    )
