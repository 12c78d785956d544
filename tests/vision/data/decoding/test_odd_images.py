"""What becomes of odd and broken images: our own, and those of Pillow's test suite."""

import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import odd_images
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from vision.data import BadFiles, FileSplit, eval_batches
from vision.data.decoding import exif
from vision.data.decoding.decode import decode, is_plain
from vision.data.fetch import why_undecodable

# Height and width once the image is upright.
DECODED = {
    'app13-multiple.jpg': (160, 256),
    'app13.jpg': (4, 4),
    'bmp/g/pal8.bmp': (64, 127),
    'bmp/g/rgb24.bmp': (64, 127),
    'bmp/g/rgb32.bmp': (64, 127),
    'broken_exif_dpi.jpg': (100, 100),
    'decompression_bomb_extents.gif': (100, 100),
    'empty_gps_ifd.jpg': (10, 10),
    'exif-200dpcm.jpg': (200, 200),
    'exif-72dpi-int.jpg': (450, 500),
    'exif-dpi-zerodivision.jpg': (200, 200),
    'exif-ifd-offset.jpg': (200, 200),
    'exif_gps.jpg': (8, 8),
    'exif_gps_typeerror.jpg': (531, 800),
    'exif_typeerror.jpg': (531, 800),
    'flower.jpg': (360, 480),
    'flower2.jpg': (225, 300),
    'hopper.bmp': (128, 128),
    'hopper.gif': (128, 128),
    'hopper.jpg': (128, 128),
    'hopper.webp': (128, 128),
    'hopper_16bit_qtables.jpg': (128, 128),
    'hopper_gray.jpg': (128, 128),
    'hopper_idat_after_image_end.png': (128, 128),
    'hopper_orientation_2.jpg': (128, 128),
    'hopper_orientation_3.jpg': (128, 128),
    'hopper_orientation_4.jpg': (128, 128),
    'hopper_orientation_5.jpg': (128, 128),
    'hopper_orientation_6.jpg': (128, 128),
    'hopper_orientation_7.jpg': (128, 128),
    'hopper_orientation_8.jpg': (128, 128),
    'i_trns.png': (64, 64),
    'icc-after-SOF.jpg': (10, 10),
    'imageops_pad_h_0.jpg': (256, 512),
    'imageops_pad_h_1.jpg': (256, 512),
    'imageops_pad_h_2.jpg': (256, 512),
    'imageops_pad_v_0.jpg': (512, 256),
    'imageops_pad_v_1.jpg': (512, 256),
    'imageops_pad_v_2.jpg': (512, 256),
    'invalid-exif-without-x-resolution.jpg': (200, 300),
    'invalid-exif.jpg': (200, 200),
    'iptc.jpg': (480, 640),
    'iptc_roundUp.jpg': (480, 640),
    'itxt_chunks.png': (2000, 2400),
    'jfif_unit_cm.jpg': (1, 1),
    'jpeg_ff00_header.jpg': (225, 300),
    'junk_jpeg_header.jpg': (768, 1024),
    'multiple_exif.jpg': (1, 1),
    'no-dpi-in-exif.jpg': (200, 200),
    'orientation_rectangle.jpg': (2, 1),
    'padded_idat.png': (10, 256),
    'photoshop-200dpi-broken.jpg': (200, 200),
    'photoshop-200dpi.jpg': (200, 200),
    'pil123p.png': (150, 162),
    'pil_sample_cmyk.jpg': (100, 100),
    'pil_sample_rgb.jpg': (100, 100),
    'png_decompression_dos.png': (1, 1),
    'rgb.jpg': (100, 100),
    'sugarshack_bad_mpo_header.jpg': (480, 640),
    'tiny.png': (4, 4),
    'transparent.png': (150, 200),
    'truncated_app14.jpg': (100, 100),
    'truncated_exif_dpi.jpg': (640, 480),
    'uncompressed_la.png': (128, 128),
    'unknown_compression_method.png': (57, 57),
    'xmp_no_prefix.jpg': (1, 1),
    'xmp_padded.jpg': (1, 1),
}
# A part of the reason.
REFUSED = {
    'bmp/b/badbitcount.bmp': 'Expected a BMP file of 8, 24 or 32 bits a pixel',
    'bmp/b/badrle.bmp': 'compression 0, got 8 and 1',
    'bmp/b/badwidth.bmp': 'Expected a BMP file of 8, 24 or 32 bits a pixel',
    'bmp/b/reallybig.bmp': 'Expected at most 100000000 pixels, got 6000000000000',
    'bmp/b/shortfile.bmp': 'Expected a BMP file of 8, 24 or 32 bits a pixel',
    'broken.png': 'Expected at most 100000000 pixels, got 10204',
    'broken_data_stream.png': 'Invalid PNG data, size 30732',
    'decompression_bomb.gif': 'Invalid GIF data',
    'no_palette.gif': 'missing color map',
    'truncated_end_chunk.png': 'Invalid PNG data',
    'truncated_image.png': 'Invalid PNG data',
    'truncated_jpeg.jpg': 'Invalid JPEG data',
    'ultrahdr.jpg': 'Invalid JPEG data',
    'zero_width.gif': 'Invalid GIF data',
}
# Pillow doubts their compression method and the size of a text; the pixels are there.
REFUSED_BY_PILLOW = {'png_decompression_dos.png', 'unknown_compression_method.png'}
ALL = sorted({*DECODED, *REFUSED})


