"""Getting the images of one batch, from memory or from files that may be bad."""

import functools
import os
import re
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from vision.data.augment import Augmenter
from vision.data.decoding import decode
from vision.data.decoding.bad_files import BadFiles
from vision.data.source import Split

# Batches of images, sample_weights float32 [B], and shares float32 [B] or None.
Fetched = tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]
# (indices int64 [B], seeds int64 [B]) -> images uint8 [B, S, S, 3] and the rest.
Fetch = Callable[[tf.Tensor, tf.Tensor], Fetched]
# (indices, seeds) -> images uint8 [B, h, w, 3], sample weights or which are good, [B].
Load = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


def fetcher(split: Split, augmenter: Augmenter, bad_files: BadFiles) -> Fetch:
    """Makes the function that gets images of a batch, augmented, and sample weights.

    Undecodable files get the weight 0 and are recorded in bad_files.
    """
    whole = split.side is not None and augmenter.takes(split.side)
    if split.images is not None:
        load = _from_memory(split, augmenter, whole)
    else:
        load = _from_files(split, augmenter, whole, bad_files)

    def fetch(indices: tf.Tensor, seeds: tf.Tensor) -> Fetched:
        images, sample_weights = load(indices, seeds)
        images, shares = augmenter(images, seeds, sample_weights, prepared=not whole)
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


