"""Depthwise and separable convolutions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.layers import (
    Conv2D,
    ConvBlock,
    ConvNormActivation,
    DepthwiseConv2D,
    SeparableConv2D,
)

CHANNELS = 4


def _noise(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)


def _depthwise(size: int, twin_padding: str, **options) -> tuple:
    """A layer, that of Keras with the same weights, and the layer's variables."""
    block = DepthwiseConv2D(CHANNELS, size, bias=True, **options)
    block.bias.assign([0.1, -0.2, 0.3, -0.4])
    keras_layer = keras.layers.DepthwiseConv2D(size, options['stride'], twin_padding)
    return block, keras_layer, [block.kernel, block.bias]


def _separable(size: int, twin_padding: str, **options) -> tuple:
    block = SeparableConv2D(CHANNELS, 6, size, bias=True, **options)
    block.pointwise.bias.assign(np.linspace(-1, 1, 6))
    keras_layer = keras.layers.SeparableConv2D(6, size, options['stride'], twin_padding)
    kernels = [block.depthwise.kernel, block.pointwise.kernel]
    return block, keras_layer, [*kernels, block.pointwise.bias]


@pytest.mark.parametrize('make', [_depthwise, _separable])
@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('size, stride', [(1, 1), (3, 1), (3, 2), (5, 2)])
def test_agrees_with_keras_in_value_and_gradient(make, size, stride, padding):
    x = _noise(2, 11, 11, CHANNELS)
    block, keras_layer, variables = make(
        size, padding.lower(), stride=stride, padding=padding
    )
    keras_layer.build(x.shape)
    keras_layer.set_weights([variable.numpy() for variable in variables])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, expected = block(x), keras_layer(x)
        loss, expected_loss = tf.reduce_sum(tf.sin(y)), tf.reduce_sum(tf.sin(expected))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    pairs = [(x, x), *zip(variables, (weight.value for weight in keras_layer.weights))]
    for source, other in pairs:
        np.testing.assert_allclose(
            tape.gradient(loss, source), tape.gradient(expected_loss, other), atol=1e-4
        )


def test_each_channel_is_convolved_with_its_kernel_only():
    conv = DepthwiseConv2D(CHANNELS, 3, padding='VALID')
    x, kernel = _noise(1, 5, 4, CHANNELS).numpy(), conv.kernel.numpy()
    expected = [
        [
            np.einsum('ijc,ijc->c', x[0, r : r + 3, c : c + 3], kernel[..., 0])
            for c in range(2)
        ]
        for r in range(3)
    ]
    np.testing.assert_allclose(conv(x)[0], expected, atol=1e-5)


def test_padding_in_pixels_is_padding_then_valid():
    x = _noise(2, 12, 10, CHANNELS)
    conv = DepthwiseConv2D(CHANNELS, 3, stride=2, padding=1)
    padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
    expected = tf.nn.depthwise_conv2d(padded, conv.kernel, [1, 2, 2, 1], 'VALID')
    np.testing.assert_allclose(conv(x), expected, atol=1e-5)


def _value_and_gradients(layer: tf.Module, x: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.square(tf.cast(y, tf.float32)))
    return [y, *tape.gradient(loss, [x, *layer.variables])]


@pytest.mark.parametrize(
    'dtype, tolerance, stride, compiled',
    [
        pytest.param(*arithmetic, stride, compiled, marks=marks)
        for arithmetic in [(tf.float32, 1e-5), (tf.bfloat16, 0.04), (tf.float16, 0.005)]
        for stride, compiled, marks in [
            (1, False, ()),
            (2, False, ()),
            (1, True, pytest.mark.slow),
            (2, True, pytest.mark.slow if arithmetic[0] == tf.float16 else ()),
        ]
    ],
)
def test_every_type_gives_values_and_gradients(dtype, tolerance, stride, compiled):
    x = _noise(2, 8, 8, CHANNELS)
    exact = SeparableConv2D(CHANNELS, 6, 3, stride=stride)
    layer = SeparableConv2D(CHANNELS, 6, 3, stride=stride, dtype=dtype)
    for variable, value in zip(layer.variables, exact.variables):
        variable.assign(value)
    function = tf.function(_value_and_gradients, jit_compile=compiled, autograph=False)
    actual = function(layer, tf.cast(x, dtype))
    assert [tensor.dtype for tensor in actual] == [dtype, dtype, tf.float32, tf.float32]
    for value, expected in zip(actual, _value_and_gradients(exact, x)):
        np.testing.assert_allclose(
            tf.cast(value, tf.float32),
            expected,
            rtol=0,
            atol=tolerance * np.abs(expected).max(),
        )


def test_variables_are_float32_and_made_at_once():
    layer = SeparableConv2D(CHANNELS, 6, 3, dtype=tf.bfloat16)
    assert [(v.shape, v.dtype) for v in layer.variables] == [
        ((3, 3, CHANNELS, 1), tf.float32),
        ((1, 1, CHANNELS, 6), tf.float32),
    ]
    assert layer.pointwise.bias is None


def test_a_fresh_depthwise_kernel_keeps_the_variance_behind_a_relu():
    tf.random.set_seed(1)
    kernel = DepthwiseConv2D(2000, 3).kernel.numpy()
    np.testing.assert_allclose(kernel.var(), 2 / 9, rtol=0.03)


@pytest.mark.parametrize('training', [False, True])
def test_a_block_of_any_convolution_normalizes_before_the_activation(training):
    conv = DepthwiseConv2D(CHANNELS, 3)
    block = ConvNormActivation(
        conv, CHANNELS, batch_norm={'momentum': 0.5}, activation=tf.nn.relu6
    )
    block.norm.offset.assign([0.5, -0.5, 0.0, 7.0])
    x = _noise(2, 6, 6, CHANNELS)
    expected = tf.nn.relu6(block.norm(conv(x), training))
    np.testing.assert_allclose(block(x, training), expected, atol=1e-6)
    assert block.norm.momentum == 0.5


def test_a_block_of_any_convolution_can_be_the_convolution_alone():
    conv = Conv2D(3, CHANNELS, 3)
    x = _noise(2, 6, 6, 3)
    block = ConvNormActivation(conv, CHANNELS, activation=None)
    np.testing.assert_array_equal(block(x), conv(x))
    assert block.norm is None and ConvBlock(3, CHANNELS, 3).norm is None
