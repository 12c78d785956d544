"""Images of a split, one at a time, as bytes and as pixels."""

import os

import numpy as np
import tensorflow as tf

from vision.data import Split
from vision.data.decoding.decode import decode


def read(split: Split, index: int) -> bytes:
    """The encoded bytes of an image of a split of files.

    Raises OSError where the file cannot be read.
    """
    assert split.paths is not None
    descriptor = os.open(split.paths[index], os.O_RDONLY)
    try:
        if split.ranges is None:
            return _read_all(descriptor)
        offset, length = split.ranges[index].tolist()
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    with open(descriptor, 'rb', closefd=False) as file:
        return file.read()


# Traced: step by step it takes as long as a hundred images.
_decode = tf.function(
    decode, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)


def pixels(split: Split, index: int) -> np.ndarray:
    """uint8 [h, w, 3], as training sees it before it is fitted.

    Raises OSError or tf.errors.OpError where the image cannot be read.
    """
    if split.images is not None:
        return split.images[index]
    with tf.device('/CPU:0'):
        return _decode(tf.constant(read(split, index))).numpy()
