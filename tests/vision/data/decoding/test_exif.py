import io
import struct
import warnings
import zlib

import numpy as np
import PIL
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vision.data.decoding import exif
from vision.data.decoding.decode import decode, is_plain

SIGNATURE = [tf.TensorSpec([], tf.string)]
_decode = tf.function(decode, SIGNATURE, autograph=False)
_facts = tf.function(
    lambda contents: (exif.orientation(contents), is_plain(contents)),
    SIGNATURE,
    autograph=False,
)


def _orientation(contents: bytes) -> int:
    value, plain = _facts(contents)
    assert value == 1 or not plain
    return int(value)


def _pillow(contents: bytes) -> np.ndarray | None:
    """The upright image, or None where Pillow gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            image = Image.open(io.BytesIO(contents))
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
        except Exception:  # It has many kinds.
            return None


def _assert_as_pillow(contents: bytes, value: int):
    assert _orientation(contents) == value
    image, expected = _decode(contents), _pillow(contents)
    assert expected is not None or value == 1
    if expected is not None:
        np.testing.assert_array_equal(image, expected)


def _saved(kind: str, **options) -> bytes:
    image = np.random.default_rng(1).integers(0, 256, [6, 10, 3], np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def _tiff(value: int, order: str = '<', offset: int = 8) -> bytes:
    """TIFF data of one directory: width, orientation, height."""
    data = (b'II' if order == '<' else b'MM') + struct.pack(order + 'HI', 42, offset)
    data += bytes(offset - 8) + struct.pack(order + 'H', 3)
    for tag, number in ((0x100, 10), (0x112, value), (0x115, 3)):
        data += struct.pack(order + 'HHIHH', tag, 3, 1, number, 0)
    return data + bytes(4)


def _segment(marker: int, payload: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack('>H', len(payload) + 2) + payload


def _exif(tiff: bytes) -> bytes:
    return _segment(0xE1, b'Exif\0\0' + tiff)


def _jpeg(*segments: bytes) -> bytes:
    """A JPEG whose first segments, where JFIF's would be, are these."""
    plain = _saved('JPEG')
    return plain[:2] + b''.join(segments) + plain[20:]


def _png(*chunks: bytes) -> bytes:
    plain = _saved('PNG')
    return plain[:33] + b''.join(chunks) + plain[33:]


def _chunk(name: bytes, payload: bytes) -> bytes:
    checksum = struct.pack('>I', zlib.crc32(name + payload))
    return struct.pack('>I', len(payload)) + name + payload + checksum


def _webp(*chunks: bytes, flags: int = 8) -> bytes:
    """A WebP file in the extended format, with these chunks behind the pixels."""
    pixels = _saved('WEBP', lossless=True)[12:]
    size = struct.pack('<I', 9)[:3] + struct.pack('<I', 5)[:3]
    extended = b'VP8X' + struct.pack('<II', 10, flags) + size
    content = b'WEBP' + extended + pixels + b''.join(chunks)
    return b'RIFF' + struct.pack('<I', len(content)) + content


def _webp_chunk(name: bytes, payload: bytes) -> bytes:
    return name + struct.pack('<I', len(payload)) + payload + bytes(len(payload) % 2)


# Each puts TIFF data into a file.
CONTAINERS = {
    'jpeg': lambda tiff: _jpeg(_exif(tiff)),
    'png': lambda tiff: _png(_chunk(b'eXIf', tiff)),
    'webp': lambda tiff: _webp(_webp_chunk(b'EXIF', tiff)),
    'webp, prefixed': lambda tiff: _webp(_webp_chunk(b'EXIF', b'Exif\0\0' + tiff)),
}
JFIF = _saved('JPEG')[2:20]


@pytest.mark.parametrize('value', range(1, 9))
@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'WEBP'])
def test_what_pillow_writes_is_turned_as_pillow_turns_it(kind, value):
    tags = Image.Exif()
    tags[0x112] = value
    options = {'lossless': True} if kind == 'WEBP' else {}
    _assert_as_pillow(_saved(kind, exif=tags, **options), value)


@pytest.mark.parametrize('container', CONTAINERS.values(), ids=CONTAINERS)
def test_either_byte_order_and_any_place_of_the_directory_will_do(container):
    for order in '<>':
        for offset in (8, 9, 26, 1000):
            _assert_as_pillow(container(_tiff(6, order, offset)), 6)


