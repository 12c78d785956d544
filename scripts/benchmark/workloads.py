"""What is measured: a matrix product, training steps, and input pipelines."""

import itertools
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from scripts.benchmark.timing import Workload, timed
from trainers.settings.config import Config
from trainers.step.trainer import TrainingPhase
from vision import data
from vision.data import ArraySplit, Batch, FileSplit, Source, Split
from vision.data.decoding.decode import decode, decode_plain
from vision.models.profile import count_graph_macs

MATRIX_SIDE = 4096
FILES_AT_ONCE = 128  # One file an element costs nearly twice the time.


def matrix_product(dtype: str) -> Workload:
    """The product of two square matrices: the upper bound of the machine's arithmetic.

    Args:
        dtype: name of the floating-point type.
    """
    side = MATRIX_SIDE
    # Each product enters the next, so that none is optimized away; a reflection keeps
    # the numbers in range for any number of products.
    normal = tf.linalg.l2_normalize(tf.random.normal([side, 1]))
    factor = tf.cast(tf.eye(side) - 2 * normal * tf.transpose(normal), dtype)
    start = tf.cast(tf.random.normal([side, side]), dtype)

    @tf.function
    def multiply(factor: tf.Tensor, product: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
        for _ in tf.range(steps):
            product = tf.matmul(factor, product)
        return product[0, 0]

    def work(steps: int) -> None:
        multiply(factor, start, tf.constant(steps)).numpy()  # waits for the device

    return Workload(
        f'matrix product {side}^3, {dtype}', timed(work), gflop=2 * side**3 / 1e9
    )


def synthetic_source(config: Config, classes: int) -> Source:
    """A dataset of one batch of independent random pixels, with random labels."""
    assert config.image_size is not None
    count, size = config.batch_size, config.image_size
    rng = np.random.default_rng(0)
    split = ArraySplit(
        labels=rng.integers(classes, size=count, dtype=np.int32),
        names=[str(index) for index in range(count)],
        images=rng.integers(256, size=[count, size, size, 3], dtype=np.uint8),
    )
    return Source(
        'synthetic',
        tuple(map(str, range(classes))),
        dict.fromkeys(data.SPLITS, split),
        size,
        fixed_size=True,
    )


def device_batch(source: Source) -> Batch:
    """A training split in memory as one batch in the device's memory."""
    split = source.splits['train']
    assert isinstance(split, ArraySplit)
    return Batch(
        tf.constant(split.images),
        tf.constant(split.labels),
        tf.constant(split.sample_weights),
    )


def training_steps(name: str, phase: TrainingPhase, batch: Batch) -> Workload:
    """The training step, on one batch in the memory of the device.

    Its floating-point operations, two for each multiplication with accumulation, are
    counted in the traced graph: all convolutions and matrix products, forward and
    backward, auxiliary heads included. That is three times the forward pass without
    the first convolution's gradient by the images, which is not computed. Padded
    positions count like others. The sums inside local response norms are left out,
    since implementations differ in them.
    """
    batches = itertools.repeat(batch)  # In a traced loop it is a constant.
    graph = phase.train_step.get_concrete_function(batch).graph

    def work(steps: int) -> None:
        phase.train_steps(batches, steps)
        phase.state.losses.read()  # waits for the device

    gflop = 2 * count_graph_macs(graph) / 1e9
    return Workload(name, timed(work), len(batch.labels), gflop)


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
    decoded = tf.autograph.experimental.do_not_convert(
        _decoding(split.paths, split.side)
    )
    # Of few files, a broken one should remove only a few.
    count = min(FILES_AT_ONCE, -(-len(split) // 8))
    paths = tf.data.Dataset.from_tensor_slices(list(split.paths))
    groups = paths.batch(count, drop_remainder=True).map(decoded, tf.data.AUTOTUNE)
    batches = groups.ignore_errors().repeat().prefetch(tf.data.AUTOTUNE)
    return Workload(name, drained(batches, warmup_steps), count)


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
