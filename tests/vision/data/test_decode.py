import zipfile

import numpy as np
import pytest
import tensorflow as tf

from vision.data.decode import decode, fit, to_uint8


def _image(height: int, width: int, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, 256, [height, width, channels], np.uint8)


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
    traced = tf.function(decode).get_concrete_function(tf.TensorSpec([], tf.string))
    assert traced.structured_outputs.shape.as_list() == [None, None, 3]


def test_decode_reads_odd_pictures_and_raises_on_broken_ones(data_folder):
    with zipfile.ZipFile(data_folder / 'odd_images.zip') as archive:
        contents = {
            name.split('/')[-1]: archive.read(name)
            for name in archive.namelist()
            if not name.endswith('/')
        }
    bad = {'truncated_jpeg.jpg', 'truncated_image.png', 'broken.png', 'zero_width.gif'}
    assert bad <= set(contents)
    read = set()
    for name, data in contents.items():
        try:
            image = decode(tf.constant(data))
        except tf.errors.InvalidArgumentError:
            continue
        assert image.shape.rank == 3 and image.shape[2] == 3
        read.add(name)
    assert not read & bad
    assert len(read) > 60


@pytest.mark.parametrize('dtype', [tf.uint8, tf.float32])
def test_fit_leaves_a_picture_of_the_size_alone(dtype):
    image = tf.cast(_image(8, 8), dtype)
    assert fit(image, 8) is image
    dynamic = tf.function(lambda x: fit(x, 8),
                          input_signature=[tf.TensorSpec([None, None, 3], dtype)])
    np.testing.assert_array_equal(dynamic(image), image)


@pytest.mark.parametrize('height, width', [(12, 12), (12, 17), (18, 12), (5, 6)])
def test_fit_is_the_centred_square_resized_with_antialiasing(height, width):
    image = _image(height, width)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top:top + side, left:left + side]
    expected = tf.image.resize(square, [8, 8], antialias=True)
    np.testing.assert_allclose(fit(tf.cast(image, tf.float32), 8), expected, atol=1e-3)
    np.testing.assert_array_equal(fit(tf.constant(image), 8), to_uint8(expected))


def test_fit_is_the_same_with_and_without_static_shapes():
    dynamic = tf.function(lambda x: fit(x, 8),
                          input_signature=[tf.TensorSpec([None, None, 3], tf.uint8)])
    image = tf.constant(_image(13, 11))
    np.testing.assert_array_equal(dynamic(image), fit(image, 8))


def test_to_uint8_rounds_and_clips():
    values = tf.constant([-3., 0.4, 0.6, 254.7, 255.4, 300.])
    np.testing.assert_array_equal(to_uint8(values), [0, 0, 1, 255, 255, 255])
