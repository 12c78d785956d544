"""The pixels of an image of a split."""

import numpy as np
import tensorflow as tf

from vision.data import Split
from vision.data.decoding.decode import decode

# Traced: step by step it takes as long as a hundred images.
_decode = tf.function(
    decode, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)


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
        return _decode(tf.constant(image)).numpy()
