"""MobileNetV2 and Xception, compared with `keras.applications`."""

import functools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.layers import BatchNorm, SeparableConv2D
from vision.models import create, mobilenet_v2, xception
from vision.models.network import Network
from vision.models.profile import count_macs, count_parameters

CLASSES = 7


class Family(NamedTuple):
    """The model of Keras, and the pairing of layers."""

    twin: Callable[..., keras.Model]
    keras_layers: Callable[[Network], dict[str, tf.Module]]


class Case(NamedTuple):
    """A network by name, size of images and options, and the size of its twin."""

    name: str
    size: int
    # None is any size, for which MobileNetV2 of Keras pads odd maps differently. Made
    # for a size, Xception of Keras requires at least 71.
    twin_size: int | None
    options: dict = {}


FAMILIES = {
    'mobilenet_v2': Family(keras.applications.MobileNetV2, mobilenet_v2.keras_layers),
    'xception': Family(keras.applications.Xception, xception.keras_layers),
}

CASES = {
    'mobilenet_v2-0.35-75': Case('mobilenet_v2', 75, 75, {'alpha': 0.35}),
    'mobilenet_v2-1.3-64': Case('mobilenet_v2', 64, 64, {'alpha': 1.3}),
    'xception-64': Case('xception', 64, None),
}


@pytest.fixture(
    scope='module',
    params=[
        'mobilenet_v2-0.35-75',
        'xception-64',
        pytest.param('mobilenet_v2-1.3-64', marks=pytest.mark.slow),
    ],
)
def case(request) -> str:
    return request.param


def _weights(layer: tf.Module) -> list[tf.Variable]:
    """The variables of a layer in Keras's order."""
    if isinstance(layer, BatchNorm):
        return [layer.scale, layer.offset, layer.moving_mean, layer.moving_variance]
    if isinstance(layer, SeparableConv2D):
        return [layer.depthwise.kernel, layer.pointwise.kernel]
    bias = getattr(layer, 'bias', None)
    return [layer.kernel] + ([] if bias is None else [bias])


@functools.lru_cache(1)
def _twin(family: str, size: int | None, **options) -> keras.Model:
    """The model of Keras with random weights, average pooling and a classifier."""
    base = FAMILIES[family].twin(
        weights=None,
        include_top=False,
        pooling='avg',
        input_shape=(size, size, 3),
        **options,
    )
    logits = keras.layers.Dense(CLASSES, name='predictions')(base.output)
    return keras.Model(base.input, [logits, base.output])


def _pairs(
    model: Network, twin: keras.Model
) -> Iterator[tuple[str, tf.Variable, tf.Variable]]:
    """All variables of a model and of its twin in Keras, with a common name."""
    reference = [layer for layer in twin.layers if layer.weights]
    actual = FAMILIES[model.name].keras_layers(model)
    assert len(actual) == len(reference)
    for (name, layer), other in zip(actual.items(), reference):
        assert len(_weights(layer)) == len(other.weights), name
        for variable, weight in zip(_weights(layer), other.weights):
            yield f'{name}/{weight.name}', variable, weight.value


@functools.lru_cache(1)
def _model(name: str) -> Network:
    """The model of a case with distinct batch norms and biases, for all its tests."""
    case = CASES[name]
    tf.random.set_seed(1)
    model = create(case.name, classes=CLASSES, image_size=case.size, **case.options)
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.shape.rank == 1:
            positive = variable.name in ('scale:0', 'moving_variance:0')
            values = rng.uniform(0.5, 1.5, variable.shape)
            variable.assign(values if positive else 0.3 * (values - 1))
    return model


def _loss(logits: tf.Tensor) -> tf.Tensor:
    labels = tf.range(len(logits)) % CLASSES
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    )


class Results(NamedTuple):
    """Values of the model and of its twin."""

    inference: tuple
    features: tuple
    training: tuple
    gradients: dict[str, list]
    averages: dict[str, tuple]


@functools.lru_cache(1)
def _results(case: str) -> Results:
    name, size, twin_size, options = CASES[case]
    model, twin = _model(case), _twin(name, twin_size, **options)
    pairs = list(_pairs(model, twin))
    for _, variable, weight in pairs:
        weight.assign(variable)
    images = np.random.default_rng(2).integers(0, 256, [4, size, size, 3], np.uint8)
    normalized = images / np.float32(127.5) - 1
    outputs = model(images).main, model.features(images)
    inference, features = zip(outputs, twin(normalized, training=False))
    with tf.GradientTape(persistent=True) as tape:
        training = model(images, training=True).main, twin(normalized, training=True)[0]
        losses = [_loss(logits) for logits in training]
    trainable = [(name, both) for name, *both in pairs if both[0].trainable]
    actual, reference = [
        tape.gradient(loss, [both[side] for _, both in trainable])
        for side, loss in enumerate(losses)
    ]
    gradients = {name: both for (name, _), *both in zip(trainable, actual, reference)}
    averages = {
        name: tuple(v.numpy() for v in both)
        for name, *both in pairs
        if not both[0].trainable
    }
    return Results(inference, features, training, gradients, averages)


