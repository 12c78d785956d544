import io
import re
import struct
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vision.data.decoding.decode import (
    crop,
    decode,
    decode_traced,
    fit,
    is_plain,
    resize,
    to_uint8,
)


def _image(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, [height, width, channels], np.uint8)


def _saved(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
    """A file that Pillow writes."""
    file = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def _pillow(contents: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(contents)).convert('RGB'))


def _smooth(height: int, width: int) -> np.ndarray:
    """An image that shrinking does not change much."""
    small = Image.fromarray(_image(4, 5))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _turned(image: np.ndarray, value: int) -> bytes:
    """A JPEG that a camera held another way up wrote."""
    tags = Image.Exif()
    tags[0x112] = value
    return _saved(image, 'JPEG', exif=tags)


def _error(contents: bytes) -> str:
    """Why it is refused, without the quotes and brackets of eager mode and graphs."""
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        decode_traced(tf.constant(contents))
    return ' '.join(re.sub(r"b'|[]'[]", ' ', str(error.value)).split())


def test_decode_is_exact_for_lossless_files():
    image = _image(7, 5)
    for encode in (tf.io.encode_png, lambda x: tf.io.encode_jpeg(x, quality=100)):
        assert decode(encode(image)).shape == (7, 5, 3)
    np.testing.assert_array_equal(decode(tf.io.encode_png(image)), image)


def test_decode_makes_grayscale_rgb_and_drops_alpha():
    grey = _image(4, 4, 1)
    np.testing.assert_array_equal(decode(tf.io.encode_png(grey)), np.repeat(grey, 3, 2))
    rgba = _image(4, 4, 4)
    np.testing.assert_array_equal(decode(tf.io.encode_png(rgba)), rgba[..., :3])


def test_decode_has_a_static_rank_in_graph():
    traced = decode_traced.get_concrete_function()
    assert traced.structured_outputs.shape.as_list() == [None, None, 3]


@pytest.mark.parametrize('dtype', [tf.uint8, tf.float32])
def test_fit_leaves_an_image_of_the_size_alone(dtype):
    image = tf.cast(_image(8, 8), dtype)
    assert fit(image, 8) is image
    dynamic = tf.function(
        lambda x: fit(x, 8), input_signature=[tf.TensorSpec([None, None, 3], dtype)]
    )
    np.testing.assert_array_equal(dynamic(image), image)


@pytest.mark.parametrize('height, width', [(12, 12), (18, 12), (17, 22), (5, 6)])
def test_fit_is_the_centred_square_resized(height, width):
    image = _image(height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    # Bilinear resizing skips pixels from twofold on.
    expected = tf.image.resize(square, [8, 8], antialias=side > 16)
    np.testing.assert_allclose(fit(tf.cast(image, tf.float32), 8), expected, atol=1e-3)
    np.testing.assert_array_equal(fit(tf.constant(image), 8), to_uint8(expected))


@pytest.mark.parametrize('function', [fit, resize])
@pytest.mark.parametrize('side', [6, 12, 30])
def test_a_batch_is_resized_as_its_images_are(function, side):
    batch = (
        tf.constant(_image(2 * side, 3 * side)).numpy().reshape(3, side, 2 * side, 3)
    )
    dynamic = tf.function(
        lambda x: function(x, 8), [tf.TensorSpec([None, None, None, 3], tf.uint8)]
    )
    expected = np.stack([function(tf.constant(image), 8) for image in batch])
    np.testing.assert_array_equal(function(tf.constant(batch), 8), expected)
    np.testing.assert_array_equal(dynamic(batch), expected)


def test_fit_is_the_same_with_and_without_static_shapes():
    dynamic = tf.function(
        lambda x: fit(x, 8), input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)]
    )
    image = tf.constant(_image(13, 11))
    np.testing.assert_array_equal(dynamic(image), fit(image, 8))


def test_to_uint8_rounds_and_clips():
    values = tf.constant([-3.0, 0.4, 0.6, 254.7, 255.4, 300.0])
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 1, 255, 255, 255])


