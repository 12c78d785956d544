"""The orientation that a camera noted in an image's EXIF data, in graph.

It is parsed inside the graph rather than when files are indexed: so it travels with the
decoder into every export, and indexing a million files need not open one of them.
"""

import tensorflow as tf

_ORIENTATION = 0x0112  # The tag (CIPA DC-008, Exif 2.32, section 4.6.4).
_SHORT = 3  # Its type.
_WEBP_HAS_EXIF = 8  # Among the flags of the extended format (RFC 9649).
_ENTRIES = 128  # Tags looked at; they are sorted, and this one is among the first.
_SEGMENTS = 64  # Segments or chunks of a file looked at before the pixels.


def orientation(contents: tf.Tensor) -> tf.Tensor:
    """1..8 as in EXIF; 1, upright, where a file has none. int32 scalar.

    Args:
        contents: a scalar string, a JPEG, PNG or WebP file; others are upright.
    """
    first = _bytes(contents, 0, 21)
    is_jpeg = tf.reduce_all(first[:2] == [0xFF, 0xD8])
    is_png = _equal(first[1:4], b'PNG')
    is_webp = (
        _equal(first[:4], b'RIFF')
        & _equal(first[8:16], b'WEBPVP8X')
        & (tf.bitwise.bitwise_and(first[20], _WEBP_HAS_EXIF) > 0)
    )
    kind = tf.where(is_jpeg, 0, tf.where(is_png, 1, tf.where(is_webp, 2, 3)))
    return _read_tag(contents, _find(contents, kind))


def upright(image: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Rotates and mirrors [h, w, 3] by its orientation, 1..8."""

    def turned() -> tf.Tensor:
        # 6, for one, is transposed and then mirrored left to right.
        axes = tf.where(value >= 5, [1, 0, 2], [0, 1, 2])
        mirrored = tf.stack(
            [
                tf.reduce_any(value == [3, 4, 7, 8]),
                tf.reduce_any(value == [2, 3, 6, 7]),
            ]
        )
        return tf.reverse(tf.transpose(image, axes), tf.boolean_mask([0, 1], mirrored))

    return tf.cond(tf.equal(value, 1), lambda: image, turned)


def _find(contents: tf.Tensor, kind: tf.Tensor) -> tf.Tensor:
    """Where the TIFF data begin in the file, or 0; walks from segment to segment.

    Args:
        kind: 0 JPEG, 1 PNG, 2 WebP, 3 anything else.
    """
    size = tf.strings.length(contents)

    def step(
        at: tf.Tensor, position: tf.Tensor, left: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        head = _bytes(contents, at, 14)
        # All three, which is less work than to choose: they are some additions.
        ways = _jpeg_segment(head, at), _png_chunk(head, at), _webp_chunk(head, at)
        payload, following, stop = (tf.stack(values)[kind] for values in zip(*ways))
        return tf.where(stop | (payload > 0), -1, following), payload, left - 1

    _, position, _ = tf.while_loop(
        lambda at, _, left: (at >= 0) & (at < size - 8) & (left > 0),
        step,
        (tf.constant([2, 8, 12, -1])[kind], tf.constant(0), tf.constant(_SEGMENTS)),
    )
    return position


def _jpeg_segment(head: tf.Tensor, at: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Where EXIF data begin, or 0; where the next segment begins; whether to stop."""
    is_metadata = (head[1] >= 0xE0) & (head[1] <= 0xEF) | (head[1] == 0xFE)
    length = head[2] * 256 + head[3]
    is_exif = (head[1] == 0xE1) & _equal(head[4:10], b'Exif\0\0') & (length > 8)
    # Decoders skip bytes that are no marker, which a few programs leave.
    is_marker = (head[0] == 0xFF) & (head[1] != 0) & (head[1] != 0xFF)
    return (
        tf.where(is_marker & is_exif, at + 10, 0),
        tf.where(is_marker, at + 2 + length, at + 1),
        is_marker & ~is_metadata,
    )


def _png_chunk(head: tf.Tensor, at: tf.Tensor) -> tuple[tf.Tensor, ...]:
    length = _number(head[:4], False)
    return (
        tf.where(_equal(head[4:8], b'eXIf'), at + 8, 0),
        at + 12 + length,
        _equal(head[4:8], b'IDAT') | (length < 0),
    )


def _webp_chunk(head: tf.Tensor, at: tf.Tensor) -> tuple[tf.Tensor, ...]:
    length = _number(head[4:8], True)
    # Some writers leave JPEG's prefix before the TIFF data.
    start = at + 8 + tf.where(_equal(head[8:14], b'Exif\0\0'), 6, 0)
    return (
        tf.where(_equal(head[:4], b'EXIF'), start, 0),
        at + 8 + length + tf.bitwise.bitwise_and(length, 1),
        length < 0,
    )


def _read_tag(contents: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of TIFF data; 1 where there is none."""
    head = _bytes(contents, start, 8)
    little = _equal(head[:4], b'II*\0')
    directory = _number(head[4:8], little)
    valid = (little | _equal(head[:4], b'MM\0*')) & (directory >= 8)
    directory = start + tf.clip_by_value(directory, 0, 2**30 - start)
    count = _number(_bytes(contents, directory, 2), little)
    entries = tf.reshape(_bytes(contents, directory + 2, 12 * _ENTRIES), [-1, 12])
    tags, values = _number(entries[:, :2], little), _number(entries[:, 8:10], little)
    is_it = (
        (tags == _ORIENTATION)
        & (_number(entries[:, 2:4], little) == _SHORT)
        & (_number(entries[:, 4:8], little) == 1)
        & (tf.range(_ENTRIES) < count)
    )
    value = tf.reduce_max(tf.where(is_it & valid & (start > 0), values, 0))
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _number(numbers: tf.Tensor, little: bool | tf.Tensor) -> tf.Tensor:
    """The number in the last axis of bytes; int32, in which four bytes wrap around."""
    powers = [(256**i + 2**31) % 2**32 - 2**31 for i in range(numbers.shape[-1])]
    return tf.reduce_sum(
        tf.where(little, numbers, tf.reverse(numbers, [-1])) * powers, -1
    )


def _bytes(contents: tf.Tensor, at: int | tf.Tensor, count: int) -> tf.Tensor:
    """`count` bytes of a scalar string, padded with zeros; int32 [count]."""
    piece = tf.strings.substr(
        contents, tf.minimum(at, tf.strings.length(contents)), count
    )
    return tf.cast(tf.io.decode_raw(piece, tf.uint8, fixed_length=count), tf.int32)


def _equal(numbers: tf.Tensor, text: bytes) -> tf.Tensor:
    return tf.reduce_all(numbers == list(text))