@pytest.fixture(scope='module')
def folder(data_folder, tmp_path_factory):
    """Where the images lie."""
    path = tmp_path_factory.mktemp('odd')
    with zipfile.ZipFile(data_folder / 'odd_images.zip') as archive:
        archive.extractall(path)
    return path / 'odd_images'


read = tf.function(decode, [tf.TensorSpec([], tf.string)], autograph=False)
facts = tf.function(
    lambda contents: (exif.orientation(contents), is_plain(contents)),
    [tf.TensorSpec([], tf.string)],
    autograph=False,
)
OWN = odd_images.whole()
OWN_REFUSED = odd_images.broken()


def _pillow(contents: bytes) -> np.ndarray:
    """The first frame, upright."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(contents)))
        if image.mode == 'I;16':  # Pillow clips to 8 bits.
            grey = (np.asarray(image) >> 8).astype(np.uint8)
            return np.repeat(grey[..., None], 3, 2)
        return np.asarray(image.convert('RGB'))


def test_the_tables_name_every_file(folder):
    files = (path for path in folder.rglob('*') if path.is_file())
    assert sorted(str(path.relative_to(folder)) for path in files) == ALL
    assert len(ALL) == len(DECODED) + len(REFUSED) == 81


@pytest.mark.parametrize('name', OWN)
def test_it_is_decoded_as_pillow_does(name):
    _assert_as_pillow(name, OWN[name])


def test_transparent_pixels_of_a_gif_are_black():
    image = odd_images.photo().quantize(16)
    decoded = read(odd_images.saved(image, 'GIF', transparency=5)).numpy()
    clear = np.asarray(image) == 5
    assert 0 < clear.sum() < clear.size
    expected = np.where(clear[..., None], 0, np.asarray(image.convert('RGB')))
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize('name', DECODED)
def test_a_published_image_is_decoded_as_pillow_does(folder, name):
    contents = (folder / name).read_bytes()
    if name in REFUSED_BY_PILLOW:
        assert read(contents).shape == (*DECODED[name], 3)
        with pytest.raises((OSError, ValueError)):
            _pillow(contents)
        return
    assert _assert_as_pillow(name, contents) == (*DECODED[name], 3)


def _assert_as_pillow(name: str, contents: bytes) -> tuple[int, ...]:
    """Compares the images, and returns their shape."""
    image, expected = read(contents).numpy(), _pillow(contents)
    assert image.shape == expected.shape
    difference = np.abs(image.astype(int) - expected).mean()
    assert difference <= (0.5 if 'cmyk' in name or 'ycck' in name else 0)
    return image.shape


@pytest.mark.parametrize('name', OWN_REFUSED)
def test_it_is_refused(name):
    contents, _ = OWN_REFUSED[name]
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(contents)


@pytest.mark.parametrize('name', REFUSED)
def test_a_published_image_is_refused(folder, name):
    with pytest.raises(tf.errors.InvalidArgumentError):
        read((folder / name).read_bytes())


def test_what_is_not_upright_is_not_plain():
    _assert_not_plain(OWN)


def test_what_is_not_upright_of_the_published_is_not_plain(folder):
    _assert_not_plain({name: (folder / name).read_bytes() for name in ALL})


def _assert_not_plain(files: dict[str, bytes]):
    values = []
    for name, contents in files.items():
        value, plain = facts(contents)
        assert value == 1 or not plain, name
        values.append(int(value))
    assert set(values) == set(range(1, 9))


def _declared(contents: bytes) -> tuple[int, int] | None:
    """Height and width by the header, as Pillow reads it, before any turn."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            with Image.open(io.BytesIO(contents)) as image:
                return image.height, image.width
        except Exception:  # It has many kinds.
            return None


