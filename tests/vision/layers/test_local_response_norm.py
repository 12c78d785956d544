import numpy as np
import pytest
import tensorflow as tf

from vision.layers import LocalResponseNorm, local_response_norm

# Radius, bias, alpha, beta: TensorFlow's defaults, Caffe's GoogLeNet, AlexNet, no
# neighbours, and an odd one.
SETTINGS = [
    (5, 1.0, 1.0, 0.5),
    (2, 1.0, 2e-5, 0.75),
    (2, 2.0, 1e-4, 0.75),
    (0, 1.0, 1.0, 0.5),
    (3, 0.5, 0.3, 1.2),
]
DEFAULTS = SETTINGS[0]


def _noise(channels: int, scale: float = 3.0) -> tf.Tensor:
    rng = np.random.default_rng(1)
    return tf.constant(rng.normal(scale=scale, size=[2, 3, 4, channels]), tf.float32)


def _formula(
    x: np.ndarray, radius: int, bias: float, alpha: float, beta: float
) -> np.ndarray:
    """The definition, channel by channel, in float64."""
    x = np.asarray(x, np.float64)
    channels = range(x.shape[-1])
    energy = [
        np.square(x[..., max(c - radius, 0) : c + radius + 1]).sum(-1) for c in channels
    ]
    return x / (bias + alpha * np.stack(energy, -1)) ** beta


def _value_and_gradient(
    function, x: tf.Tensor, setting: tuple = DEFAULTS
) -> tuple[tf.Tensor, tf.Tensor]:
    """y, and the gradient of a sum of the outputs with different weights."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x, *setting)
    weights = tf.cast(tf.cos(tf.range(tf.size(y), dtype=tf.float32)), y.dtype)
    return y, tape.gradient(y, x, tf.reshape(weights, tf.shape(y)))


@pytest.mark.parametrize('setting', SETTINGS)
@pytest.mark.parametrize('channels', [1, 4, 64])
def test_agrees_with_tensorflow_in_value_and_gradient(setting, channels):
    x = _noise(channels)
    y, dx = _value_and_gradient(local_response_norm, x, setting)
    expected, expected_dx = _value_and_gradient(
        tf.nn.local_response_normalization, x, setting
    )
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dx, expected_dx, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('setting', SETTINGS)
def test_is_its_formula(setting):
    x = _noise(12)
    np.testing.assert_allclose(
        local_response_norm(x, *setting), _formula(x, *setting), rtol=1e-5
    )


@pytest.mark.parametrize('setting', SETTINGS)
@pytest.mark.parametrize('channels', [4, 12])
def test_the_gradient_is_the_limit_of_differences(setting, channels):
    x = tf.cast(_noise(channels, 1.0)[:1, :2, :2], tf.float64)
    exact, numeric = tf.test.compute_gradient(
        lambda x: local_response_norm(x, *setting), [x], delta=1e-5
    )
    np.testing.assert_allclose(exact[0], numeric[0], atol=1e-8)


@pytest.mark.parametrize('setting', SETTINGS)
@pytest.mark.parametrize('dtype, tolerance', [(tf.bfloat16, 0.03), (tf.float16, 0.003)])
def test_half_precision(dtype, tolerance, setting):
    x = tf.cast(_noise(64), dtype)
    y, dx = _value_and_gradient(local_response_norm, x, setting)
    expected, expected_dx = _value_and_gradient(
        local_response_norm, tf.cast(x, tf.float32), setting
    )
    assert y.dtype == dx.dtype == dtype
    for half, full in [(y, expected), (dx, expected_dx)]:
        np.testing.assert_allclose(
            tf.cast(half, tf.float32),
            full,
            rtol=tolerance,
            atol=tolerance * np.abs(full).max(),
        )


@pytest.mark.parametrize('size', [300.0, 60000.0])
def test_float16_holds_where_squares_overflow(size):
    x = tf.cast(size * tf.sign(_noise(16)), tf.float16)
    y, dx = _value_and_gradient(local_response_norm, x)
    np.testing.assert_allclose(y, _formula(x, *DEFAULTS), rtol=2e-3)
    assert np.isfinite(dx).all()


@pytest.mark.parametrize('dtype', [tf.float32, tf.bfloat16, tf.float16])
def test_compiled_is_the_same(dtype):
    x = tf.cast(_noise(12), dtype)

    def both(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return _value_and_gradient(local_response_norm, x)

    function = tf.function(both, jit_compile=True, autograph=False)
    tolerance = {tf.float32: 1e-5, tf.bfloat16: 0.03, tf.float16: 0.003}[dtype]
    for compiled, eager in zip(function(x), both(x)):
        np.testing.assert_allclose(
            tf.cast(compiled, tf.float32),
            tf.cast(eager, tf.float32),
            rtol=tolerance,
            atol=tolerance,
        )


def test_maps_of_unknown_size():
    function = tf.function(
        lambda x: _value_and_gradient(local_response_norm, x)[0],
        input_signature=[tf.TensorSpec([None, None, None, 12])],
    )
    np.testing.assert_allclose(
        function(_noise(12)), local_response_norm(_noise(12)), rtol=1e-6
    )


def test_the_layer_passes_its_numbers_on():
    x = _noise(12)
    np.testing.assert_array_equal(LocalResponseNorm()(x), local_response_norm(x))
    layer = LocalResponseNorm(radius=2, bias=2.0, alpha=1e-4, beta=0.75)
    np.testing.assert_array_equal(layer(x), local_response_norm(x, 2, 2.0, 1e-4, 0.75))


@pytest.mark.parametrize(
    'wrong, right',
    [
        (dict(radius=-1), dict(radius=0)),
        (dict(bias=0.0), dict(bias=0.1)),
        (dict(alpha=-0.1), dict(alpha=0.0)),
    ],
)
def test_numbers_out_of_range(wrong, right):
    local_response_norm(_noise(3), **right)
    name, value = next(iter(wrong.items()))
    with pytest.raises(ValueError, match=f'Expected radius >= 0.*{name}={value}'):
        local_response_norm(_noise(3), **wrong)