def test_what_carries_nothing_but_pixels_is_plain():
    image = _image(9, 7)
    palette = Image.fromarray(image).quantize(16)
    files = [
        tf.io.encode_png(image).numpy(),
        tf.io.encode_jpeg(image).numpy(),
        tf.io.encode_jpeg(image, progressive=True).numpy(),
        _saved(image, 'PNG'),
        _saved(palette, 'PNG'),
        _saved(image, 'JPEG'),
        _saved(image, 'JPEG', quality=100, subsampling=0, progressive=True),
        _saved(image[..., 0], 'JPEG'),
    ]
    assert is_plain(tf.constant(files)).numpy().all()
    for contents in files:
        np.testing.assert_array_equal(
            decode_traced(tf.constant(contents)), _pillow(contents)
        )


def test_what_carries_more_is_not_plain():
    image = _image(9, 7)
    png = _saved(image, 'PNG')
    huge = png[:16] + struct.pack('>II', 9000, 9000) + png[24:]
    files = [
        b'',
        b'\xff\xd8\xff',
        png[:30],
        huge,
        _turned(image, 1),
        _turned(image, 6),
        _saved(image, 'JPEG', comment=b'x'),
        _saved(image, 'JPEG', icc_profile=b'x' * 200),
        _saved(image, 'PNG', icc_profile=b'x' * 200),
        *(_saved(image, kind) for kind in ('GIF', 'BMP', 'WEBP')),
    ]
    assert not is_plain(tf.constant(files)).numpy().any()


def test_tiny_imagenet_is_plain(data_folder):
    with zipfile.ZipFile(data_folder / 'tiny-imagenet-20.zip') as archive:
        names = [name for name in archive.namelist() if name.endswith('.JPEG')]
        files = [archive.read(name) for name in names[::50]]
    assert len(files) > 200 and is_plain(tf.constant(files)).numpy().all()


def _claiming(kind: str, height: int, width: int) -> bytes:
    """A file of 4x4 pixels that claims other sides."""
    base = 'WEBP' if kind.startswith('VP8') else kind
    image, options = _image(4, 4), {'lossless': True} if kind == 'VP8L' else {}
    file = bytearray(
        _turned(image, 6) if kind == 'JPEG' else _saved(image, base, **options)
    )
    if kind == 'VP8X':
        size = (width - 1).to_bytes(3, 'little') + (height - 1).to_bytes(3, 'little')
        file[12:12] = b'VP8X' + struct.pack('<II', 10, 0) + size
        file[4:8] = struct.pack('<I', len(file) - 8)
        return bytes(file)
    at = file.find(b'\xff\xc0') + 5 if kind == 'JPEG' else 0
    at, data = {
        'JPEG': (at, struct.pack('>HH', height, width)),
        'PNG': (16, struct.pack('>II', width, height)),
        'GIF': (6, struct.pack('<HH', width, height)),
        'BMP': (18, struct.pack('<ii', width, -height)),
        'VP8': (26, struct.pack('<HH', width, height)),
        'VP8L': (21, struct.pack('<I', width - 1 | (height - 1) << 14)),
    }[kind]
    file[at : at + len(data)] = data
    return bytes(file)


@pytest.mark.parametrize('kind', ['JPEG', 'PNG', 'GIF', 'BMP', 'VP8', 'VP8L', 'VP8X'])
def test_an_image_too_large_is_refused_before_it_is_decoded(kind):
    # The numbers in VP8 and VP8L have 14 bits.
    side = 16_000 if kind in ('VP8', 'VP8L') else 20_000
    message = _error(_claiming(kind, side, side))
    assert f'Expected at most 100000000 pixels, got {side**2}' in message
    if kind != 'BMP':  # That lies upside down.
        assert decode_traced(tf.constant(_claiming(kind, 4, 4))).shape == (4, 4, 3)


