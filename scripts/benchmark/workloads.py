"""What is measured: a matrix product, training steps, and input pipelines."""

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from scripts.benchmark.flops import gflop_per_step
from scripts.benchmark.timing import Workload, timed
from trainers.settings.config import Config
from trainers.step.trainer import TrainingPhase
from vision import data
from vision.data import ArraySplit, Batch, FileSplit, Source, Split
from vision.data.decoding.decode import decode, decode_plain

MATRIX_SIDE = 4096
FILES_AT_ONCE = 128  # One file an element costs nearly twice the time.


def matrix_product(dtype: str) -> Workload:
    """The product of two square matrices: the upper bound of the machine's arithmetic.

    Args:
        dtype: name of the floating-point type.
    """
    side = MATRIX_SIDE
    name = f'matrix product {side}^3, {dtype}'
    # Each product enters the next, so that none is optimized away; a reflection keeps
    # the numbers in range for any number of products.
    normal = tf.linalg.l2_normalize(tf.random.normal([side, 1]))
    reflection = tf.eye(side) - 2 * normal * tf.transpose(normal)
    factor = tf.cast(reflection, dtype)
    start = tf.cast(tf.random.normal([side, side]), dtype)

    @tf.function
    def multiply(factor: tf.Tensor, product: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(steps):
            product = tf.matmul(factor, product)
        return product[0, 0]

    def work(steps: int) -> None:
        multiply(factor, start, tf.constant(steps)).numpy()  # waits for the device

    return Workload(name, timed(work), gflop=2 * side**3 / 1e9)


def synthetic_source(config: Config, classes: int) -> Source:
    """A dataset of one batch of noise, of the size that the settings name."""
    assert config.image_size is not None
    split = noise(config.batch_size, config.image_size, classes)
    names = tuple(map(str, range(classes)))
    return Source(
        'synthetic',
        names,
        dict.fromkeys(data.SPLITS, split),
        config.image_size,
        fixed_size=True,
    )


def noise(count: int, size: int, classes: int) -> ArraySplit:
    """A split of images of independent random pixels, with random labels."""
    rng = np.random.default_rng(0)
    return ArraySplit(
        labels=rng.integers(classes, size=count, dtype=np.int32),
        names=[str(index) for index in range(count)],
        images=rng.integers(256, size=[count, size, size, 3], dtype=np.uint8),
    )


def device_batch(split: Split) -> Batch:
    """A split as one batch in the device's memory."""
    assert isinstance(split, ArraySplit)
    return Batch(
        tf.constant(split.images),
        tf.constant(split.labels),
        tf.constant(split.sample_weights),
    )


class Endless(Iterator[Batch]):
    """Yields the same batch forever; in a traced loop it is a constant."""

    def __init__(self, batch: Batch):
        self.batch = batch

    def __next__(self) -> Batch:
        return self.batch


def training_steps(name: str, phase: TrainingPhase, batch: Batch) -> Workload:
    """The training step, on one batch in the memory of the device."""
    batches = Endless(batch)

    def work(steps: int) -> None:
        phase.train_steps(batches, steps)
        phase.state.losses.read()  # waits for the device

    return Workload(name, timed(work), len(batch.labels), gflop_per_step(phase, batch))


def pipeline(name: str, split: Split, config: Config, warmup_steps: int) -> Workload:
    """The input pipeline of training, whose batches are discarded."""
    assert config.image_size is not None
    batches = data.train_batches(
        split,
        batch_size=config.batch_size,
        image_size=config.image_size,
        seed=config.seed,
        augment=config.augment,
        end_step=2**40,
    )
    return Workload(name, drained(batches, warmup_steps), config.batch_size)


def bare_decoding(name: str, split: FileSplit, warmup_steps: int) -> Workload:
    """Reading and decoding files in order: the upper bound of any pipeline of them.

    A group of files is left out if one of them cannot be decoded.

    Args:
        name: its name in the table.
        split: images that are files of their own.
        warmup_steps: steps before each turn that are not counted.
    """
    decoded = _decoding(split.paths, split.side)
    plainly = tf.autograph.experimental.do_not_convert(decoded)
    # Of few files, a broken one should remove only a few.
    count = min(FILES_AT_ONCE, -(-len(split) // 8))
    paths = tf.data.Dataset.from_tensor_slices(list(split.paths))
    groups = paths.batch(count, drop_remainder=True)
    groups = groups.map(plainly, tf.data.AUTOTUNE).ignore_errors().repeat()
    return Workload(
        name, drained(groups.prefetch(tf.data.AUTOTUNE), warmup_steps), count
    )


def _decoding(
    paths: Sequence[str], side: int | None
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes `paths [n] -> images [n, side, side, 3]`, or sizes [n] without a side."""
    kinds = {os.path.splitext(path)[1].lower() for path in paths}

    def sizes_of_any_kind(paths: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda path: tf.size(decode(tf.io.read_file(path))),
            paths,
            fn_output_signature=tf.int32,
        )

    def decoded(paths: tf.Tensor) -> tf.Tensor:
        # Unrolled: a loop of TensorFlow takes as long as the reading.
        images = [decode_plain(tf.io.read_file(path)) for path in tf.unstack(paths)]
        if side is None:
            return tf.stack([tf.size(image) for image in images])
        return tf.stack([tf.ensure_shape(image, [side, side, 3]) for image in images])

    return decoded if kinds <= {'.jpg', '.jpeg', '.png'} else sizes_of_any_kind


def drained(batches: tf.data.Dataset, warmup_steps: int) -> Callable[[int], float]:
    """A turn of taking batches and discarding them.

    Each turn has its own iterator: one that is kept would fill its buffers during the
    turns of other workloads.
    """

    def turn(steps: int) -> float:
        iterator = iter(batches)
        _drain(iterator, tf.constant(warmup_steps))
        return timed(lambda count: _drain(iterator, tf.constant(count)))(steps)

    return turn


@tf.function(reduce_retracing=True)
def _drain(batches: tf.data.Iterator, steps: tf.Tensor) -> None:
    """Takes batches in one call, as training does."""
    for _ in tf.range(steps):
        next(batches)
