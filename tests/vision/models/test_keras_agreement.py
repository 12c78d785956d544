"""Systems A and B of the book and GoogLeNet, compared with Keras layers.

The same weights in both must give the same logits, loss and gradients.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainers.step.losses import cross_entropy
from vision.models import create

CLASSES = 7
LOSS_WEIGHTS = (1.0, 0.3, 0.3)

# One line a block: 1×1, 3×3 reduce, 3×3, 5×5 reduce, 5×5, pool projection.
BLOCKS = {
    '3a': (64, 96, 128, 16, 32, 32),
    '3b': (128, 128, 192, 32, 96, 64),
    '4a': (192, 96, 208, 16, 48, 64),
    '4b': (160, 112, 224, 24, 64, 64),
    '4c': (128, 128, 256, 24, 64, 64),
    '4d': (112, 144, 288, 32, 64, 64),
    '4e': (256, 160, 320, 32, 128, 128),
    '5a': (256, 160, 320, 32, 128, 128),
    '5b': (384, 192, 384, 48, 128, 128),
}


def _conv(x, channels: int, size: int, name: str, activation: str | None = 'relu'):
    return layers.Conv2D(
        channels, size, padding='same', activation=activation, name=name
    )(x)


def _pool(x, stride: int):
    return layers.MaxPooling2D(3, stride, padding='same')(x)


def _lrn(x, **options):
    # TensorFlow's op knows no float64, for which its definition stands in.
    float64 = keras.config.dtype_policy().name == 'float64'
    function = _lrn_formula if float64 else tf.nn.local_response_normalization
    return layers.Lambda(functools.partial(function, **options))(x)


def _lrn_formula(x, depth_radius: int = 5, alpha: float = 1.0, beta: float = 0.5):
    window = 2 * depth_radius + 1
    padding = [[0, 0], [0, 0], [0, 0], [depth_radius + 1, depth_radius]]
    energy = tf.cumsum(tf.pad(tf.square(x), padding), axis=-1)
    return x / (1 + alpha * (energy[..., window:] - energy[..., :-window])) ** beta


def _stem_a(x):
    x = _lrn(_pool(_conv(x, 64, 7, 'conv1'), 2))
    x = _conv(x, 64, 1, 'conv2_reduce', activation=None)
    return _pool(_lrn(_conv(x, 192, 3, 'conv2')), 1)


def _stem_b(x):
    x = _conv(_pool(_conv(x, 64, 7, 'conv1'), 2), 64, 1, 'conv2_reduce')
    return _pool(_conv(x, 192, 3, 'conv2'), 2)


def _stem_paper(x):
    x = layers.ZeroPadding2D(3)(x)
    x = layers.Conv2D(64, 7, 2, activation='relu', name='conv1')(x)
    caffe = {'depth_radius': 2, 'alpha': 1e-4 / 5, 'beta': 0.75}
    x = _conv(_lrn(_pool(x, 2), **caffe), 64, 1, 'conv2_reduce')
    return _pool(_lrn(_conv(x, 192, 3, 'conv2'), **caffe), 2)


def _block(x, name: str):
    conv1, reduce3, conv3, reduce5, conv5, pool = BLOCKS[name]
    name = f'inception_{name}'
    return layers.Concatenate()(
        [
            _conv(x, conv1, 1, f'{name}.conv1'),
            _conv(_conv(x, reduce3, 1, f'{name}.reduce3'), conv3, 3, f'{name}.conv3'),
            _conv(_conv(x, reduce5, 1, f'{name}.reduce5'), conv5, 5, f'{name}.conv5'),
            _conv(_pool(x, 1), pool, 1, f'{name}.project'),
        ]
    )


def _auxiliary(x, name: str):
    name = f'inception_{name}.head'
    x = layers.AveragePooling2D(5, 3)(x)
    x = layers.Flatten()(_conv(x, 128, 1, f'{name}.conv'))
    x = layers.Dense(1024, activation='relu', name=f'{name}.dense')(x)
    return layers.Dense(CLASSES, name=f'{name}.classifier')(x)


def _keras_model(stem: Callable, size: int, dtype: str) -> keras.Model:
    """The network on normalized images; logits of the three heads."""
    keras.config.set_dtype_policy(dtype)
    try:
        return _functional_model(stem, size)
    finally:
        keras.config.set_dtype_policy('float32')


def _functional_model(stem: Callable, size: int) -> keras.Model:
    images = keras.Input([size, size, 3])
    x, aux = stem(images), []
    for name in BLOCKS:
        x = _block(x, name)
        if name in ('3b', '4e'):
            x = _pool(x, 2)
        if name in ('4a', '4d'):
            aux.append(_auxiliary(x, name))
    x = layers.Flatten()(layers.AveragePooling2D(x.shape[1])(x))
    return keras.Model(images, [layers.Dense(CLASSES, name='classifier')(x), *aux])


def _layers_by_name(model: tf.Module) -> dict[str, tf.Module]:
    """The layers that have weights, by the names in the Keras model."""
    named = {'classifier': model.head.classifier}
    for name in ('conv1', 'conv2_reduce', 'conv2'):
        named[name] = model.stages[name].conv
    for block in (f'inception_{name}' for name in BLOCKS):
        for branch in ('conv1', 'reduce3', 'conv3', 'reduce5', 'conv5', 'project'):
            named[f'{block}.{branch}'] = getattr(model.stages[block], branch).conv
    for block, head in model.heads.items():
        named[f'{block}.head.conv'] = head.conv.conv
        named[f'{block}.head.dense'] = head.dense
        named[f'{block}.head.classifier'] = head.classifier
    return named


class Step(NamedTuple):
    """The values that a training step computes before the update."""

    logits: list[np.ndarray]
    losses: list[float]
    loss: float
    gradients: dict[str, np.ndarray]


# What is done to the images, outside the Keras model.
NORMALIZATIONS = {
    'center': lambda x: x - x.mean((1, 2, 3), keepdims=True),
    'unit': lambda x: x / 255,
    'caffe': lambda x: x[..., ::-1] - np.array([104, 117, 123], np.float32),
}


class System(NamedTuple):
    """A network and its reference in Keras, and how they are compared.

    Attributes:
        name: of the network.
        stem: makes the stem of the reference.
        normalization: of both.
        size: side of the images in pixels.
        dtype: of the arithmetic.
        tolerance: of gradients, as a share of the largest value of a gradient.
    """

    name: str
    stem: Callable
    normalization: str
    size: int
    dtype: str
    tolerance: float


# The two implementations of LRN round differently. Where an activation is almost 0,
# that changes the gradient of a ReLU: some gradients of A differ by 0.2 % in float32
# and none in float64, where the float32 logits limit the agreement.
# The sizes are the smallest whose maps have the 5 pixels of an auxiliary pool.
SYSTEMS = {
    'A': System('inception_v1', _stem_a, 'center', 32, 'float64', 1e-6),
    'B': System('inception_v1_compact', _stem_b, 'unit', 40, 'float32', 1e-4),
    'GoogLeNet': System('googlenet', _stem_paper, 'caffe', 80, 'float64', 1e-6),
    'A at 56 pixels': System('inception_v1', _stem_a, 'center', 56, 'float32', 1e-2),
    'GoogLeNet at 128 pixels': System(
        'googlenet', _stem_paper, 'caffe', 128, 'float64', 1e-6
    ),
}
SLOW = ['A at 56 pixels', 'GoogLeNet at 128 pixels']


@pytest.fixture(
    scope='module',
    params=[
        pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
        for name in SYSTEMS
    ],
)
def system(request) -> System:
    return SYSTEMS[request.param]


@pytest.fixture(scope='module')
def steps(system) -> tuple[Step, Step]:
    """Training steps of the network and of Keras, on the same weights and images."""
    name, stem, normalization, size, dtype, _ = system
    tf.random.set_seed(1)
    model = create(
        name,
        classes=CLASSES,
        image_size=size,
        normalization=normalization,
        dropout=0.0,
        aux_dropout=0.0,
        dtype=tf.as_dtype(dtype),
    )
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        if variable.shape.rank == 1:  # biases start at 0, where they could be swapped
            variable.assign(rng.normal(scale=0.1, size=variable.shape))
    images = rng.integers(0, 256, [2, size, size, 3], np.uint8)
    labels = tf.constant([1, 6])
    twin = _keras_model(stem, size, dtype)
    normalized = NORMALIZATIONS[normalization](images.astype(np.float32))
    return (
        _our_step(model, images, labels),
        _keras_step(model, twin, normalized, labels),
    )


def _our_step(model: tf.Module, images: np.ndarray, labels: tf.Tensor) -> Step:
    with tf.GradientTape() as tape:
        outputs = model(images, training=True)
        logits = [outputs.main, *outputs.aux]
        losses = [tf.reduce_mean(cross_entropy(labels, head)) for head in logits]
        loss = tf.add_n([w * term for w, term in zip(LOSS_WEIGHTS, losses)])
    named = _layers_by_name(model)
    gradients = tape.gradient(
        loss, {name: [layer.kernel, layer.bias] for name, layer in named.items()}
    )
    return _step(logits, losses, loss, gradients)


def _keras_step(
    model: tf.Module, twin: keras.Model, images: np.ndarray, labels: tf.Tensor
) -> Step:
    for name, layer in _layers_by_name(model).items():
        twin.get_layer(name).set_weights([layer.kernel, layer.bias])
    targets = keras.utils.to_categorical(labels, CLASSES)
    with tf.GradientTape() as tape:
        logits = twin(images, training=True)
        # The book's heads end in softmax.
        losses = [
            keras.losses.CategoricalCrossentropy()(targets, layers.Softmax()(head))
            for head in logits
        ]
        loss = tf.add_n([w * term for w, term in zip(LOSS_WEIGHTS, losses)])
    weights = {
        name: [v.value for v in twin.get_layer(name).weights]
        for name in _layers_by_name(model)
    }
    assert len(twin.weights) == 2 * len(_layers_by_name(model)) == len(model.variables)
    return _step(logits, losses, loss, tape.gradient(loss, weights))


def _step(logits, losses, loss, gradients) -> Step:
    named = {}
    for name, (kernel, bias) in gradients.items():
        named[f'{name}.kernel'], named[f'{name}.bias'] = kernel.numpy(), bias.numpy()
    return Step(
        [head.numpy() for head in logits],
        [float(term) for term in losses],
        float(loss),
        named,
    )


@pytest.mark.parametrize('head', range(3))
def test_logits_of_each_head(steps, head):
    actual, reference = (step.logits[head] for step in steps)
    tolerance = 1e-5 * np.abs(reference).max()
    np.testing.assert_allclose(actual, reference, rtol=0, atol=tolerance)


def test_weighted_loss(steps):
    actual, reference = steps
    np.testing.assert_allclose(actual.losses, reference.losses, rtol=1e-5)
    np.testing.assert_allclose(actual.loss, reference.loss, rtol=1e-5)


def test_gradient_of_every_variable(system, steps):
    actual, reference = steps
    assert actual.gradients.keys() == reference.gradients.keys()
    for name, expected in reference.gradients.items():
        assert np.abs(expected).max() > 0, name
        np.testing.assert_allclose(
            actual.gradients[name],
            expected,
            rtol=0,
            atol=system.tolerance * np.abs(expected).max(),
            err_msg=name,
        )
