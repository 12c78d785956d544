"""The choice of Keras optimizers, checked on small numbers."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainers.settings.config import Config
from trainers.step import optimizers

RATE = 0.25


def create(variables, precision: str = 'float32', **settings):
    return optimizers.create(
        Config(learning_rate=RATE, **settings), variables, precision
    )


def steps(gradients: list[float], **settings) -> list[float]:
    """Where a variable that starts at 0 is after each gradient."""
    variable = tf.Variable([0.0])
    optimizer = create([variable], **settings)
    places = []
    for gradient in gradients:
        optimizer.apply([tf.constant([gradient])], [variable])
        places.append(float(variable[0]))
    return places


@pytest.mark.parametrize(
    'settings, first',
    [
        ({'optimizer': 'sgd', 'momentum': 0.0}, RATE * 4),
        ({'optimizer': 'sgd', 'momentum': 0.9}, RATE * 4 * 1.9),
        ({'optimizer': 'adam'}, RATE),
        ({'optimizer': 'adamw', 'weight_decay': 0.0}, RATE),
        ({'optimizer': 'rmsprop', 'momentum': 0.0}, RATE / math.sqrt(0.1)),
    ],
)
def test_first_step(settings, first):
    assert steps([4.0], **settings) == pytest.approx([-first], rel=1e-4)


def test_momentum_is_nesterovs():
    velocity, place, expected = 0.0, 0.0, []
    for gradient in (1.0, -2.0, 0.5):
        velocity = 0.9 * velocity - RATE * gradient
        place += 0.9 * velocity - RATE * gradient
        expected.append(place)
    assert steps([1.0, -2.0, 0.5], optimizer='sgd', momentum=0.9) == pytest.approx(
        expected
    )


def test_rmsprop_has_momentum():
    first, second = steps([1.0, 0.0], optimizer='rmsprop', momentum=0.5)
    assert second == pytest.approx(1.5 * first)


def test_adamw_decays_kernels_only():
    start = np.ones([2, 2], np.float32)
    kernel, bias = tf.Variable(start), tf.Variable(start[0])
    optimizer = create([kernel, bias], optimizer='adamw', weight_decay=0.1)
    optimizer.apply([tf.zeros([2, 2]), tf.zeros([2])], [kernel, bias])
    np.testing.assert_allclose(kernel, start * (1 - RATE * 0.1), rtol=1e-6)
    np.testing.assert_array_equal(bias, start[0])


@pytest.mark.parametrize('name', ['sgd', 'adam', 'rmsprop'])
def test_others_leave_the_decay_to_the_loss(name):
    kernel = tf.Variable(tf.ones([2, 2]))
    optimizer = create([kernel], optimizer=name, weight_decay=0.1)
    optimizer.apply([tf.zeros([2, 2])], [kernel])
    np.testing.assert_array_equal(kernel, np.ones([2, 2]))


@pytest.mark.parametrize('clip_norm, factor', [(0.0, 1), (5.0, 1), (4.0, 0.8)])
def test_clipping_bounds_the_norm_of_all_gradients(clip_norm, factor):
    variables = [tf.Variable([0.0]), tf.Variable([[0.0]])]
    optimizer = create(variables, optimizer='sgd', momentum=0.0, clip_norm=clip_norm)
    optimizer.apply([tf.constant([3.0]), tf.constant([[4.0]])], variables)
    moved = [float(tf.squeeze(variable)) for variable in variables]
    assert moved == pytest.approx([-RATE * factor * 3, -RATE * factor * 4])


@pytest.mark.parametrize('precision', ['float32', 'float16'])
@pytest.mark.parametrize('name', ['sgd', 'adam', 'adamw', 'rmsprop'])
def test_all_state_exists_before_the_first_step(name, precision):
    variable = tf.Variable([1.0])
    optimizer = create([variable], precision, optimizer=name)
    before = len(optimizer.variables)
    optimizer.apply([tf.constant([1.0])], [variable])
    assert len(optimizer.variables) == before > 2


@pytest.mark.parametrize(
    'precision, scaled', [('float32', False), ('bfloat16', False), ('float16', True)]
)
def test_loss_scaling_is_for_float16(precision, scaled):
    optimizer = create([tf.Variable([1.0])], precision)
    assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) == scaled
    assert (float(optimizer.scale_loss(tf.constant(1.0))) > 1) == scaled


def test_loss_scaling_cancels():
    variable = tf.Variable([0.0])
    optimizer = create([variable], 'float16', optimizer='sgd', momentum=0.0)
    optimizer.apply([optimizer.scale_loss(tf.constant([4.0]))], [variable])
    assert float(variable[0]) == -RATE * 4


@pytest.mark.parametrize('bad', [math.inf, -math.inf, math.nan])
def test_overflow_skips_the_update(bad):
    variables = [tf.Variable([1.0]), tf.Variable([2.0])]
    optimizer = create(variables, 'float16', optimizer='adam')
    scale = float(optimizer.scale_loss(tf.constant(1.0)))
    optimizer.apply([tf.constant([bad]), tf.constant([1.0])], variables)
    assert [float(variable[0]) for variable in variables] == [1.0, 2.0]
    assert int(optimizer.iterations.numpy()) == 0
    assert float(optimizer.scale_loss(tf.constant(1.0))) == scale / 2
