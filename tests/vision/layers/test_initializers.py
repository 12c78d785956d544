import numpy as np
import pytest
import tensorflow as tf

from vision.layers.initializers import glorot_uniform, he_normal

# Shape, inputs and outputs of one unit.
SHAPES = [((300, 200), 300, 200), ((5, 5, 32, 64), 800, 1600)]


@pytest.mark.parametrize('shape, fan_in, fan_out', SHAPES)
def test_glorot_fills_its_interval_evenly(shape, fan_in, fan_out):
    tf.random.set_seed(1)
    values = glorot_uniform(shape).numpy()
    limit = np.sqrt(6 / (fan_in + fan_out))
    assert values.shape == shape and values.dtype == np.float32
    assert 0.999 * limit < np.abs(values).max() <= limit
    assert abs(values.mean()) < 0.01 * limit
    np.testing.assert_allclose(values.var(), limit**2 / 3, rtol=0.02)


@pytest.mark.parametrize('shape, fan_in, fan_out', SHAPES)
def test_he_keeps_the_variance_behind_a_relu(shape, fan_in, fan_out):
    tf.random.set_seed(1)
    values = he_normal(shape).numpy()
    assert values.shape == shape and values.dtype == np.float32
    assert abs(values.mean()) < 0.02 * values.std()
    np.testing.assert_allclose(values.var(), 2 / fan_in, rtol=0.02)


@pytest.mark.parametrize('initializer', [glorot_uniform, he_normal])
def test_the_global_seed_decides_and_each_kernel_differs(initializer):

    def draw() -> list[np.ndarray]:
        tf.random.set_seed(7)
        return [initializer((3, 3, 4, 4)).numpy() for _ in range(2)]

    first, again = draw(), draw()
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
