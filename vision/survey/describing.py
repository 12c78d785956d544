"""The description of one image: its header by Pillow, its pixels by TensorFlow."""

import hashlib
import io
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import imagehash
import numpy as np
import tensorflow as tf
from PIL import ExifTags, Image

from vision.data import ArraySplit, Split
from vision.data.decoding import decode
from vision.data.fetch import reader, why_undecodable
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
    read = reader(split)

    def load(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        contents = read(index[tf.newaxis])[0]
        if isinstance(split, ArraySplit):
            return index, tf.constant(b''), contents, decode.fit(contents, image_size)
        plain = decode.check(decode.is_plain(contents), 'Not a plain file')
        with tf.control_dependencies([plain]):
            image = decode.decode_plain(contents)
        return index, contents, image, decode.fit(image, image_size)

    with tf.device('/CPU:0'):
        dataset = (
            tf.data.Dataset.from_tensor_slices(indices)
            .map(tf.autograph.experimental.do_not_convert(load), tf.data.AUTOTUNE)
            .ignore_errors(log_warning=False)
        )
    for element in dataset.as_numpy_iterator():
        yield Decoded(*element)


def describe(image: Decoded, facts: np.ndarray, thumbnail: np.ndarray) -> str:
    """Fills in the facts and the thumbnail of an image that can be decoded.

    Args:
        image: decoded by TensorFlow.
        facts: a view of one element of FACTS, so that what is written is kept.
        thumbnail: uint8 [12, 12, 3].

    Returns:
        Why Pillow refuses the file, or ''.
    """
    pixels = image.pixels
    facts['good'] = True
    facts['height'], facts['width'] = pixels.shape[:2]
    facts['pixel_digest'] = _digest(pixels, str(pixels.shape).encode())
    flat = image.fitted.reshape(-1, 3).astype(np.float64)
    facts['means'] = np.ones(len(flat)) @ flat / len(flat)
    facts['squares'] = np.einsum('ij,ij->j', flat, flat) / len(flat)
    whole = Image.fromarray(pixels)
    shares = np.array(whole.convert('L').histogram()) / (whole.width * whole.height)
    mean = float(shares @ _LEVELS)
    variance = float(shares @ np.square(_LEVELS)) - mean**2
    facts['brightness'], facts['contrast'] = mean, math.sqrt(max(variance, 0.0))
    # Two hues can have the same luminance; comparing all pixels takes longer.
    if facts['contrast'] < 0.02:
        facts['single_colour'] = bool(np.ptp(pixels, axis=(0, 1)).max() <= 2)
    small = whole.resize((_HASHED, _HASHED), Image.Resampling.LANCZOS, reducing_gap=3)
    facts['hash'] = np.packbits(imagehash.phash(small).hash).view(np.uint64)[0]
    thumbnail[:] = np.asarray(
        small.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    )
    if image.contents:
        return _describe_bytes(image.contents, facts)
    facts['mode'] = b'RGB'
    return ''


def describe_file(
    split: EncodedSplit,
    index: int,
    image_size: int,
    facts: np.ndarray,
    thumbnail: np.ndarray,
) -> str:
    """Does what `describe` does, for a file of any kind, also a damaged one.

    Returns:
        Why TensorFlow cannot decode the file, or else why Pillow refuses it, or ''.
    """
    with tf.device('/CPU:0'):
        try:
            contents = split.read(index)
            image = decode.decode_traced(tf.constant(contents))
        except OSError as error:
            return str(error.strerror or error)
        except tf.errors.OpError:
            pillow = (
                _describe_bytes(contents, facts)
                or f'opens it as {facts["format"].item().decode()}'
            )
            return f'{why_undecodable(tf.constant(contents))}; Pillow: {pillow}'
        fitted = decode.fit(image, image_size)
    return describe(
        Decoded(index, contents, image.numpy(), fitted.numpy()), facts, thumbnail
    )


def _describe_bytes(contents: bytes, facts: np.ndarray) -> str:
    """Fills in the facts of the file; returns why Pillow refuses it, or ''."""
    facts['file_digest'] = _digest(contents)
    try:
        with Image.open(io.BytesIO(contents)) as image:
            facts['format'] = (image.format or '').encode()
            facts['mode'] = image.mode.encode()
            if 'exif' in image.info:
                orientation = image.getexif().get(ExifTags.Base.Orientation, 0)
                facts['orientation'] = orientation if orientation in range(9) else 0
            # Counting frames means reading on, so only where several are common.
            if image.format in ('GIF', 'WEBP', 'PNG'):
                facts['animated'] = getattr(image, 'is_animated', False)
    except Exception as error:  # Pillow's plugins raise exceptions of any type.
        words = re.sub(r'<_io\.BytesIO.*?>', '', str(error)).split()
        return ' '.join(words) or type(error).__name__
    # Pillow opens these as if they had 8 bits.
    if facts['format'] == b'PNG' and contents[24] == 16 and b'16' not in facts['mode']:
        facts['mode'] += b';16'
    return ''


def _digest(contents: Any, prefix: bytes = b'') -> int:
    digest = hashlib.blake2b(prefix, digest_size=8)
    digest.update(contents)
    return int.from_bytes(digest.digest(), 'little')
