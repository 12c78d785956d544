from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from vision.layers import Dropout
from vision.layers.modes import Estimation

SEED = tf.constant([3, 14], tf.int64)


def _mask(layer: Dropout, seed: tf.Tensor = SEED) -> np.ndarray:
    return layer(tf.ones([50, 20]), True, seed).numpy() == 0


def test_the_seed_decides_the_mask():
    np.testing.assert_array_equal(_mask(Dropout(0.4)), _mask(Dropout(0.4)))
    assert (_mask(Dropout(0.4)) != _mask(Dropout(0.4), tf.constant([3, 15]))).any()
    assert (_mask(Dropout(0.4)) != _mask(Dropout(0.4), tf.constant([4, 14]))).any()


def test_the_mask_is_the_same_in_every_process():
    # Written down once; a resumed run must find the masks of the run that it resumes.
    dropped = np.flatnonzero(_mask(Dropout(0.4)))
    assert dropped.size == 382
    np.testing.assert_array_equal(dropped[:8], [4, 5, 6, 9, 11, 12, 15, 20])


def test_the_seed_decides_the_mask_when_compiled():
    # XLA draws other numbers than TensorFlow's kernels do, but the same each time.
    def compiled() -> Callable[[tf.Tensor], np.ndarray]:
        layer = Dropout(0.4)
        function = tf.function(
            lambda x, seed: layer(x, True, seed), jit_compile=True, autograph=False
        )
        return lambda seed: function(tf.ones([50, 20]), seed).numpy() == 0

    mask, again = compiled(), compiled()
    np.testing.assert_array_equal(mask(SEED), again(SEED))
    assert (mask(SEED) != mask(SEED + 1)).any()


def test_the_salt_tells_layers_apart():
    assert (_mask(Dropout(0.4, salt=0)) != _mask(Dropout(0.4, salt=1))).any()


@pytest.mark.parametrize('rate', [0.2, 0.4, 0.7])
def test_keeps_the_mean(rate):
    y = Dropout(rate)(tf.ones([200, 500]), True, SEED).numpy()
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)
    np.testing.assert_allclose((y == 0).mean(), rate, atol=0.01)


def test_the_gradient_passes_where_the_value_does():
    x = tf.ones([50, 20])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Dropout(0.4)(x, True, SEED)
    np.testing.assert_array_equal(tape.gradient(y, x), y)


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_keeps_the_type(dtype):
    y = Dropout(0.5)(tf.ones([4, 8], dtype), True, SEED)
    assert y.dtype == dtype
    assert set(np.unique(tf.cast(y, tf.float32))) == {0, 2}


def test_is_the_identity_outside_training_and_at_rate_0():
    x = tf.random.stateless_normal([4, 8], [1, 2])
    np.testing.assert_array_equal(Dropout(0.4)(x), x)
    np.testing.assert_array_equal(Dropout(0.0)(x, True), x)
    np.testing.assert_array_equal(Dropout(0.4)(x, Estimation(tf.constant(1.0))), x)


def test_training_needs_a_seed():
    Dropout(0.4)(tf.ones([1, 2]), True, SEED)
    with pytest.raises(ValueError, match=r'Expected a seed of shape \[2\].*model\('):
        Dropout(0.4)(tf.ones([1, 2]), True)


@pytest.mark.parametrize('rate', [-0.1, 1, 1.5, float('nan')])
def test_the_rate_is_a_share(rate):
    with pytest.raises(ValueError, match=rf'rate in \[0, 1\), received {rate}'):
        Dropout(rate)
