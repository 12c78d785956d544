"""Properties of every model in the registry."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from vision.errors import UserError
from vision.layers import Dropout
from vision.models import (
    MODELS,
    create,
    defaults,
    option_names,
)

CLASSES = 3
SEED = tf.constant([1, 2])

# The smallest images that a model takes, where that is not 32 pixels.
SMALLEST = {'small_cnn': 4, 'cifar_cnn': 8}

WITH_HEADS = [name for name in MODELS if 'auxiliary' in option_names(name)]

every_model = pytest.mark.parametrize('name', MODELS)
# Properties that all models have from `Network`: of one with batch norm and dropout,
# and of one with auxiliary heads.
two_models = pytest.mark.parametrize('name', ['cifar_cnn', 'inception_v1'])


@functools.cache
def _model(name: str, **options) -> tf.Module:
    """A model for all tests that do not depend on averages of batch norms."""
    tf.random.set_seed(1)
    return create(name, classes=CLASSES, **{'image_size': 32, **options})


def _no_dropout(name: str) -> dict[str, float]:
    """The options that set all dropout rates of a model to 0."""
    return {option: 0.0 for option in option_names(name) if 'dropout' in option}


def _images(count: int = 2, height: int = 32, width: int = 32) -> tf.Tensor:
    rng = np.random.default_rng(1)
    return tf.constant(rng.integers(0, 256, [count, height, width, 3], np.uint8))


def _assert_close(actual: tf.Tensor, expected: tf.Tensor, tolerance: float = 1e-5):
    """Compares to a share of the largest expected value."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


def _gradients(model: tf.Module, images: tf.Tensor) -> list[tf.Tensor]:
    with tf.GradientTape() as tape:
        outputs = model(images, training=True, seed=SEED)
        labels = tf.range(len(images)) % CLASSES
        loss = tf.add_n(
            [
                tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                )
                for logits in (outputs.main, *outputs.aux)
            ]
        )
    return tape.gradient(loss, model.trainable_variables)


@every_model
@pytest.mark.parametrize('size', [32, pytest.param('default', marks=pytest.mark.slow)])
def test_every_variable_has_a_gradient(name, size):
    size = defaults(name)['image_size'] if size == 'default' else size
    tf.random.set_seed(1)
    model = create(name, classes=CLASSES, image_size=size, **_no_dropout(name))
    gradients = _gradients(model, _images(4, size, size))
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient.shape == variable.shape
        assert np.isfinite(gradient).all(), variable.name
        assert np.abs(gradient).max() > 0, variable.name


@every_model
@pytest.mark.parametrize('dtype', [tf.float32, tf.bfloat16, tf.float16])
def test_logits_are_float32_in_every_type(name, dtype):
    model = _model(name, dtype=dtype)
    outputs = model(_images(), training=True, seed=SEED)
    for logits in (outputs.main, *outputs.aux):
        assert logits.dtype == tf.float32 and logits.shape == (2, CLASSES)
        assert np.isfinite(logits).all()
    assert {v.dtype for v in model.variables} == {tf.float32}


@functools.cache
def _first_logits(name: str, dtype: tf.DType) -> np.ndarray:
    """The logits of a model that has not been trained."""
    tf.random.set_seed(1)
    return create(name, classes=CLASSES, image_size=32, dtype=dtype)(_images()).main


@every_model
@pytest.mark.parametrize('dtype, tolerance', [(tf.bfloat16, 0.05), (tf.float16, 0.01)])
def test_half_precision_is_close_to_float32(name, dtype, tolerance):
    logits = [_first_logits(name, arithmetic) for arithmetic in (dtype, tf.float32)]
    # MobileNetV2 rounds in 53 convolutions one after the other.
    _assert_close(*logits, 2 * tolerance if name == 'mobilenet_v2' else tolerance)


@every_model
def test_auxiliary_heads_are_computed_in_training_only(name):
    model = _model(name)
    heads = 2 if name in WITH_HEADS else 0
    assert len(model(_images(), training=True, seed=SEED).aux) == heads
    assert len(model.heads) == heads
    assert model(_images()).aux == ()


@two_models
def test_inference_is_deterministic(name):
    model = _model(name)
    np.testing.assert_array_equal(model(_images()).main, model(_images()).main)


@two_models
def test_training_is_determined_by_the_seed(name):

    def logits(seed: list[int]) -> list[tf.Tensor]:
        model = _model(name, dropout=0.5)
        outputs = model(_images(), training=True, seed=tf.constant(seed))
        return [outputs.main, *outputs.aux]

    for first, again, other in zip(logits([1, 2]), logits([1, 2]), logits([1, 3])):
        np.testing.assert_array_equal(first, again)
        assert (first != other).numpy().any()


@two_models
def test_training_with_dropout_needs_a_seed(name):
    with pytest.raises(ValueError, match='Expected a seed'):
        _model(name, dropout=0.5)(_images(), training=True)


@two_models
def test_training_without_dropout_needs_none(name):
    model = _model(name, **_no_dropout(name))
    assert np.isfinite(model(_images(), training=True).main).all()


@two_models
def test_an_image_does_not_depend_on_its_batch(name):
    model, images = _model(name), _images(3)
    _assert_close(model(images).main[:1], model(images[:1]).main)


