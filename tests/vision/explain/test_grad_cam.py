"""Class activation maps, compared with formulas, finite differences and Keras."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.explain.endpoints import default_endpoint
from vision.explain.grad_cam import grad_cam, grad_cam_plus_plus, guided_grad_cam
from vision.layers import BatchNorm, activations
from vision.models import Network, create, mobilenet_v2

CLASSES = np.array([2, 0, 1])


def make_images(size: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [count, size, size, 3], np.uint8)


@functools.cache
def small() -> Network:
    tf.random.set_seed(0)
    return create('cifar_cnn', classes=3, image_size=16, filters=(4, 8), dense=(6,))


def logits(endpoint: str, x: np.ndarray) -> np.ndarray:
    return tf.gather(small().after(endpoint, x).main, CLASSES, batch_dims=1).numpy()


@pytest.mark.parametrize('endpoint', ['conv1_1', 'pool1', 'pool2'])
def test_weights_are_finite_differences(endpoint):
    images = make_images(16)
    x = small().until(endpoint, images).numpy()
    step, area = 1e-3, x.shape[1] * x.shape[2]
    weights = np.zeros([3, x.shape[3]])
    for channel in range(x.shape[3]):
        moved = np.zeros_like(x)
        moved[..., channel] = step
        change = logits(endpoint, x + moved) - logits(endpoint, x - moved)
        weights[:, channel] = change / (2 * step * area)
    expected = np.maximum(np.einsum('nc,nhwc->nhw', weights, x), 0)
    actual = grad_cam(small(), images, CLASSES, endpoint)
    assert expected.max() > 0
    np.testing.assert_allclose(actual, expected, atol=0.02 * expected.max())


@pytest.mark.parametrize('endpoint', ['conv1_1', 'pool2'])
def test_plus_plus_is_equation_19_of_the_exponential(endpoint):
    images = make_images(16)
    x = small().until(endpoint, images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = tf.gather(small().after(endpoint, x).main, CLASSES, batch_dims=1)
    g = tape.gradient(scores, x).numpy().astype(float)
    x = x.numpy().astype(float)
    y = np.exp(scores.numpy().astype(float))[:, None, None, None]
    first, second, third = y * g, y * g**2, y * g**3
    below = 2 * second + x.sum((1, 2), keepdims=True) * third
    alpha = np.divide(second, below, out=np.zeros_like(x), where=below != 0)
    weights = (alpha * np.maximum(first, 0)).sum((1, 2), keepdims=True)
    expected = np.maximum((weights * x).sum(-1), 0) / y[..., 0]
    actual = grad_cam_plus_plus(small(), images, CLASSES, endpoint)
    assert expected.max() > 0
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4 * expected.max())


@functools.cache
def keras_pair() -> tuple[Network, keras.Model]:
    """MobileNetV2 and the model of Keras with the same weights."""
    tf.random.set_seed(1)
    model = create('mobilenet_v2', classes=3, image_size=64, alpha=0.35)
    base = keras.applications.MobileNetV2(
        weights=None,
        include_top=False,
        pooling='avg',
        input_shape=(64, 64, 3),
        alpha=0.35,
    )
    logits = keras.layers.Dense(3, name='predictions')(base.output)
    twin = keras.Model(base.input, logits)
    rng = np.random.default_rng(1)
    for name, layer in mobilenet_v2.keras_layers(model).items():
        if isinstance(layer, BatchNorm):
            variables = [
                layer.scale,
                layer.offset,
                layer.moving_mean,
                layer.moving_variance,
            ]
            layer.offset.assign(rng.uniform(-0.3, 0.3, layer.offset.shape))
        else:
            variables = [layer.kernel, *([] if layer.bias is None else [layer.bias])]
        twin.get_layer(name).set_weights([variable.numpy() for variable in variables])
    return model, twin


@pytest.mark.parametrize(
    'endpoint, layer',
    [
        pytest.param('conv1', 'Conv1_relu', marks=pytest.mark.slow),
        pytest.param('block_6', 'block_6_project_BN', marks=pytest.mark.slow),
        ('block_12', 'block_12_add'),
        pytest.param('conv_last', 'out_relu', marks=pytest.mark.slow),
    ],
)
def test_keras_has_the_same_maps(endpoint, layer):
    model, twin = keras_pair()
    images = make_images(64)
    both = keras.Model(twin.input, [twin.get_layer(layer).output, twin.output])
    with tf.GradientTape() as tape:
        x, scores = both(images / np.float32(127.5) - 1, training=False)
        chosen = tf.gather(scores, CLASSES, batch_dims=1)
    gradients = tape.gradient(chosen, x).numpy()
    x = x.numpy()
    # Sums of a channel that are negative count as 0.
    totals = np.maximum(x.sum((1, 2), keepdims=True), 0)
    positive = np.maximum(gradients, 0)
    for method, weights in (
        (grad_cam, gradients.mean((1, 2), keepdims=True)),
        (
            grad_cam_plus_plus,
            (positive / (2 + positive * totals)).sum((1, 2), keepdims=True),
        ),
    ):
        expected = np.maximum((weights * x).sum(-1), 0)
        assert expected.max() > 0
        np.testing.assert_allclose(
            method(model, images, CLASSES, endpoint),
            expected,
            atol=1e-3 * expected.max(),
        )


def test_no_evidence_for_a_class_is_a_map_of_zeros():
    network = create('cifar_cnn', classes=2, image_size=16, filters=(4,), dense=())
    network.head.classifier.kernel.assign(-tf.ones([4, 2]))
    for method in (grad_cam, grad_cam_plus_plus):
        np.testing.assert_array_equal(method(network, make_images(16), [0, 1, 0]), 0)


def test_the_default_is_the_last_map_of_more_than_a_pixel():
    network, _ = keras_pair()
    assert default_endpoint(network) == 'conv_last'
    assert default_endpoint(network, 32) == 'block_12'


def test_guided_maps_take_gradients_of_either_sign():
    images = make_images(16)
    pixels = tf.cast(images, tf.float32)
    with activations.guided_backpropagation(), tf.GradientTape() as tape:
        tape.watch(pixels)
        scores = tf.gather(small()(pixels).main, CLASSES, batch_dims=1)
    gradients = tape.gradient(scores, pixels).numpy()
    assert (-gradients.min(-1) > gradients.max(-1)).any()
    maps = tf.image.resize(grad_cam(small(), images, CLASSES)[..., None], [16, 16])
    expected = np.abs(gradients).max(-1) * maps[..., 0]
    actual = guided_grad_cam(small(), images, CLASSES)
    np.testing.assert_allclose(actual, expected, atol=1e-4 * expected.numpy().max())
