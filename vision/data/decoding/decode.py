"""From a file's bytes to a square image, in graph: the decoder of training and exports.

JPEG, PNG, GIF, BMP and WebP are recognized by content. Every kind of image becomes
RGB: grayscale and palettes are expanded, CMYK is converted, 16 bits are cut to 8, alpha
is dropped, transparent pixels of a GIF become black, and an animated GIF is its first
frame; animated WebP is refused. The image is rotated and mirrored by its EXIF
orientation, as viewers show it.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from vision.data.decoding import exif

MAX_PIXELS = 100_000_000  # 300 MB decoded; images of cameras are smaller.

_HEADER = 66  # Bytes that say what a file is, and how large the image in it.
_JPEG, _PNG, _GIF, _BMP, _WEBP = b'\xff\xd8\xff', b'\x89PNG', b'GIF8', b'BM', b'RIFF'
_MAGICS = (_JPEG, _PNG, _GIF, _BMP, _WEBP)


def decode(contents: tf.Tensor, at_least: int | None = None) -> tf.Tensor:
    """Decodes a scalar string to uint8 [h, w, 3].

    Args:
        at_least: lets a JPEG be shrunk by 2, 4 or 8 while it is decoded, as long as
            both sides keep so many pixels; that takes less time than decoding all of
            it.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are not a complete image of a kind
            that this decoder knows, with at most MAX_PIXELS.
    """
    header = _header(contents)
    kind = _kind(header)
    jpeg_shape = _jpeg_shape(contents)
    with tf.control_dependencies(_checks(header, kind, jpeg_shape)):
        contents, kind = tf.identity(contents), tf.identity(kind)
    indexed = tf.equal(kind, _MAGICS.index(_BMP)) & (_little(header, 28, 2) == 8)
    way = tf.where(kind <= 1, _power(jpeg_shape, at_least), tf.where(indexed, 4, 5))
    image = tf.switch_case(
        way,
        [
            *_by_ratios(contents),
            lambda: _decode_indexed_bmp(contents),
            # Asked for three channels, it would refuse WebP that has alpha.
            lambda: tf.io.decode_image(contents, expand_animations=False)[..., :3],
        ],
    )
    image = tf.ensure_shape(image, [None, None, 3])
    image = exif.upright(image, exif.orientation(contents))
    return tf.ensure_shape(image, [None, None, 3])


# Step by step, it takes as long as a hundred images.
decode_traced = tf.function(
    decode, input_signature=[tf.TensorSpec([], tf.string)], autograph=False
)


def decode_plain(contents: tf.Tensor, at_least: int | None = None) -> tf.Tensor:
    """Does what `decode` does, for a file for which `is_plain` holds."""
    if at_least is None:
        return _decode_by(contents, 1)
    power = _power(_jpeg_shape(contents), at_least)
    return tf.ensure_shape(tf.switch_case(power, _by_ratios(contents)), [None, None, 3])


def _power(jpeg_shape: tf.Tensor, at_least: int | None) -> tf.Tensor:
    """How often a JPEG may be halved, up to 3 times; int32 scalar."""
    times = tf.reduce_min(jpeg_shape) // (at_least or 2**30)
    return tf.reduce_sum(tf.cast(times >= [2, 4, 8], tf.int32))


def _by_ratios(contents: tf.Tensor) -> list[Callable[[], tf.Tensor]]:
    return [functools.partial(_decode_by, contents, 2**i) for i in range(4)]


def _decode_by(contents: tf.Tensor, ratio: int) -> tf.Tensor:
    """Decodes a JPEG or PNG file, not rotated; a JPEG becomes smaller by the ratio."""
    # The accurate transform is as fast as the default, and gives Pillow's image bit
    # for bit. The operation reads PNG as well.
    return tf.io.decode_jpeg(
        contents, channels=3, ratio=ratio, dct_method='INTEGER_ACCURATE'
    )


def _jpeg_shape(contents: tf.Tensor) -> tf.Tensor:
    """Height and width; int32 [2], zeros of what is no JPEG."""
    return tf.cond(
        _starts(_header(contents), _JPEG),
        lambda: tf.image.extract_jpeg_shape(contents)[:2],
        lambda: tf.zeros([2], tf.int32),
    )


def _checks(header: tf.Tensor, kind: tf.Tensor, jpeg_shape: tf.Tensor) -> list:
    """Operations that fail for files that are not to be decoded."""
    area = tf.stack(
        [
            _area(jpeg_shape[1], jpeg_shape[0]),
            _area(_big(header, 16, 4), _big(header, 20, 4)),
            _area(_little(header, 6, 2), _little(header, 8, 2)),
            _area(_little(header, 18, 4), _signed(_little(header, 22, 4))),
            _webp_area(header),
            tf.constant(0, tf.int64),
        ]
    )[kind]
    animated_webp = (header[15] == ord('X')) & (header[20] // 2 % 2 == 1)
    return [
        check(kind < len(_MAGICS), 'Not a JPEG, PNG, GIF, BMP or WebP file'),
        check(
            tf.not_equal(kind, _MAGICS.index(_BMP)) | _is_known_bmp(header),
            'Expected a BMP file of 8, 24 or 32 bits a pixel and compression 0, got',
            _little(header, 28, 2),
            'and',
            _little(header, 30, 4),
        ),
        # TensorFlow 2.21 overwrites memory that is not its own for some of these.
        check(
            tf.not_equal(kind, _MAGICS.index(_WEBP)) | ~animated_webp,
            'Expected a WebP file of one image, got an animation',
        ),
        check(area <= MAX_PIXELS, f'Expected at most {MAX_PIXELS} pixels, got', area),
    ]


def check(condition: tf.Tensor, *words: str | tf.Tensor) -> tf.Operation | None:
    """An operation that fails with these words unless the condition holds."""
    # TensorFlow's usual assertion is a conditional each, which takes long to optimize.
    return tf.raw_ops.Assert(
        condition=condition,
        data=[tf.constant(w) if isinstance(w, str) else w for w in words],
    )


def crop(
    contents: tf.Tensor, window: Callable[..., tf.Tensor], plain: bool = False
) -> tf.Tensor:
    """Decodes a window of an image; of a plain JPEG, only that; uint8 [h, w, 3].

    Args:
        window: takes the image's height and width, and returns int32 [4]: top, left,
            height and width.
        plain: whether `is_plain` holds.
    """

    def slowly() -> tf.Tensor:
        return cut(decode_plain(contents) if plain else decode(contents), window)

    def quickly() -> tf.Tensor:
        return tf.io.decode_and_crop_jpeg(
            contents,
            window(*tf.unstack(_jpeg_shape(contents))),
            channels=3,
            dct_method='INTEGER_ACCURATE',
        )

    jpeg = _starts(_header(contents), _JPEG)
    return tf.cond(jpeg if plain else jpeg & is_plain(contents), quickly, slowly)


def cut(image: tf.Tensor, window: Callable[..., tf.Tensor]) -> tf.Tensor:
    """The window of an image [h, w, 3]; see `crop`."""
    height, width, _ = tf.unstack(tf.shape(image))
    top, left, rows, columns = tf.unstack(window(height, width))
    return image[top : top + rows, left : left + columns]


def is_plain(contents: tf.Tensor) -> tf.Tensor:
    """Whether nothing but pixels can be in each file; bool, shaped like the strings.

    That is a JPEG or PNG file without metadata before the pixels, thus upright, of a
    reasonable size: looking at a few bytes of a whole batch saves parsing each file.
    """
    header = _header(contents)

    def tables(marker: tf.Tensor) -> tf.Tensor:
        return (marker >= 0xC0) & (marker < 0xE0)

    jfif = (
        (header[..., 3] == 0xE0)
        & (_big(header, 4, 2) == 16)
        & (header[..., 20] == 0xFF)
        & tables(header[..., 21])
    )
    jpeg = _starts(header, _JPEG) & (jfif | tables(header[..., 3]))
    small = (_big(header, 16, 4) < 2**13) & (_big(header, 20, 4) < 2**13)
    chunk = _big(header, 37, 4)
    pixels = (chunk == int.from_bytes(b'IDAT', 'big')) | (
        chunk == int.from_bytes(b'PLTE', 'big')
    )
    return jpeg | (_starts(header, _PNG) & small & pixels)


def _header(contents: tf.Tensor) -> tf.Tensor:
    """The first bytes of each string, padded with zeros; int64 [..., _HEADER]."""
    return tf.cast(tf.io.decode_raw(contents, tf.uint8, fixed_length=_HEADER), tf.int64)


def _kind(header: tf.Tensor) -> tf.Tensor:
    """The index in _MAGICS, or their number for anything else; int32 scalar."""
    return tf.argmax(
        tf.stack([_starts(header, magic) for magic in _MAGICS] + [True]),
        output_type=tf.int32,
    )


def _starts(header: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.reduce_all(header[..., : len(magic)] == list(magic), -1)


def _big(header: tf.Tensor, at: int, count: int) -> tf.Tensor:
    """The big-endian number in `count` bytes."""
    powers = [256**i for i in reversed(range(count))]
    return tf.reduce_sum(
        header[..., at : at + count] * tf.constant(powers, tf.int64), -1
    )


def _little(header: tf.Tensor, at: int, count: int) -> tf.Tensor:
    """The little-endian number in `count` bytes."""
    powers = [256**i for i in range(count)]
    return tf.reduce_sum(
        header[..., at : at + count] * tf.constant(powers, tf.int64), -1
    )


def _signed(number: tf.Tensor) -> tf.Tensor:
    return tf.where(number < 2**31, number, number - 2**32)


def _area(width: tf.Tensor, height: tf.Tensor) -> tf.Tensor:
    # In float, since the product of two hostile sizes overflows an int64.
    area = tf.abs(tf.cast(width, tf.float64) * tf.cast(height, tf.float64))
    return tf.cast(tf.minimum(area, 2.0**62), tf.int64)


def _webp_area(header: tf.Tensor) -> tf.Tensor:
    """WebP has three layouts, recognized by their first chunk (RFC 9649)."""
    lossy = _area(_little(header, 26, 2) % 2**14, _little(header, 28, 2) % 2**14)
    bits = _little(header, 21, 4)
    lossless = _area(bits % 2**14 + 1, bits // 2**14 % 2**14 + 1)
    extended = _area(_little(header, 24, 3) + 1, _little(header, 27, 3) + 1)
    fourth = header[15]
    return tf.where(
        fourth == ord('X'), extended, tf.where(fourth == ord('L'), lossless, lossy)
    )


def _is_known_bmp(header: tf.Tensor) -> tf.Tensor:
    """Whether TensorFlow reads it right: else, it guesses sizes or swaps colours."""
    bits, compression = _little(header, 28, 2), _little(header, 30, 4)
    masks = [0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0]  # The usual blue, green, red.
    usual = (compression == 3) & (bits == 32) & tf.reduce_all(header[54:66] == masks)
    return (
        (_little(header, 14, 4) >= 40)
        & ((compression == 0) | usual)
        & ((bits == 8) | (bits == 24) | (bits == 32))
    )


def _decode_indexed_bmp(contents: tf.Tensor) -> tf.Tensor:
    """Looks up the palette, which TensorFlow's decoder leaves out."""
    header = _header(contents)
    start = tf.cast(14 + _little(header, 14, 4), tf.int32)
    indices = tf.io.decode_bmp(contents)[..., 0]
    used = tf.cast(tf.reduce_max(indices), tf.int32) + 1
    room = tf.cast(_little(header, 10, 4), tf.int32) - start
    enough = check(
        (start > 14) & (4 * used <= room), 'Expected a BMP palette of', used, 'colours'
    )
    with tf.control_dependencies([enough]):
        palette = tf.strings.substr(contents, start, 4 * used)
    palette = tf.reshape(tf.io.decode_raw(palette, tf.uint8), [-1, 4])
    return tf.gather(palette[:, 2::-1], tf.cast(indices, tf.int32))