def test_a_plain_jpeg_too_large_is_refused():
    file = bytearray(_saved(_image(4, 4), 'JPEG'))
    at = file.find(b'\xff\xc0') + 5
    file[at : at + 4] = struct.pack('>HH', 20_000, 20_000)
    assert 'at most 100000000 pixels, got 400000000' in _error(bytes(file))


def _bitmap(bits: int, compression: int = 0, extra: bytes = b'', pixels: bytes = b''):
    """A BMP of 5x3 pixels."""
    info = struct.pack('<IiiHHIIiiII', 40, 5, 3, 1, bits, compression, 0, 0, 0, 0, 0)
    start = 14 + len(info) + len(extra)
    head = b'BM' + struct.pack('<IHHI', start + len(pixels), 0, 0, start)
    return head + info + extra + pixels


def test_bmp_files_are_read_as_pillow_reads_them():
    image = _image(5, 7)
    masks = struct.pack('<III', 0xFF0000, 0xFF00, 0xFF)
    files = [
        _saved(image, 'BMP'),
        _saved(Image.fromarray(image).convert('RGBA'), 'BMP'),
        _saved(Image.fromarray(image).quantize(16), 'BMP'),
        _saved(image[..., 0], 'BMP'),
        _bitmap(32, 3, masks, _image(3, 5, 4).tobytes()),
    ]
    for contents in files:
        np.testing.assert_array_equal(
            decode_traced(tf.constant(contents)), _pillow(contents)
        )


@pytest.mark.parametrize(
    'bits, compression, extra',
    [
        pytest.param(1, 0, bytes(8), id='1 bit'),
        pytest.param(4, 0, bytes(64), id='4 bits'),
        pytest.param(16, 0, b'', id='16 bits'),
        pytest.param(4, 2, bytes(64), id='4 bits by runs'),
        pytest.param(8, 1, bytes(1024), id='8 bits by runs'),
        pytest.param(32, 3, struct.pack('<III', 255, 255 << 8, 255 << 16), id='masks'),
    ],
)
def test_rare_bmp_files_are_refused(bits, compression, extra):
    message = _error(_bitmap(bits, compression, extra, bytes(60)))
    assert 'Expected a BMP file of 8, 24 or 32 bits a pixel' in message
    assert f'got {bits} and {compression}' in message


@pytest.mark.parametrize('options', [{}, {'lossless': True, 'exact': True}])
def test_webp_loses_its_alpha(options):
    for channels in (3, 4):
        contents = _saved(_image(6, 9, channels), 'WEBP', **options)
        np.testing.assert_array_equal(
            decode_traced(tf.constant(contents)), _pillow(contents)
        )


@pytest.mark.parametrize('channels', [3, 4])
def test_an_animated_gif_is_its_first_frame_and_webp_is_refused(channels):
    frames = [Image.fromarray(_image(6, 9 + i, channels)[:, :9]) for i in range(3)]
    options = {'save_all': True, 'append_images': frames[1:]}
    contents = _saved(frames[0], 'GIF', **options)
    np.testing.assert_array_equal(
        decode_traced(tf.constant(contents)), _pillow(contents)
    )
    message = _error(_saved(frames[0], 'WEBP', **options))
    assert 'Expected a WebP file of one image, got an animation' in message


