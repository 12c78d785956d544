"""Getting the pictures of one batch, from memory or from files that may be bad."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from vision.data.augment import compose
from vision.data.bad_files import BadFiles
from vision.data.decode import decode
from vision.data.source import Split

# (indices int64 [B], seeds int64 [B, 2]) -> images uint8 [B, S, S, 3], weights [B].
Fetch = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
# (image [h, w, 3], seed int64 [2]) -> image uint8 [S, S, 3].
Prepare = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def fetcher(split: Split, specs: Sequence[str], size: int,
            bad_files: BadFiles) -> Fetch:
    """Makes the function that gets a batch's pictures, augmented, and their weights.

    Undecodable files become zeros of weight 0, recorded in bad_files.
    """
    prepare = compose(specs, size)
    if split.images is None:
        return _from_files(split, prepare, size, bad_files)
    ready = not specs and split.images.shape[1:3] == (size, size)
    return _from_memory(split, None if ready else prepare, size)


def on_host(array: np.ndarray | Sequence[str]) -> tf.Tensor:
    """A constant in main memory, where the input runs, also on a machine with a GPU."""
    with tf.device('/CPU:0'):
        return tf.constant(array)


def _from_memory(split: Split, prepare: Prepare | None, size: int) -> Fetch:
    assert split.images is not None
    pictures, weights = on_host(split.images), on_host(split.weights)

    def fetch(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = tf.gather(pictures, indices)
        if prepare is not None:
            images = _each(prepare, images, seeds, size)
        return images, tf.gather(weights, indices)

    return fetch


def _from_files(split: Split, prepare: Prepare, size: int,
                bad_files: BadFiles) -> Fetch:
    assert split.paths is not None
    paths, weights = on_host(split.paths), on_host(split.weights)
    read_or_substitute = _substituting_reader(split, size, bad_files)

    def prepare_contents(contents: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return prepare(decode(contents), seed)

    def prepare_file(path: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return prepare_contents(tf.io.read_file(path), seed)

    def fast(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = _each(prepare_file, tf.gather(paths, indices), seeds, size)
        return images, tf.gather(weights, indices)

    def careful(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        contents, good = tf.py_function(read_or_substitute, [indices],
                                        (tf.string, tf.bool))
        contents = tf.ensure_shape(contents, indices.shape)
        good = tf.ensure_shape(good, indices.shape)
        images = _each(prepare_contents, contents, seeds, size)
        images = tf.where(good[:, tf.newaxis, tf.newaxis, tf.newaxis], images, 0)
        return images, tf.where(good, tf.gather(weights, indices), 0.)

    return _first_that_works(fast, careful)


def _first_that_works(fast: Fetch, careful: Fetch) -> Fetch:
    """The function that does what fast does, or careful where an operation in it fails.

    A graph cannot catch an error, but a dataset can leave out the element that
    raised it. The careful way costs nothing until then.
    """

    def fetch(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        attempt = tf.data.Dataset.from_tensors((indices, seeds))
        results = attempt.map(fast).ignore_errors(log_warning=False)
        results = results.concatenate(attempt.map(careful)).take(1)
        return results.get_single_element()

    return fetch


def _substituting_reader(split: Split, size: int, bad_files: BadFiles) -> Callable:
    """Makes `indices -> (contents, good)`; a bad file's contents are a black PNG."""
    black = tf.io.encode_png(tf.zeros([size, size, 3], tf.uint8))
    assert split.paths is not None
    paths = split.paths

    def read(index: int) -> tuple[tf.Tensor, bool]:
        try:
            contents = tf.io.read_file(paths[index])
            decode(contents)
            return contents, True
        except tf.errors.OpError as error:
            bad_files.record(split.names[index], int(split.labels[index]),
                             _reason(error))
            return black, False

    def read_all(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        contents, good = zip(*map(read, indices.numpy()))
        return tf.stack(contents), tf.constant(good)

    return read_all


def _reason(error: tf.errors.OpError) -> str:
    """TensorFlow's message on one line, without the names of graph nodes."""
    message = re.sub(r'\{\{.*?\}\}|\[Op:.*?\]', '', error.message)
    return ' '.join(message.split())


def _each(function: Prepare, pictures: tf.Tensor, seeds: tf.Tensor,
          size: int) -> tf.Tensor:
    """Applies a function to each example of a batch; uint8 [B, size, size, 3]."""
    # One after the other: the batches run in parallel, and that is cheaper.
    return tf.map_fn(lambda args: function(*args), (pictures, seeds),
                     parallel_iterations=1,
                     fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8))