MAGICS = [b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n', b'GIF89a', b'BM', b'RIFF', b'']


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file that is cut, or of which a few bytes are others."""
    names = [name for name, contents in OWN.items() if len(contents) < 5_000]
    contents = bytearray(OWN[draw(st.sampled_from(names))])
    for _ in range(draw(st.integers(0, 3))):
        contents[draw(st.integers(0, len(contents) - 1))] = draw(st.integers(0, 255))
    return bytes(contents[: draw(st.integers(0, len(contents)))])


@settings(max_examples=60)
@given(
    st.one_of(st.builds(bytes.__add__, st.sampled_from(MAGICS), st.binary()), damaged())
)
def test_any_bytes_are_an_image_of_the_declared_size_or_refused(contents):
    value, plain = facts(contents)
    assert 1 <= value <= 8 and (value == 1 or not plain)
    try:
        image = read(contents)
    except tf.errors.InvalidArgumentError:
        assert why_undecodable(tf.constant(contents))
        return
    assert image.dtype == tf.uint8 and min(image.shape) > 0 and image.shape[2] == 3
    size = _declared(contents)
    assert size is None or image.shape[:2] == (size if value < 5 else size[::-1])


def test_the_pipeline_skips_what_is_refused_and_says_why(tmp_path):
    refused = {name: contents for name, (contents, _) in OWN_REFUSED.items()}
    for name, contents in (OWN | refused).items():
        (tmp_path / name).write_bytes(contents)
    reasons = {name: reason for name, (_, reason) in OWN_REFUSED.items()}
    _assert_skipped(tmp_path, sorted({*OWN, *reasons}), reasons)


@pytest.mark.slow
def test_the_pipeline_skips_those_published_that_are_refused(folder):
    _assert_skipped(folder, ALL, REFUSED)


def _assert_skipped(folder: Path, names: list[str], refused: dict[str, str]):
    """Images of the split are skipped for reasons that contain those of `refused`."""
    split = FileSplit(
        np.zeros(len(names), np.int32),
        names,
        paths=[str(folder / name) for name in names],
    )
    bad = BadFiles()
    (batch,) = eval_batches(split, batch_size=len(names), image_size=32, bad_files=bad)
    np.testing.assert_array_equal(
        batch.sample_weights, [name not in refused for name in names]
    )
    reasons = {file.name: file.reason for file in bad.items()}
    assert set(reasons) == set(refused)
    for name, reason in reasons.items():
        assert refused[name] in reason
        assert reason[0].isupper() and len(reason) < 120
        for noise in ('\n', 'Graph', 'tf.Tensor', 'Traceback', '{{', "'", '['):
            assert noise not in reason