@pytest.mark.parametrize(
    'at_least, ratio', [(20, 8), (26, 4), (100, 2), (101, 1), (999, 1)]
)
def test_at_least_shrinks_a_jpeg_as_far_as_it_may(at_least, ratio):
    contents = _saved(_smooth(201, 303), 'JPEG', quality=95)
    shrunk = decode(tf.constant(contents), at_least)
    assert shrunk.shape == (-(-201 // ratio), -(-303 // ratio), 3)
    assert min(shrunk.shape[:2]) >= min(at_least, 201)
    expected = np.asarray(Image.fromarray(_pillow(contents)).reduce(ratio))
    assert np.abs(shrunk.numpy().astype(int) - expected).mean() < 2


def test_at_least_shrinks_a_turned_jpeg_and_no_other_kind():
    image = _smooth(200, 300)
    assert decode(tf.constant(_turned(image, 6)), 50).shape == (75, 50, 3)
    assert decode(tf.constant(_saved(image, 'PNG')), 50).shape == (200, 300, 3)
    assert decode(tf.constant(_saved(image, 'BMP')), 50).shape == (200, 300, 3)


def _window(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    return tf.stack([height // 4, width // 8, height // 2, width // 3])


def test_a_crop_of_a_plain_jpeg_is_a_part_of_it():
    contents = tf.constant(_saved(_smooth(90, 123), 'JPEG'))
    part = crop(contents, _window)
    expected = decode(contents)[22 : 22 + 45, 15 : 15 + 41]
    assert part.shape == expected.shape
    difference = part.numpy().astype(int) - expected.numpy()
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize('value', [3, 6, 8])
def test_a_crop_of_a_turned_jpeg_has_upright_coordinates(value):
    contents = _turned(_smooth(90, 123), value)
    turn = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_270,
        8: Image.Transpose.ROTATE_90,
    }[value]
    upright = np.asarray(Image.open(io.BytesIO(contents)).transpose(turn))
    top, left, height, width = np.array(_window(*upright.shape[:2]))
    np.testing.assert_array_equal(
        crop(tf.constant(contents), _window),
        upright[top : top + height, left : left + width],
    )


def test_a_crop_of_other_files_is_a_part_of_them():
    image = _image(40, 50)
    for contents in (_saved(image, 'PNG'), _saved(image, 'BMP')):
        part = crop(tf.constant(contents), _window)
        np.testing.assert_array_equal(part, image[10:30, 6:22])


_cropped = tf.function(
    lambda contents, window: crop(contents, lambda height, width: window),
    [tf.TensorSpec([], tf.string), tf.TensorSpec([4], tf.int32)],
    autograph=False,
)
_fitted = tf.function(
    lambda image: fit(image, 8),
    [tf.TensorSpec([None, None, 3], tf.uint8)],
    autograph=False,
)
SIDES = st.integers(1, 70)


@given(st.sampled_from(['PNG', 'JPEG', 'BMP']), SIDES, SIDES, st.data())
def test_any_crop_is_that_part_of_the_image(kind, height, width, data):
    image = _image(height, width)
    top = data.draw(st.integers(0, height - 1))
    left = data.draw(st.integers(0, width - 1))
    rows = data.draw(st.integers(1, height - top))
    columns = data.draw(st.integers(1, width - left))
    options = {'subsampling': 0} if kind == 'JPEG' else {}
    contents = _saved(image, kind, **options)
    np.testing.assert_array_equal(
        _cropped(contents, [top, left, rows, columns]),
        _pillow(contents)[top : top + rows, left : left + columns],
    )


@given(SIDES, SIDES)
def test_an_image_of_any_size_is_fitted_within_its_bounds(height, width):
    image = _image(height, width)
    # What lies outside the centred square must have no influence.
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    inside = image[top : top + side, left : left + side]
    outside = np.full_like(image, 255)
    outside[top : top + side, left : left + side] = inside
    fitted = _fitted(image).numpy()
    assert fitted.shape == (8, 8, 3)
    np.testing.assert_array_equal(fitted, _fitted(outside))
    assert inside.min() <= fitted.min() and fitted.max() <= inside.max()


def test_decode_can_be_exported(tmp_path):
    module = tf.Module()
    signature = [tf.TensorSpec([], tf.string)]
    module.serve = tf.function(decode, signature, autograph=False)
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    image = _image(8, 6)
    for contents in (
        _saved(image, 'PNG'),
        _saved(image, 'JPEG'),
        _turned(image, 5),
        _saved(Image.fromarray(image).quantize(9), 'BMP'),
        _saved(image, 'WEBP'),
        _saved(image, 'GIF'),
    ):
        np.testing.assert_array_equal(
            loaded.serve(tf.constant(contents)), decode_traced(tf.constant(contents))
        )
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.serve(tf.constant('no image'))
