import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.layers import BatchNorm
from vision.layers.modes import Estimation

CHANNELS = 5


def _batch(seed: int = 1) -> tf.Tensor:
    values = np.random.default_rng(seed).normal(3, 2, size=[4, 6, 7, CHANNELS])
    return tf.constant(values * [1, 2, 3, 0.1, 10], tf.float32)


def _pair(
    momentum: float = 0.95, epsilon: float = 1e-3
) -> tuple[BatchNorm, keras.layers.Layer]:
    """A `BatchNorm` and the layer of Keras with the same values."""
    rng = np.random.default_rng(2)
    values = rng.uniform(0.5, 2, size=[4, CHANNELS]).astype(np.float32)
    block = BatchNorm(CHANNELS, momentum=momentum, epsilon=epsilon)
    keras_layer = keras.layers.BatchNormalization(momentum=momentum, epsilon=epsilon)
    keras_layer.build([None, None, None, CHANNELS])
    keras_layer.set_weights(values)
    variables = [block.scale, block.offset, block.moving_mean, block.moving_variance]
    for variable, value in zip(variables, values):
        variable.assign(value)
    return block, keras_layer


@pytest.mark.parametrize('training', [False, True])
def test_agrees_with_keras_in_value_and_gradient(training):
    block, keras_layer = _pair()
    x = _batch()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, expected = block(x, training), keras_layer(x, training=training)
        loss, expected_loss = tf.reduce_sum(tf.sin(y)), tf.reduce_sum(tf.sin(expected))
    np.testing.assert_allclose(y, expected, atol=1e-4)
    pairs = [(x, x), (block.scale, keras_layer.gamma), (block.offset, keras_layer.beta)]
    for source, other in pairs:
        np.testing.assert_allclose(
            tape.gradient(loss, source), tape.gradient(expected_loss, other), atol=1e-3
        )


@pytest.mark.parametrize('momentum, epsilon', [(0.95, 1e-3), (0.6, 1e-5)])
def test_moving_averages_agree_with_keras(momentum, epsilon):
    block, keras_layer = _pair(momentum, epsilon)
    for step in range(3):
        block(_batch(step), True)
        keras_layer(_batch(step), training=True)
    np.testing.assert_allclose(block.moving_mean, keras_layer.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(
        block.moving_variance, keras_layer.moving_variance, rtol=1e-5
    )
    np.testing.assert_allclose(block(_batch()), keras_layer(_batch()), atol=1e-4)


def test_defaults_are_no_change_in_inference():
    x = _batch()
    np.testing.assert_allclose(BatchNorm(CHANNELS)(x), x / np.sqrt(1.001), rtol=1e-5)


def test_inference_leaves_the_averages():
    layer, _ = _pair()
    before = [v.numpy() for v in layer.variables]
    layer(_batch())
    np.testing.assert_array_equal(before, [v.numpy() for v in layer.variables])


def test_only_scale_and_offset_are_trainable():
    layer = BatchNorm(CHANNELS)
    assert {v.name for v in layer.trainable_variables} == {'scale:0', 'offset:0'}
    assert len(layer.variables) == 4


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_half_precision_keeps_float32_statistics(dtype, training):
    exact, _ = _pair()
    half, _ = _pair()
    x = tf.cast(_batch(), dtype)
    y, expected = half(x, training), exact(tf.cast(x, tf.float32), training)
    assert y.dtype == dtype
    assert {v.dtype for v in half.variables} == {tf.float32}
    np.testing.assert_allclose(tf.cast(y, tf.float32), expected, rtol=0.01, atol=0.02)
    np.testing.assert_allclose(half.moving_variance, exact.moving_variance, rtol=1e-4)


def test_compiled_is_the_same():
    eager, _ = _pair()
    compiled, _ = _pair()
    y = tf.function(lambda x: compiled(x, True), jit_compile=True)(_batch())
    np.testing.assert_allclose(y, eager(_batch(), True), atol=1e-4)
    np.testing.assert_allclose(compiled.moving_mean, eager.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(
        compiled.moving_variance, eager.moving_variance, rtol=1e-5
    )


def test_a_single_pixel_has_no_variance():
    layer = BatchNorm(CHANNELS, momentum=0.5)
    y = layer(3 * tf.ones([1, 1, 1, CHANNELS]), True)
    np.testing.assert_allclose(y, tf.zeros_like(y), atol=1e-6)
    np.testing.assert_allclose(layer.moving_mean, [1.5] * CHANNELS)
    np.testing.assert_allclose(layer.moving_variance, [0.5] * CHANNELS)


def test_estimated_averages_are_the_statistics_of_all_batches():
    layer, _ = _pair()
    batches = [_batch(step) + step for step in range(3)]
    for count, batch in enumerate(batches, start=1):
        layer(batch, Estimation(tf.constant(1 / count)))
    everything = np.concatenate(batches)
    np.testing.assert_allclose(layer.moving_mean, everything.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(
        layer.moving_variance, everything.var((0, 1, 2)), rtol=1e-5
    )


def test_a_batch_of_an_estimation_is_normalized_by_its_statistics():
    estimated, _ = _pair()
    trained, _ = _pair()
    y = estimated(_batch(), Estimation(tf.constant(1.0)))
    np.testing.assert_array_equal(y, trained(_batch(), True))
    np.testing.assert_allclose(estimated(_batch()), trained(_batch(), True), atol=1e-4)


def test_an_estimation_does_not_depend_on_earlier_averages():
    bits = []
    for start in (0.0, 0.1, 1e7):
        layer, _ = _pair()
        layer.moving_mean.assign_add([start] * CHANNELS)
        layer.moving_variance.assign_add([start] * CHANNELS)
        for count in (1, 2):
            layer(_batch(count), Estimation(tf.constant(1 / count)))
        bits.append([v.numpy().tobytes() for v in layer.variables])
    assert bits[0] == bits[1] == bits[2]


def test_frozen_averages_cannot_be_estimated():
    layer, _ = _pair()
    before = [v.numpy() for v in layer.variables]
    layer.frozen = True
    layer(_batch(), Estimation(tf.constant(1.0)))
    np.testing.assert_array_equal(before, [v.numpy() for v in layer.variables])
