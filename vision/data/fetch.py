"""Getting images, one or a batch of them, from memory or from files that may be bad.

What happens to the images of a batch, by split and by whether all have one side:

| split         | one side                      | any side                      |
| ------------- | ----------------------------- | ----------------------------- |
| arrays        | gathered, then augmented      | the same                      |
| files, ranges | decoded to [B, side, side, 3],| each decoded, and cropped or  |
|               | then augmented                | fitted; then augmented        |

Files are read in the graph, ranges of files by `RangeSplit.read`. Encoded images take
one of two paths to the same pixels:

- The plain path decodes a batch of plain JPEG and PNG files (see `decode.is_plain`).
  Its graph is small. It fails for a batch with any other file, with a damaged file, or
  with an image of another side.
- The careful path decodes files of any kind, all at once or else one by one, so that a
  bad file costs its own place only. It is traced when a batch first needs it.
"""

import functools
import os
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from vision.data.augment import Augmenter
from vision.data.augment.compose import for_each
from vision.data.decoding import decode
from vision.data.decoding.bad_files import BadFiles
from vision.data.source import ArraySplit, EncodedSplit, FileSplit, Split

# Batches of images, sample_weights float32 [B], and shares float32 [B] or None.
Fetched = tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]
# (indices int64 [B], seeds int64 [B]) -> images uint8 [B, S, S, 3] and the rest.
Fetch = Callable[[tf.Tensor, tf.Tensor], Fetched]
# (indices, seeds) -> images uint8 [B, h, w, 3], and which of them are good, bool [B].
Load = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def fetcher(split: Split, augmenter: Augmenter, bad_files: BadFiles) -> Fetch:
    """Makes the function that gets images of a batch, augmented, and sample weights.

    Undecodable files get the weight 0 and are recorded in bad_files.
    """
    all_weights = on_host(split.sample_weights)
    prepared = not isinstance(split, ArraySplit) and split.side is None
    load = (
        _from_memory(split)
        if isinstance(split, ArraySplit)
        else _from_files(split, augmenter, bad_files)
    )

    def fetch(indices: tf.Tensor, seeds: tf.Tensor) -> Fetched:
        images, good = load(indices, seeds)
        sample_weights = tf.where(good, tf.gather(all_weights, indices), 0.0)
        images, shares = augmenter(images, seeds, sample_weights, prepared)
        return images, sample_weights, shares

    return fetch


def on_host(array: np.ndarray | Sequence[bytes]) -> tf.Tensor:
    """A tensor in main memory, where the input runs, also on a machine with a GPU.

    A large array that allows it is shared rather than copied, so that it can be a
    memory-mapped file.
    """
    with tf.device('/CPU:0'):
        if (
            isinstance(array, np.ndarray)
            and array.flags.writeable
            and (array.flags.c_contiguous and array.ctypes.data % 64 == 0)
        ):
            return tf.experimental.dlpack.from_dlpack(array.__dlpack__())
        return tf.constant(array)


