import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.layers import Conv2D, ConvBlock


def _noise(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)


def _keras_twin(conv: Conv2D, x: tf.Tensor, **options) -> keras.layers.Layer:
    twin = keras.layers.Conv2D(conv.kernel.shape[-1], conv.kernel.shape[0], **options)
    twin.build(x.shape)
    twin.set_weights([conv.kernel.numpy(), conv.bias.numpy()])
    return twin


def test_agrees_with_sums_written_out():
    conv = Conv2D(2, 3, 3, padding='VALID')
    conv.bias.assign([1.0, -2.0, 3.0])
    x, kernel = _noise(1, 5, 4, 2).numpy(), conv.kernel.numpy()
    expected = [
        [np.einsum('ijc,ijco->o', x[0, r : r + 3, c : c + 3], kernel) for c in range(2)]
        for r in range(3)
    ]
    np.testing.assert_allclose(conv(x)[0], expected + conv.bias.numpy(), atol=1e-5)


@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('size, stride', [(1, 1), (3, 1), (3, 2), (5, 1), (7, 2)])
def test_agrees_with_keras_in_value_and_gradient(size, stride, padding):
    x = _noise(2, 11, 8, 3)
    conv = Conv2D(3, 4, size, stride=stride, padding=padding)
    conv.bias.assign([0.1, -0.2, 0.3, -0.4])
    twin = _keras_twin(conv, x, strides=stride, padding=padding.lower())
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y, expected = conv(x), twin(x)
        loss, expected_loss = tf.reduce_sum(tf.sin(y)), tf.reduce_sum(tf.sin(expected))
    np.testing.assert_allclose(y, expected, atol=1e-5)
    for source, other in [(x, x), (conv.kernel, twin.kernel), (conv.bias, twin.bias)]:
        np.testing.assert_allclose(
            tape.gradient(loss, source), tape.gradient(expected_loss, other), atol=1e-4
        )


@pytest.mark.parametrize('pixels, size, stride', [(1, 3, 1), (3, 7, 2), (2, 3, 3)])
def test_padding_in_pixels_is_padding_then_valid(pixels, size, stride):
    x = _noise(2, 12, 10, 3)
    conv = Conv2D(3, 4, size, stride=stride, padding=pixels)
    padded = tf.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
    expected = tf.nn.conv2d(padded, conv.kernel, stride, 'VALID')
    np.testing.assert_allclose(conv(x), expected, atol=1e-5)


def test_padding_in_pixels_differs_from_same_at_stride_2():
    x = _noise(1, 12, 12, 3)
    pixels = Conv2D(3, 4, 7, stride=2, padding=3)
    same = Conv2D(3, 4, 7, stride=2, padding='SAME')
    same.kernel.assign(pixels.kernel)
    assert pixels(x).shape == same(x).shape == (1, 6, 6, 4)
    assert np.abs(pixels(x) - same(x)).max() > 0.1


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_half_precision_runs_on_float32_variables(dtype):
    x = _noise(2, 8, 8, 3)
    conv, half = Conv2D(3, 4, 3), Conv2D(3, 4, 3, dtype=dtype)
    half.kernel.assign(conv.kernel)
    y = half(tf.cast(x, dtype))
    assert y.dtype == dtype
    assert {v.dtype for v in half.variables} == {tf.float32}
    np.testing.assert_allclose(tf.cast(y, tf.float32), conv(x), atol=0.05)


def test_without_bias_there_is_only_a_kernel():
    conv = Conv2D(2, 4, 3, bias=False)
    assert [v.shape for v in conv.trainable_variables] == [(3, 3, 2, 4)]
    assert conv(tf.zeros([1, 5, 5, 2])).shape == (1, 5, 5, 4)


def test_a_block_is_convolution_then_relu():
    block = ConvBlock(3, 4, 3)
    x = _noise(2, 6, 6, 3)
    np.testing.assert_array_equal(block(x), np.maximum(block.conv(x), 0))


def test_a_block_without_relu_keeps_negative_values():
    block = ConvBlock(3, 4, 3, activation=None)
    x = _noise(2, 6, 6, 3)
    np.testing.assert_array_equal(block(x), block.conv(x))
    assert block(x).numpy().min() < 0


@pytest.mark.parametrize('training', [False, True])
def test_a_block_with_batch_norm_normalizes_before_relu(training):
    block = ConvBlock(3, 4, 3, batch_norm=True)
    block.norm.offset.assign([0.5, -0.5, 0.0, 1.0])
    x = _noise(2, 6, 6, 3)
    expected = tf.nn.relu(block.norm(block.conv(x), training))
    np.testing.assert_allclose(block(x, training), expected, atol=1e-6)


def test_a_block_with_batch_norm_has_no_bias():
    assert ConvBlock(3, 4, 3, batch_norm=True).conv.bias is None
    assert ConvBlock(3, 4, 3).conv.bias is not None