def _assert_close(pair: tuple, tolerance: float, name: str = '') -> None:
    """Compares to a share of the largest expected value."""
    actual, expected = pair
    largest = np.abs(expected).max()
    assert largest > 0, name
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * largest, err_msg=name
    )


def test_logits_and_features_in_inference(case):
    _assert_close(_results(case).inference, 1e-4)
    _assert_close(_results(case).features, 1e-4)


def test_logits_in_training(case):
    _assert_close(_results(case).training, 1e-4)


def test_gradient_of_every_variable(case):
    gradients = _results(case).gradients
    for name, (actual, expected) in gradients.items():
        # Where an activation is within rounding of 0 or two pixels of a pool are alike,
        # the two may differ at that one, which the sum over all of them shows less.
        size = np.linalg.norm(expected)
        # An offset in front of another batch norm has a gradient of 0 but for rounding,
        # which the scale beside it tells.
        beside = name.replace('/beta', '/gamma')
        noise = 1e-4 * np.linalg.norm(gradients[beside][1])
        assert np.linalg.norm(actual - expected) < 0.03 * size + noise, name
        assert np.linalg.norm(gradients[beside][1]) > 0, name


def test_moving_averages_after_a_step_of_training(case):
    for name, pair in _results(case).averages.items():
        _assert_close(pair, 1e-5, name)


def test_names_and_shapes_are_keras_s(case):
    name, _, twin_size, options = CASES[case]
    model, twin = _model(case), _twin(name, twin_size, **options)
    for _, variable, weight in _pairs(model, twin):
        assert variable.shape == weight.shape
    reference = [layer.name for layer in twin.layers if layer.weights]
    # Keras counts the layers without a name on from one model to the next.
    unnamed = re.compile(r'(conv2d|batch_normalization)(_\d+)?$')
    actual = FAMILIES[name].keras_layers(model)
    assert [unnamed.sub(r'\1', key) for key in actual] == [
        unnamed.sub(r'\1', key) for key in reference
    ]


@functools.lru_cache(1)
def _published(name: str) -> Network:
    return create(name, classes=1000)


def test_names_of_what_keras_leaves_unnamed():
    model = _published('xception')
    layers = xception.keras_layers(model)
    for number, block in enumerate(['block2', 'block3', 'block4', 'block13'], start=1):
        shortcut = model.stages[block].shortcut
        assert layers[f'conv2d_{number}'] is shortcut.conv
        assert layers[f'batch_normalization_{number}'] is shortcut.norm


@pytest.mark.parametrize(
    'name, parameters, trainable',
    [
        ('xception', 22_910_480, 22_855_952),
        ('mobilenet_v2', 3_538_984, 3_504_872),
    ],
)
def test_published_parameters(name, parameters, trainable):
    model = _published(name)
    assert sum(v.shape.num_elements() for v in model.variables) == parameters
    assert count_parameters(model) == trainable
    # Every variable is in one of the layers that files have.
    layers = FAMILIES[name].keras_layers(model).values()
    ids = [id(variable) for layer in layers for variable in _weights(layer)]
    assert sorted(ids) == sorted(id(variable) for variable in model.variables)


# https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet
@pytest.mark.parametrize(
    'alpha, millions',
    [
        (1.4, 582),
        pytest.param(1.0, 300, marks=pytest.mark.slow),
        pytest.param(0.35, 59, marks=pytest.mark.slow),
    ],
)
def test_published_macs_of_mobilenet_v2(alpha, millions):
    model = create('mobilenet_v2', classes=1000, alpha=alpha)
    assert count_macs(model, 224) // 10**6 == millions


@pytest.mark.parametrize(
    'alpha',
    [
        0.05,
        0.29,
        1.01,
        *(pytest.param(a, marks=pytest.mark.slow) for a in (0.35, 0.75, 1.0, 1.4)),
    ],
)
def test_widths_at_any_alpha(alpha):
    model = create('mobilenet_v2', classes=CLASSES, alpha=alpha)
    for name, variable, weight in _pairs(model, _twin('mobilenet_v2', 32, alpha=alpha)):
        assert variable.shape == weight.shape, name


@pytest.mark.parametrize('alpha', [0, -1.0])
def test_alpha_out_of_range(alpha):
    with pytest.raises(ValueError, match=f'Expected alpha above 0, received {alpha}'):
        create('mobilenet_v2', classes=2, alpha=alpha)


# The last layers that the systems D and E fine-tune; those of Keras count activations.
def test_freezing_all_but_the_last_stages_is_keras_s_last_layers(case):
    name, _, twin_size, options = CASES[case]
    stages, count = {'mobilenet_v2': (3, 20), 'xception': (1, 4)}[name]
    model, twin = _model(case), _twin(name, twin_size, **options)
    model.freeze(stages)
    trainable = {id(variable) for variable in model.trainable_variables}
    model.freeze()
    actual = [
        layer
        for layer, module in FAMILIES[name].keras_layers(model).items()
        if id(_weights(module)[0]) in trainable
    ]
    backbone = twin.layers[:-2]  # without pooling and classifier
    reference = [layer.name for layer in backbone[-count:] if layer.weights]
    assert actual == [*reference, 'predictions']