@pytest.mark.parametrize(
    'before',
    [
        [JFIF],
        [
            JFIF,
            *(
                _segment(0xE2, b'ICC_PROFILE\0' + bytes([i, 3]) + b'\xff' * 60_000)
                for i in (1, 2, 3)
            ),
        ],
        [JFIF, _segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>')],
        [JFIF, _segment(0xFE, b'a comment')],
        [JFIF, bytes(16)],
        [JFIF, b'\xff\xff\xff'],
    ],
    ids=['JFIF', 'ICC', 'XMP', 'comment', 'stray', 'fill'],
)
def test_exif_is_found_behind_other_metadata(before):
    for value in (3, 8):
        _assert_as_pillow(_jpeg(*before, _exif(_tiff(value))), value)


def test_exif_is_found_behind_other_chunks():
    text = _chunk(b'tEXt', b'Comment\0' + b'x' * 70_000)
    _assert_as_pillow(_png(text, text, _chunk(b'eXIf', _tiff(5))), 5)
    odd = _webp_chunk(b'ABCD', b'xyz')
    _assert_as_pillow(_webp(odd, _webp_chunk(b'EXIF', _tiff(5))), 5)


@pytest.mark.parametrize('container', CONTAINERS.values(), ids=CONTAINERS)
@pytest.mark.parametrize('value', [0, 9, 255, 262, 65535])
def test_a_value_that_is_none_means_upright(container, value):
    for order in '<>':
        _assert_as_pillow(container(_tiff(value, order)), 1)


@pytest.mark.parametrize('container', CONTAINERS.values(), ids=CONTAINERS)
def test_exif_without_an_orientation_means_upright(container):
    tiff = _tiff(6)
    for data in (
        b'',
        b'II*\0',
        tiff[:-20],
        b'II*\0' + b'\xff' * 4 + tiff[8:],
        tiff[:4] + struct.pack('<I', 10**6) + tiff[8:],
        tiff[:4] + struct.pack('<I', 2**31 - 1) + tiff[8:],
        tiff.replace(b'\x12\x01', b'\x11\x01'),
        b'XX' + tiff[2:],
    ):
        _assert_as_pillow(container(data), 1)


def test_a_webp_file_that_denies_having_exif_is_upright():
    _assert_as_pillow(_webp(_webp_chunk(b'EXIF', _tiff(6)), flags=0), 1)


def test_absurd_lengths_neither_hang_nor_crash():
    inside = _exif(_tiff(6))
    absurd = [_jpeg(inside[:2] + length + inside[4:]) for length in (b'\0\0', b'\0\1')]
    absurd += [_jpeg(JFIF[:2] + b'\0\0' + JFIF[4:], JFIF)]
    for length in (2**32 - 1, 2**31, 2**31 - 1, 2**31 - 20):
        absurd += [_webp(b'ABCD' + struct.pack('<I', length), b'EXIF' + _tiff(6))]
    for length in (2**32 - 1, 2**31 - 1):  # PNG takes a second for what may be true.
        absurd += [_png(struct.pack('>I', length) + b'tEXt', _chunk(b'eXIf', _tiff(6)))]
    absurd += [_jpeg(JFIF, _segment(0xFE, b'') * 5_000)]
    absurd += [b'', b'\xff', b'\xff\xd8', b'\x89PNG', b'RIFF', b'RIFF0000WEBPVP8X']
    for contents in absurd:
        assert _orientation(contents) == 1
        try:
            _decode(contents)
        except tf.errors.InvalidArgumentError:
            pass


def _mutated(data: bytes, seed: int) -> bytes:
    """One to three of the first 200 bytes made random."""
    rng = np.random.default_rng(seed)
    mutated = np.frombuffer(data, np.uint8).copy()
    at = rng.integers(0, min(200, len(mutated)), rng.integers(1, 4))
    mutated[at] = rng.integers(0, 256, len(at))
    return mutated.tobytes()


@pytest.mark.parametrize('container', CONTAINERS.values(), ids=CONTAINERS)
def test_mutated_files_are_refused_or_read_as_pillow_reads_them(container):
    outcomes = []
    for seed in range(60):
        contents = _mutated(container(_tiff(6)), seed)
        _orientation(contents)
        expected = _pillow(contents)
        try:
            image = _decode(contents)
        except tf.errors.InvalidArgumentError:
            outcomes.append('refused')
            continue
        outcomes.append('read')
        assert expected is None or image.shape == expected.shape, seed
    assert set(outcomes) == {'refused', 'read'}


@pytest.mark.parametrize('container', CONTAINERS.values(), ids=CONTAINERS)
def test_mutated_exif_is_read_as_pillow_reads_it(container):
    shapes = []
    for seed in range(60):
        contents = container(_mutated(_tiff(6, '<>'[seed % 2]), seed))
        image, expected = _decode(contents), _pillow(contents)
        shapes.append(image.shape[:2])
        # Before version 13, Pillow ignored all that follows an entry without its data.
        if int(PIL.__version__.split('.')[0]) >= 13:
            assert expected is None or image.shape == expected.shape, seed
    assert {(6, 10), (10, 6)} == set(map(tuple, shapes))


CONTAINER = st.sampled_from(list(CONTAINERS.values()))


@given(
    CONTAINER,
    st.one_of(st.integers(0, 9), st.integers(0, 65535)),
    st.sampled_from('<>'),
    st.integers(8, 300),
)
def test_any_value_is_read_as_pillow_reads_it(container, value, order, offset):
    expected = value if 1 <= value <= 8 else 1
    _assert_as_pillow(container(_tiff(value, order, offset)), expected)


@given(CONTAINER, st.integers(2, 8), st.sampled_from('<>'), st.data())
def test_exif_that_breaks_off_is_read_or_means_upright(container, value, order, data):
    tiff = _tiff(value, order)
    cut = tiff[: data.draw(st.integers(0, len(tiff)))]
    # The entry is whole with its value, which two bytes of padding follow.
    complete = len(cut) >= tiff.index(struct.pack(order + 'H', 0x112)) + 10
    contents = container(cut)
    assert _orientation(contents) == (value if complete else 1)
    assert _decode(contents).shape == (
        (6, 10, 3) if not complete or value < 5 else (10, 6, 3)
    )


@given(CONTAINER, st.integers(1, 8), st.data())
def test_a_file_that_breaks_off_has_its_orientation_or_none(container, value, data):
    contents = container(_tiff(value))
    cut = contents[: data.draw(st.integers(0, len(contents)))]
    assert _orientation(cut) in (1, value)