def fit(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes the largest centred square of [..., h, w, 3] to [..., size, size, 3].

    Values are 0..255, uint8 or float32, and keep their dtype. An image that has the
    size already is returned unchanged.
    """
    if image.shape[-3:] == [size, size, 3]:
        return image
    shape = tf.shape(image)[-3:-1]
    # A conditional costs 10 us, also where the shape is known and nothing is saved; the
    # resizing that it saves elsewhere costs ten times that.
    fitted = tf.cond(
        tf.reduce_all(shape == size),
        lambda: image,
        lambda: _centre(image, shape, size),
    )
    return tf.ensure_shape(fitted, [*image.shape[:-3], size, size, 3])


def _centre(image: tf.Tensor, shape: tf.Tensor, size: int) -> tf.Tensor:
    side = tf.reduce_min(shape)
    top, left = tf.unstack((shape - side) // 2)
    return resize(image[..., top : top + side, left : left + side, :], size)


def resize(image: tf.Tensor, size: int) -> tf.Tensor:
    """Resizes [..., h, w, 3] to [..., size, size, 3], bilinearly; keeps the dtype."""
    # Bilinear reads 2 x 2 pixels, so it skips none until it shrinks more than twofold.
    # Antialiasing takes several times as long, so it is for what shrinks more.
    resized = functools.partial(tf.image.resize, image, [size, size])
    if image.shape[-3:].is_fully_defined():
        result = resized(antialias=max(image.shape[-3:-1]) > 2 * size)
    else:
        result = tf.cond(
            tf.reduce_max(tf.shape(image)[-3:-1]) > 2 * size,
            lambda: resized(antialias=True),
            lambda: resized(antialias=False),
        )
    return to_uint8(result) if image.dtype == tf.uint8 else result


def to_uint8(image: tf.Tensor) -> tf.Tensor:
    """Rounds and clips to 0..255; uint8 of the same shape."""
    return tf.saturate_cast(tf.round(image), tf.uint8)