def _from_memory(split: Split, augmenter: Augmenter, whole: bool) -> Load:
    assert split.images is not None
    stored, sample_weights = on_host(split.images), on_host(split.sample_weights)

    def load(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images = _prepare(tf.gather(stored, indices), seeds, augmenter, whole)
        return images, tf.gather(sample_weights, indices)

    return load


def _from_files(
    split: Split, augmenter: Augmenter, whole: bool, bad_files: BadFiles
) -> Load:
    read, sample_weights = _reader(split), on_host(split.sample_weights)
    side = split.side or augmenter.size

    def decode_one(
        contents: tf.Tensor, seed: tf.Tensor, plain: bool = False
    ) -> tf.Tensor:
        """One image, [side, side, 3], of a file of any kind, or of a plain one."""
        if split.side is None:
            return augmenter.prepare_contents(contents, seed, plain)
        return decode.fit(decode.decode(contents), side)

    def decode_plain(indices: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
        contents = read(indices)
        # Most files are plain, and a graph that reads no other is ready much sooner.
        plain = tf.reduce_all(decode.is_plain(contents))
        with tf.control_dependencies([decode.check(plain, 'Not all are plain')]):
            contents = tf.identity(contents)
        if split.side is not None:
            return _decode_all(contents, side)
        return _each(functools.partial(decode_one, plain=True), contents, seeds, side)

    def fast(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return decode_plain(indices, seeds), tf.ones_like(indices, tf.bool)

    careful = _substituting(split, decode_one, side, bad_files)
    load_images = _first_that_works(fast, careful)

    def load(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, good = load_images(indices, seeds)
        if split.side is not None:
            images = _prepare(images, seeds, augmenter, whole)
        return images, tf.where(good, tf.gather(sample_weights, indices), 0.0)

    return load


def _reader(split: Split) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes `indices -> contents`, both [B]."""
    if split.ranges is None:
        assert split.paths is not None
        paths = on_host([os.fsencode(path) for path in split.paths])

        def read(indices: tf.Tensor) -> tf.Tensor:
            # Written out, not a loop: TensorFlow's costs as much as the reading.
            return tf.stack(
                [
                    tf.io.read_file(path)
                    for path in tf.unstack(tf.gather(paths, indices))
                ]
            )

        return read

    def read_ranges(indices: np.ndarray) -> np.ndarray:
        return np.array([_read(split, index) for index in indices], object)

    return lambda indices: tf.ensure_shape(
        tf.numpy_function(read_ranges, [indices], tf.string), indices.shape
    )


def _read(split: Split, index: int) -> bytes:
    """The bytes of an encoded image.

    Raises OSError.
    """
    assert split.paths is not None
    if split.ranges is None:
        with open(split.paths[index], 'rb') as file:
            return file.read()
    file_descriptor = os.open(split.paths[index], os.O_RDONLY)
    try:
        offset, length = split.ranges[index]
        return os.pread(file_descriptor, length, offset)
    finally:
        os.close(file_descriptor)


def _decode_all(contents: tf.Tensor, side: int) -> tf.Tensor:
    """Decodes plain files of images of that side; uint8 [B, side, side, 3]."""
    images = [decode.decode_plain(file) for file in tf.unstack(contents)]
    return tf.stack([tf.ensure_shape(image, [side, side, 3]) for image in images])


def _prepare(
    images: tf.Tensor, seeds: tf.Tensor, augmenter: Augmenter, whole: bool
) -> tf.Tensor:
    """Crops or fits uint8 [B, h, w, 3], unless whole batches will do as they are."""
    if whole:
        return images
    if not augmenter.crops:
        return decode.fit(images, augmenter.size)
    return _each(augmenter.prepare, images, seeds, augmenter.size)


def _first_that_works(fast: Load, careful: Load) -> Load:
    """The function that does what fast does, or careful where an operation in it fails.

    A graph cannot catch an error, but a dataset can leave out the element that
    raised it. The careful way costs nothing until then.
    """

    def load(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        attempt = tf.data.Dataset.from_tensors((indices, seeds))
        results = attempt.map(fast).ignore_errors(log_warning=False)
        results = results.concatenate(attempt.map(careful)).take(1)
        return results.get_single_element()

    return load


def _substituting(
    split: Split, decode_one: Callable, side: int, bad_files: BadFiles
) -> Load:
    """Makes `(indices, seeds) -> (images, good)`; a bad file's image is black."""
    # Traced once they are needed, if they are.
    one = tf.function(decode_one, autograph=False)
    all_of = tf.function(
        lambda contents, seeds: _each(decode_one, contents, seeds, side),
        autograph=False,
        reduce_retracing=True,
    )

    def get(index: int, seed: tf.Tensor) -> np.ndarray | None:
        try:
            contents = tf.constant(_read(split, index))
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            try:
                return one(contents, seed).numpy()
            except tf.errors.OpError:
                found = why_undecodable(contents)
                if found is None:
                    raise  # The file is not to blame.
                reason = found
        bad_files.record(split.names[index], int(split.labels[index]), reason)
        return None

    def get_one_by_one(
        indices: np.ndarray, seeds: tf.Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        images = np.zeros([len(indices), side, side, 3], np.uint8)
        good = np.zeros(len(indices), bool)
        for place, (index, seed) in enumerate(zip(indices, seeds)):
            image = get(index, seed)
            if image is not None:
                images[place], good[place] = image, True
        return images, good

    def get_all(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[np.ndarray, np.ndarray]:
        with tf.device('/CPU:0'):
            try:
                contents = tf.constant([_read(split, i) for i in indices.numpy()])
                return all_of(contents, seeds).numpy(), np.ones(len(indices), bool)
            except (OSError, tf.errors.OpError):
                return get_one_by_one(indices.numpy(), seeds)

    def careful(indices: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, good = tf.py_function(get_all, [indices, seeds], (tf.uint8, tf.bool))
        return (
            tf.ensure_shape(images, [*indices.shape, side, side, 3]),
            tf.ensure_shape(good, indices.shape),
        )

    return careful


_decode_alone = tf.function(decode.decode, autograph=False)


def why_undecodable(contents: tf.Tensor) -> str | None:
    """What is wrong with a file, on one line; None where nothing is."""
    try:
        _decode_alone(contents)
    except tf.errors.OpError as error:
        # A graph's error is a stack trace, an empty line, the reason, and a line of
        # nodes.
        message = error.message.split('\n\n')[-1].split('\n\t')[0]
        message = re.sub(
            r'\{\{.*?\}\}|\[Op:.*?\]( name:)?|\d+ root error.*\n.*\(0\) \w+:|'
            r'assertion failed:|jpeg::Uncompress failed.| or crop window|'
            r'failed to slurp gif file:|[][]',
            '',
            message,
        )
        return ' '.join(message.split()).rstrip('.')
    return None


def _each(
    function: Callable, images: tf.Tensor, seeds: tf.Tensor, size: int
) -> tf.Tensor:
    """Applies a function to each example of a batch; uint8 [B, size, size, 3]."""
    # One after the other: the batches run in parallel, that is cheaper, and only one
    # large image a batch is in memory.
    return tf.map_fn(
        lambda args: function(*args),
        (images, seeds),
        parallel_iterations=1,
        fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
    )