def reader(split: Split) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes `indices [B] -> encoded images [B]`, or decoded ones [B, H, W, 3]."""
    if isinstance(split, ArraySplit):
        images = on_host(split.images)
        return lambda indices: tf.gather(images, indices)
    if isinstance(split, FileSplit):
        paths = on_host([os.fsencode(path) for path in split.paths])
        # Written out, not a loop: TensorFlow's costs as much as the reading.
        return lambda indices: tf.stack(
            [tf.io.read_file(path) for path in tf.unstack(tf.gather(paths, indices))]
        )

    def read(indices: np.ndarray) -> np.ndarray:
        return np.array([split.read(index) for index in indices], object)

    return lambda indices: tf.ensure_shape(
        tf.numpy_function(read, [indices], tf.string), indices.shape
    )


def _from_memory(split: ArraySplit) -> Load:
    read = reader(split)
    return lambda indices, seeds: (read(indices), tf.ones_like(indices, tf.bool))


def _from_files(split: EncodedSplit, augmenter: Augmenter, bad_files: BadFiles) -> Load:
    side = split.side or augmenter.size

    def decode_one(
        contents: tf.Tensor, seed: tf.Tensor, plain: bool = False
    ) -> tf.Tensor:
        if split.side is None:
            return augmenter.decode(contents, seed, plain)
        return decode.fit(decode.decode(contents), side)

    plain = _plain(split, decode_one, side)
    careful = _careful(split, decode_one, side, bad_files)

    def load(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # A graph cannot catch an error, but a dataset can leave out the element that
        # raised it. The careful path costs nothing until then.
        attempt = tf.data.Dataset.from_tensors((indices, seeds))
        results = attempt.map(plain).ignore_errors(log_warning=False)
        return results.concatenate(attempt.map(careful)).take(1).get_single_element()

    return load


def _plain(
    split: EncodedSplit, decode_one: Callable[..., tf.Tensor], side: int
) -> Load:
    """The path of plain files: `(indices, seeds) -> (images, all good)`."""
    read = reader(split)

    def load(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        contents = read(indices)
        # Most files are plain, and a graph that reads no other is ready much sooner.
        plain = tf.reduce_all(decode.is_plain(contents))
        with tf.control_dependencies([decode.check(plain, 'Not all are plain')]):
            contents = tf.identity(contents)
        if split.side is None:
            images = for_each(
                functools.partial(decode_one, plain=True), contents, seeds, side
            )
        else:
            images = tf.stack(
                [
                    tf.ensure_shape(decode.decode_plain(file), [side, side, 3])
                    for file in tf.unstack(contents)
                ]
            )
        return images, tf.ones_like(indices, tf.bool)

    return load


def _careful(
    split: EncodedSplit,
    decode_one: Callable[..., tf.Tensor],
    side: int,
    bad_files: BadFiles,
) -> Load:
    """The path of any files: `(indices, seeds) -> (images, good)`; bad ones are 0."""
    # Traced once it is needed, if it is.
    decode_all = tf.function(
        lambda contents, seeds: for_each(decode_one, contents, seeds, side),
        input_signature=[tf.TensorSpec([None], t) for t in (tf.string, tf.int64)],
        autograph=False,
    )

    def decode_each(
        indices: np.ndarray, seeds: tf.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        images = np.zeros([len(indices), side, side, 3], np.uint8)
        good = np.zeros(len(indices), bool)
        for place, index in enumerate(indices):
            try:
                contents = tf.constant(split.read(index))
                images[place] = decode_all(
                    contents[tf.newaxis], seeds[place : place + 1]
                )[0]
            except (OSError, tf.errors.OpError) as error:
                reason = (
                    error.strerror or str(error)
                    if isinstance(error, OSError)
                    else why_undecodable(contents)
                )
                if reason is None:
                    raise  # The error is not about the file.
                bad_files.record(split.names[index], int(split.labels[index]), reason)
            else:
                good[place] = True
        return images, good

    def decode_any(
        indices: tf.Tensor, seeds: tf.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        with tf.device('/CPU:0'):
            try:
                contents = tf.constant([split.read(i) for i in indices.numpy()])
                return decode_all(contents, seeds).numpy(), np.ones(len(indices), bool)
            except (OSError, tf.errors.OpError):
                return decode_each(indices.numpy(), seeds)

    def load(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, good = tf.py_function(decode_any, [indices, seeds], (tf.uint8, tf.bool))
        return (
            tf.ensure_shape(images, [*indices.shape, side, side, 3]),
            tf.ensure_shape(good, indices.shape),
        )

    return load


def pixels(split: Split, index: int) -> np.ndarray:
    """An image before it is fitted, uint8 [h, w, 3].

    Raises:
        OSError: the file cannot be read.
        tf.errors.OpError: the file cannot be decoded.
    """
    image = split.read(index)
    if isinstance(image, np.ndarray):
        return image
    with tf.device('/CPU:0'):
        return decode.decode_traced(tf.constant(image)).numpy()


def why_undecodable(contents: tf.Tensor) -> str | None:
    """What is wrong with a file, on one line; None where nothing is."""
    try:
        decode.decode_traced(contents)
    except tf.errors.OpError as error:
        # A graph's error is a stack trace, an empty line, the reason, and a line of
        # nodes.
        message = re.sub(
            r'\{\{.*?\}\}|\[Op:.*?\]( name:)?|\d+ root error.*\n.*\(0\) \w+:|'
            r'assertion failed:|jpeg::Uncompress failed.| or crop window|'
            r'failed to slurp gif file:|[][]',
            '',
            error.message.split('\n\n')[-1].split('\n\t')[0],
        )
        return ' '.join(message.split()).rstrip('.')
    return None
