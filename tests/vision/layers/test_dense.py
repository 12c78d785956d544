import numpy as np
import pytest
import tensorflow as tf

from vision.layers import Dense


def _noise(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)


def test_is_a_matrix_product_plus_bias():
    dense = Dense(5, 3)
    dense.bias.assign([1.0, 2.0, 3.0])
    x = _noise(4, 5)
    expected = x.numpy() @ dense.kernel.numpy() + [1, 2, 3]
    np.testing.assert_allclose(dense(x), expected, atol=1e-6)


def test_gradients():
    dense = Dense(5, 3)
    x, upstream = _noise(4, 5), _noise(4, 3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = dense(x)
    dx, kernel, bias = tape.gradient(y, [x, dense.kernel, dense.bias], upstream)
    np.testing.assert_allclose(dx, upstream @ tf.transpose(dense.kernel), atol=1e-6)
    np.testing.assert_allclose(kernel, tf.transpose(x) @ upstream, atol=1e-5)
    np.testing.assert_allclose(bias, tf.reduce_sum(upstream, 0), atol=1e-6)


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_half_precision_runs_on_float32_variables(dtype):
    dense = Dense(5, 3, dtype=dtype)
    x = _noise(4, 5)
    y = dense(tf.cast(x, dtype))
    assert y.dtype == dtype
    assert {v.dtype for v in dense.variables} == {tf.float32}
    np.testing.assert_allclose(tf.cast(y, tf.float32), x @ dense.kernel, atol=0.05)
