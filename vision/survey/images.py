"""Images of a split, one at a time: as bytes, as pixels, and at the size to show."""

import os

import numpy as np
import tensorflow as tf
from PIL import Image

from vision.data import Split
from vision.data.decoding.decode import decode

SIDE = 144  # Pixels: two of them fit beside each other on a phone.


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


def thumbnail(split: Split, index: int, side: int = SIDE) -> Image.Image:
    """The whole image, shrunk to fit a square of this side, never enlarged."""
    image = Image.fromarray(pixels(split, index))
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
    return image


def tile(split: Split, index: int, side: int = SIDE) -> np.ndarray:
    """The whole image in the middle of a white square, uint8 [side, side, 3]."""
    image = thumbnail(split, index, side)
    # Whole pixels are repeated, so that small images stay what they are.
    factor = side // max(image.size)
    image = image.resize(
        (image.width * factor, image.height * factor), Image.Resampling.NEAREST
    )
    square = blank(side)
    top, left = (side - image.height) // 2, (side - image.width) // 2
    square[top : top + image.height, left : left + image.width] = np.asarray(image)
    return square


def blank(side: int = SIDE) -> np.ndarray:
    """White pixels, uint8 [side, side, 3]."""
    return np.full([side, side, 3], 255, np.uint8)
