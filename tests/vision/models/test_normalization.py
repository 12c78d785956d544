import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.models import NORMALIZATIONS

PIXELS = np.random.default_rng(1).integers(0, 256, [3, 5, 4, 3]).astype(np.float32)


def _each(function) -> np.ndarray:
    return np.stack([function(image.astype(np.float64)) for image in PIXELS])


EXPECTED = {
    'raw': PIXELS,
    'unit': keras.layers.Rescaling(1 / 255)(PIXELS),
    'symmetric': keras.layers.Rescaling(1 / 127.5, offset=-1)(PIXELS),
    'center': _each(lambda image: image - image.mean()),
    'standardize': _each(lambda image: (image - image.mean()) / image.std()),
    'caffe': PIXELS[..., [2, 1, 0]] - [104, 117, 123],
}


@pytest.mark.parametrize('name', NORMALIZATIONS)
def test_agrees_with_the_hand_written_one(name):
    y = NORMALIZATIONS.load(name)(tf.constant(PIXELS))
    assert y.dtype == tf.float32
    np.testing.assert_allclose(y, EXPECTED[name], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize('name', NORMALIZATIONS)
def test_works_in_a_graph_on_images_of_unknown_size(name):
    function = tf.function(
        NORMALIZATIONS.load(name),
        input_signature=[tf.TensorSpec([None, None, None, 3])],
    )
    np.testing.assert_allclose(function(PIXELS), EXPECTED[name], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    'name, ends',
    [
        ('raw', (0, 255)),
        ('unit', (0, 1)),
        ('symmetric', (-1, 1)),
        ('center', (-127.5, 127.5)),
        ('standardize', (-1, 1)),
    ],
)
def test_black_and_white_become(name, ends):
    image = np.zeros([1, 2, 2, 3], np.float32)
    image[:, 1] = 255
    y = NORMALIZATIONS.load(name)(tf.constant(image)).numpy()
    np.testing.assert_allclose(
        (y[0, 0], y[0, 1]),
        np.broadcast_to(np.reshape(ends, [2, 1, 1]), [2, 2, 3]),
        rtol=1e-6,
    )


@pytest.mark.parametrize('name', ['center', 'standardize'])
@pytest.mark.parametrize('value', [0.0, 93.0, 255.0])
def test_a_uniform_image_becomes_0(name, value):
    y = NORMALIZATIONS.load(name)(tf.fill([1, 8, 8, 3], value))
    np.testing.assert_allclose(y, np.zeros([1, 8, 8, 3]), atol=1e-3)


@pytest.mark.parametrize('name', NORMALIZATIONS)
def test_images_do_not_influence_each_other(name):
    together = NORMALIZATIONS.load(name)(tf.constant(PIXELS))
    alone = NORMALIZATIONS.load(name)(tf.constant(PIXELS[1:2]))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)
