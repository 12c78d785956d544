"""ReLUs, and the gradient that they have for guided backpropagation."""

import numpy as np
import pytest
import tensorflow as tf

from vision.layers.activations import guided_backpropagation, relu, relu6

EACH = pytest.mark.parametrize(
    'activation, library', [(relu, tf.nn.relu), (relu6, tf.nn.relu6)]
)
X = [-2.0, 0.0, 1.0, 5.0, 6.0, 7.0, 2.0]
UPSTREAM = [1.0, 1.0, 2.0, -3.0, 1.0, 4.0, 0.0]


def gradient(activation, dtype: tf.DType = tf.float32) -> np.ndarray:
    x = tf.constant(X, dtype)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = activation(x)
    return tf.cast(tape.gradient(y, x, tf.constant(UPSTREAM, dtype)), tf.float32)


def op_types(function) -> list[str]:
    traced = tf.function(function, autograph=False)
    graph = traced.get_concrete_function(tf.TensorSpec([3], tf.float32)).graph
    return [op.type for op in graph.get_operations()]


@EACH
def test_outside_of_the_context_it_is_the_library_s(activation, library):
    assert op_types(activation) == op_types(library)
    np.testing.assert_array_equal(gradient(activation), gradient(library))


@EACH
@pytest.mark.parametrize('dtype', [tf.float32, tf.bfloat16])
def test_inside_no_negative_gradient_passes(activation, library, dtype):
    plain = gradient(library, dtype)
    with guided_backpropagation():
        np.testing.assert_array_equal(activation(tf.constant(X)), library(X))
        guided = gradient(activation, dtype)
    np.testing.assert_array_equal(guided, np.maximum(plain, 0))
    assert np.any(plain < 0)


def test_the_context_ends_also_with_an_error():
    with pytest.raises(KeyError):
        with guided_backpropagation():
            raise KeyError
    np.testing.assert_array_equal(gradient(relu), gradient(tf.nn.relu))


def test_the_time_of_tracing_counts():
    traced = tf.function(relu, autograph=False)
    gradient(traced)
    with guided_backpropagation():
        np.testing.assert_array_equal(gradient(traced), gradient(tf.nn.relu))