@two_models
def test_uint8_and_float_images_agree(name):
    model, images = _model(name), _images()
    np.testing.assert_array_equal(
        model(images).main, model(tf.cast(images, tf.float32)).main
    )


@every_model
def test_inference_on_images_of_any_shape(name):
    model = _model(name, pooling='average')
    function = tf.function(
        model, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)]
    )
    for height, width in [(32, 32), (33, 47)]:
        images = _images(1, height, width)
        _assert_close(function(images).main, model(images).main)


@every_model
def test_training_on_larger_images_than_the_model_is_made_for(name):
    model = _model(name, pooling='average')
    outputs = model(_images(2, 64, 64), training=True, seed=SEED)
    shapes = [logits.shape for logits in (outputs.main, *outputs.aux)]
    assert shapes == [(2, CLASSES)] * (3 if name in WITH_HEADS else 1)


@pytest.mark.parametrize('name', WITH_HEADS)
def test_training_on_oblong_images(name):
    with pytest.raises(ValueError, match='Expected square images'):
        _model(name)(_images(2, 64, 96), training=True, seed=SEED)


@every_model
def test_a_checkpoint_brings_the_logits_back(name, tmp_path):
    model = create(name, classes=CLASSES, image_size=32)
    model(_images(), training=True, seed=SEED)  # moves batch norm's averages
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / 'weights'))
    other = create(name, classes=CLASSES, image_size=32)
    assert (other(_images()).main != model(_images()).main).numpy().any()
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    np.testing.assert_array_equal(other(_images()).main, model(_images()).main)
    after, before = (network(_images(), True, SEED) for network in (other, model))
    for actual, expected in zip((after.main, *after.aux), (before.main, *before.aux)):
        np.testing.assert_array_equal(actual, expected)


@two_models
def test_the_global_seed_decides_the_weights(name):

    def weights() -> list[np.ndarray]:
        tf.random.set_seed(5)
        return [v.numpy() for v in create(name, classes=2, image_size=32).variables]

    for first, again in zip(weights(), weights()):
        np.testing.assert_array_equal(first, again)


@every_model
def test_all_kernels_have_different_values(name):
    kernels = [v for v in _model(name).trainable_variables if v.shape.rank > 1]
    assert len({kernel.numpy().ravel()[0] for kernel in kernels}) == len(kernels)


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=() if name == 'inception_v1' else pytest.mark.slow)
        for name in MODELS
    ],
)
def test_compiled_inference_is_the_same(name):
    model = _model(name)
    compiled = tf.function(lambda images: model(images).main, jit_compile=True)
    _assert_close(compiled(_images()), model(_images()).main)


@pytest.mark.slow
def test_compiled_training_is_the_same():
    model = _model('inception_v1', dropout=0.0, aux_dropout=0.0)
    compiled = tf.function(lambda images: _gradients(model, images), jit_compile=True)
    for actual, expected in zip(compiled(_images()), _gradients(model, _images())):
        _assert_close(actual, expected, 1e-4)


@pytest.mark.parametrize(
    'wrong, right, error, message',
    [
        (
            dict(classes=1),
            dict(classes=2),
            ValueError,
            'at least 2 classes, received 1',
        ),
        (
            dict(normalization='none'),
            dict(normalization='unit'),
            UserError,
            "Expected a normalization of raw, .*, caffe; received 'none'",
        ),
        (
            dict(dropout=1.0),
            dict(dropout=0.9),
            ValueError,
            r'rate in \[0, 1\), received 1.0',
        ),
    ],
)
def test_options_out_of_range(wrong, right, error, message):
    options = {'classes': 2, 'image_size': 32}
    create('cifar_cnn', **{**options, **right})
    with pytest.raises(error, match=message):
        create('cifar_cnn', **{**options, **wrong})


@every_model
def test_the_smallest_images(name):
    smallest = SMALLEST.get(name, 32)
    model = create(name, classes=CLASSES, image_size=smallest)
    assert model(_images(2, smallest, smallest)).main.shape == (2, CLASSES)
    below = smallest - 1
    message = f'at least {smallest} pixels for {name}, received image_size={below}'
    with pytest.raises(ValueError, match=message):
        create(name, classes=CLASSES, image_size=below)


@pytest.mark.parametrize(
    'name, hint',
    [
        ('inception_v2', 'Did you mean inception_v1?'),
        ('google_net', 'Did you mean googlenet?'),
        ('resnet50', "received 'resnet50'."),
    ],
)
def test_an_unknown_name_is_reported_with_the_closest(name, hint):
    for function in (create, defaults):
        with pytest.raises(UserError) as error:
            function(name)
        assert str(error.value).startswith('Expected a model of inception_v1, ')
        assert str(error.value).endswith(hint)


@every_model
def test_the_name_and_the_defaults_are_those_that_the_model_has(name):
    model = create(name, classes=2)
    assert model.normalization == defaults(name)['normalization']
    assert model.image_size == defaults(name)['image_size']


@every_model
def test_all_dropouts_have_different_masks(name):
    model = _model(name)
    dropouts = [m for m in model.submodules if isinstance(m, Dropout)]
    assert len({dropout.salt for dropout in dropouts}) == len(dropouts)
