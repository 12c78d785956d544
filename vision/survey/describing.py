"""The description of one image: its header by Pillow, its pixels by TensorFlow."""

import functools
import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import imagehash
import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image

from vision.data import ArraySplit, FileSplit, Split
from vision.data.decoding import decode
from vision.data.fetch import on_host, why_undecodable
from vision.data.source import EncodedSplit

THUMBNAIL = 12  # Pixels a side of what is kept of each image: 432 bytes.
_HASHED = 32  # Pixels a side that the perceptual hash is made from.
_LEVELS = np.arange(256) / 255

# A few bytes an image, so that a million of them need no more than a few hundred MB.
FACTS = np.dtype(
    [
        ('good', np.bool_),  # TensorFlow decodes it; sizes and pixels are 0 otherwise.
        ('height', np.int32),
        ('width', np.int32),
        ('format', 'S8'),  # Pillow's name; empty in memory and where it is refused.
        ('mode', 'S8'),
        ('orientation', np.uint8),  # As in EXIF: 1 is upright, 0 not said.
        ('animated', np.bool_),
        ('single_colour', np.bool_),
        # Mean and standard deviation of luminance, in 0..1.
        ('brightness', np.float32),
        ('contrast', np.float32),
        # Of each channel and its square, in 0..255, of the image fitted to the size.
        ('means', np.float64, 3),
        ('squares', np.float64, 3),
        # 64 bits: a million images agree in one pair in 1 of 37 million datasets.
        ('file_digest', np.uint64),  # 0 where there are no bytes.
        ('pixel_digest', np.uint64),
        ('hash', np.uint64),  # Perceptual.
    ]
)


class Description(NamedTuple):
    """The row of an image in a Survey, which explains the attributes."""

    facts: np.void
    thumbnail: np.ndarray
    undecodable: str = ''
    refused: str = ''


class Decoded(NamedTuple):
    """An image of a split: uint8 [h, w, 3], and fitted to the image size."""

    place: int
    contents: bytes  # Empty in memory.
    pixels: np.ndarray
    fitted: np.ndarray


