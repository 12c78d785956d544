"""The systems C and D, compared with their Keras code with the same weights."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from vision.layers import BatchNorm, Dropout
from vision.models import create
from vision.models.network import Network
from vision.models.profile import count_parameters

CLASSES = 7


def _system_c(filters: Iterable[int], size: int) -> keras.Model:
    """Its networks with one and with two convolutions."""
    first, *second = filters
    model = keras.Sequential([keras.Input([size, size, 3])])
    model.add(layers.Conv2D(first, 3, padding='same', activation='relu'))
    model.add(layers.MaxPooling2D())
    for width in second:
        model.add(layers.Conv2D(width, 3, padding='same', activation='relu'))
        model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation='relu'))
    model.add(layers.Dense(CLASSES))
    return model


def _system_d(block: str, size: int) -> keras.Model:
    """Its blocks, each of convolutions with batch norm (c) and a pool (p)."""
    model = keras.Sequential([keras.Input([size, size, 3])])
    for width in (64, 128, 256):
        for part in block:
            if part == 'p':
                model.add(layers.MaxPooling2D())
                continue
            model.add(layers.Conv2D(width, 3, padding='same', use_bias=False))
            model.add(layers.BatchNormalization(momentum=0.95))
            model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(512, activation='relu'))
    model.add(layers.Dense(CLASSES))
    return model


class Case(NamedTuple):
    """A network by name and options, its reference, and size and scale of images."""

    name: str
    options: dict
    twin: Callable[[Any, int], keras.Model]
    twin_option: Any
    size: int
    scale: float


CASES = {
    'C': Case('small_cnn', {}, _system_c, (16, 32), 30, 1.0),
    'C, one convolution': Case(
        'small_cnn', {'filters': (16,)}, _system_c, (16,), 21, 1.0
    ),
    'D': Case('cifar_cnn', {}, _system_d, 'cp', 32, 255.0),
    'D, two convolutions': Case(
        'cifar_cnn', {'convolutions': 2}, _system_d, 'ccp', 27, 255.0
    ),
    'D, one more behind the pool': Case(
        'cifar_cnn', {'behind_pool': 1}, _system_d, 'cpc', 32, 255.0
    ),
}

each_case = pytest.mark.parametrize('case', CASES.values(), ids=CASES)


def _make(case: Case) -> Network:
    """A network without dropout and with distinct values in all variables."""
    tf.random.set_seed(1)
    rates = {'dropout': 0.0, 'block_dropout': 0.0}
    model = create(
        case.name, classes=CLASSES, image_size=case.size, **rates, **case.options
    )
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.shape.rank == 1:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


def _variables(model: Network) -> list[tf.Variable]:
    """All variables in the order of Keras's weights."""
    variables = []
    for stage in model.stages.values():
        if stage.variables:
            variables += [stage.conv.kernel]
            variables += _norm(stage.norm) if stage.norm else [stage.conv.bias]
    for layer in (*model.head.dense, model.head.classifier):
        variables += [layer.kernel, layer.bias]
    assert len(variables) == len(model.variables)
    return variables


def _norm(norm: BatchNorm) -> list[tf.Variable]:
    return [norm.scale, norm.offset, norm.moving_mean, norm.moving_variance]


def _loss(logits: tf.Tensor) -> tf.Tensor:
    labels = tf.range(len(logits)) % CLASSES
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    )


def _assert_close(actual: tf.Tensor, expected: tf.Tensor, tolerance: float) -> None:
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


@each_case
def test_agrees_with_keras(case):
    model, twin = _make(case), case.twin(case.twin_option, case.size)
    variables = _variables(model)
    twin.set_weights([variable.numpy() for variable in variables])
    images = np.random.default_rng(2).integers(
        0, 256, [8, case.size, case.size, 3], np.uint8
    )
    normalized = images / np.float32(case.scale)
    _assert_close(model(images).main, twin(normalized, training=False), 1e-5)
    with tf.GradientTape(persistent=True) as tape:
        logits = model(images, training=True).main
        expected_logits = twin(normalized, training=True)
        loss, expected_loss = _loss(logits), _loss(expected_logits)
    _assert_close(logits, expected_logits, 1e-5)
    weights = [weight.value for weight in twin.weights]
    for actual, reference in zip(
        tape.gradient(loss, variables), tape.gradient(expected_loss, weights)
    ):
        assert (actual is None) == (reference is None)
        if actual is not None:
            assert np.abs(reference).max() > 0
            _assert_close(actual, reference, 1e-3)
    for variable, weight in zip(variables, weights):  # the averages have moved
        _assert_close(variable, weight, 1e-5)


def test_parameters_of_system_c_at_its_size():
    # Two of 3×3, then 40×40×32 values to 64.
    convolutions = 16 * (27 + 1) + 32 * (9 * 16 + 1)
    head = 64 * (40 * 40 * 32 + 1) + 2 * (64 + 1)
    assert count_parameters(create('small_cnn', classes=2)) == convolutions + head


def _order(name: str, **options) -> list[str]:
    return list(create(name, classes=2, image_size=32, **options).stages)


def test_dropout_stands_in_front_of_the_last_pool_of_small_cnn():
    assert _order('small_cnn') == ['conv1', 'pool1', 'conv2', 'dropout', 'pool2']
    assert _order('small_cnn', filters=(8, 8, 8))[-3:] == ['conv3', 'dropout', 'pool3']
    assert _order('small_cnn', filters=(8,)) == ['conv1', 'pool1']


def test_dropout_stands_at_the_end_of_every_block_of_cifar_cnn():
    assert _order('cifar_cnn', filters=(8, 16), convolutions=2) == [
        'conv1_1',
        'conv1_2',
        'pool1',
        'dropout1',
        'conv2_1',
        'conv2_2',
        'pool2',
        'dropout2',
    ]
    assert _order('cifar_cnn', filters=(8,), behind_pool=2) == [
        'conv1_1',
        'pool1',
        'conv1_2',
        'conv1_3',
        'dropout1',
    ]


def test_the_systems_rates_of_dropout():

    def rates(name: str) -> list[float]:
        model = create(name, classes=2, image_size=32)
        stages = [s.rate for s in model.stages.values() if isinstance(s, Dropout)]
        return [*stages, model.head.dropout.rate]

    assert rates('small_cnn') == [0.3, 0.0]
    assert rates('cifar_cnn') == [0.25, 0.25, 0.25, 0.5]


@pytest.mark.parametrize(
    'name, wrong, right, message',
    [
        ('small_cnn', {'filters': ()}, {'filters': (1,)}, r'filters .* received \(\)'),
        ('small_cnn', {'filters': (8, 0)}, {'filters': (8, 1)}, r'received \(8, 0\)'),
        (
            'small_cnn',
            {'block_dropout': 1.0},
            {'block_dropout': 0.0},
            r'rate in \[0, 1\)',
        ),
        ('cifar_cnn', {'filters': ()}, {'filters': (1,)}, r'filters .* received \(\)'),
        (
            'cifar_cnn',
            {'convolutions': 0},
            {'convolutions': 1},
            'at least 1 convolution in front of each pool .* received 0 and 0',
        ),
        (
            'cifar_cnn',
            {'behind_pool': -1},
            {'behind_pool': 1},
            'and 0 behind, received 1 and -1',
        ),
        ('cifar_cnn', {'block_dropout': -0.1}, {'block_dropout': 0.9}, 'received -0.1'),
    ],
)
def test_options_out_of_range(name, wrong, right, message):
    create(name, classes=2, image_size=32, **right)
    with pytest.raises(ValueError, match=message):
        create(name, classes=2, image_size=32, **wrong)