def decoded(split: Split, indices: np.ndarray, image_size: int) -> Iterator[Decoded]:
    """Decodes images of a split, several at a time, in their order.

    Leaves out files that are not plain, and bad ones: `describe_file` is for these.
    """
    # Shared by all calls; functions in Python are called one after the other.
    images = on_host(split.images) if isinstance(split, ArraySplit) else None
    paths = None
    if isinstance(split, FileSplit):
        paths = on_host([os.fsencode(path) for path in split.paths])

    def load(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        if images is not None:
            image = images[index]
            return index, tf.constant(b''), image, decode.fit(image, image_size)
        if paths is not None:
            contents = tf.io.read_file(paths[index])
        else:
            contents = tf.numpy_function(split.read, [index], tf.string)
            contents = tf.ensure_shape(contents, [])
        plain = decode.check(decode.is_plain(contents), 'Not a plain file')
        with tf.control_dependencies([plain]):
            image = decode.decode_plain(contents)
        return index, contents, image, decode.fit(image, image_size)

    with tf.device('/CPU:0'):
        dataset = tf.data.Dataset.from_tensor_slices(indices)
        dataset = dataset.map(
            tf.autograph.experimental.do_not_convert(load), tf.data.AUTOTUNE
        )
        dataset = dataset.ignore_errors(log_warning=False)
    for element in dataset.as_numpy_iterator():
        yield Decoded(*element)


@functools.cache  # Tracing takes longer than a hundred images.
def _decoder(image_size: int) -> Callable:
    """Makes `contents -> (image uint8 [h, w, 3], fitted to the size)`."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)], autograph=False)
    def decode_and_fit(contents: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image = decode.decode(contents)
        return image, decode.fit(image, image_size)

    return decode_and_fit


def describe(image: Decoded) -> Description:
    """Describes an image that can be decoded."""
    facts = np.zeros(1, FACTS)[0]
    refused = ''
    if image.contents:
        facts['file_digest'] = _digest(image.contents)
        refused = _describe_header(facts, image.contents)
    else:
        facts['mode'] = b'RGB'
    thumbnail = _describe_pixels(facts, image.pixels, image.fitted)
    return Description(facts, thumbnail, refused=refused)


def describe_file(split: EncodedSplit, index: int, image_size: int) -> Description:
    """Describes a file of any kind, also a damaged one."""
    facts = np.zeros(1, FACTS)[0]
    nothing = np.zeros([THUMBNAIL, THUMBNAIL, 3], np.uint8)
    try:
        contents = split.read(index)
    except OSError as error:
        return Description(facts, nothing, str(error.strerror or error))
    try:
        with tf.device('/CPU:0'):
            image, fitted = _decoder(image_size)(tf.constant(contents))
    except tf.errors.OpError:
        facts['file_digest'] = _digest(contents)
        refused = _describe_header(facts, contents)
        return Description(facts, nothing, _undecodable(contents, facts, refused))
    return describe(Decoded(index, contents, image.numpy(), fitted.numpy()))


def _describe_header(facts: np.void, contents: bytes) -> str:
    """Fills in the facts of the header; returns why Pillow refuses it, or ''."""
    try:
        with Image.open(io.BytesIO(contents)) as image:
            facts['format'] = (image.format or '').encode()
            facts['mode'] = image.mode.encode()
            if 'exif' in image.info:
                facts['orientation'] = _orientation(image)
            # Counting frames means reading on, so only where several are common.
            if image.format in ('GIF', 'WEBP', 'PNG'):
                facts['animated'] = getattr(image, 'is_animated', False)
    except Exception as error:  # Pillow's plugins raise exceptions of any type.
        return _one_line(str(error)) or type(error).__name__
    # Pillow opens these as if they had 8 bits.
    if facts['format'] == b'PNG' and contents[24] == 16 and b'16' not in facts['mode']:
        facts['mode'] += b';16'
    return ''


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ExifTags.Base.Orientation, 0)
    return value if value in range(9) else 0


def _describe_pixels(
    facts: np.void, pixels: np.ndarray, fitted: np.ndarray
) -> np.ndarray:
    """Fills in the facts of the pixels; returns the thumbnail, uint8 [12, 12, 3]."""
    facts['good'] = True
    facts['height'], facts['width'] = pixels.shape[:2]
    facts['pixel_digest'] = _digest(str(pixels.shape).encode(), pixels)
    flat = fitted.reshape(-1, 3).astype(np.float64)
    facts['means'] = np.ones(len(flat)) @ flat / len(flat)
    facts['squares'] = np.einsum('ij,ij->j', flat, flat) / len(flat)
    image = Image.fromarray(pixels)
    grey = image.convert('L')
    facts['brightness'], facts['contrast'] = _luminance(grey)
    # Two hues can have the same luminance; comparing all pixels takes longer.
    if facts['contrast'] < 0.02:
        facts['single_colour'] = bool(np.ptp(pixels, axis=(0, 1)).max() <= 2)
    small = image.resize((_HASHED, _HASHED), Image.Resampling.LANCZOS, reducing_gap=3)
    bits = imagehash.phash(small).hash
    facts['hash'] = np.packbits(bits).view(np.uint64)[0]
    return np.asarray(small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))


def _luminance(grey: Image.Image) -> tuple[float, float]:
    """The mean and the standard deviation, in 0..1."""
    shares = np.array(grey.histogram()) / (grey.width * grey.height)
    mean = float(shares @ _LEVELS)
    variance = float(shares @ np.square(_LEVELS)) - mean**2
    return mean, math.sqrt(max(variance, 0.0))


def _digest(*parts) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return int.from_bytes(digest.digest(), 'little')


def _undecodable(contents: bytes, facts: np.void, refused: str) -> str:
    """The reasons of TensorFlow and of Pillow."""
    with tf.device('/CPU:0'):
        words = why_undecodable(tf.constant(contents))
    pillow = refused or f'opens it as {facts["format"].decode()}'
    return f'{words}; Pillow: {pillow}'


def _one_line(words: str) -> str:
    return ' '.join(re.sub(r'<_io\.BytesIO.*?>', '', words).split())
