"""Properties of every model in the registry, and of what `create` makes."""

import functools
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from tiny_network import SIZE, tiny_network

from vision.errors import UserError
from vision.layers import Dropout
from vision.models import (
    MODELS,
    Network,
    Outputs,
    create,
    defaults,
    option_names,
)
from vision.models.pretrained import variables_by_path

CLASSES = 3
SEED = tf.constant([1, 2])

# The smallest images that a model takes, where that is not 32 pixels.
SMALLEST = {'small_cnn': 4, 'cifar_cnn': 8}

# Sizes and normalizations of images in the papers and the book.
PUBLISHED = {
    'inception_v1': (56, 'symmetric'),
    'inception_v1_compact': (56, 'symmetric'),
    'inception_v1_bn': (64, 'symmetric'),
    'googlenet': (224, 'caffe'),
    'small_cnn': (160, 'raw'),
    'cifar_cnn': (32, 'unit'),
    'mobilenet_v2': (224, 'symmetric'),
    'xception': (299, 'symmetric'),
}

WITH_HEADS = [name for name in MODELS if 'auxiliary' in option_names(name)]


@pytest.fixture(scope='module', params=MODELS)
def name(request) -> str:
    """Every model; all tests of one run before those of the next."""
    return request.param


class Made(NamedTuple):
    """A model, and what it computes before and in its only step of training.

    The tests leave its weights; the averages of its batch norms may have moved.
    """

    model: Network
    inference: Outputs
    training: Outputs
    gradients: list[tf.Tensor] | None


@functools.lru_cache(4)
def _made(name: str, dtype: tf.DType) -> Made:
    """A model for images of 32 pixels; its gradients are computed in float32."""
    tf.random.set_seed(1)
    model = create(name, classes=CLASSES, image_size=32, dtype=dtype)
    inference = model(_images())
    if dtype == tf.float32:
        return Made(model, inference, *_step(model, _images(4)))
    return Made(model, inference, model(_images(), training=True, seed=SEED), None)


def _for_any_shape(name: str) -> Network:
    """The model, or one like it without layers for maps of one size only."""
    if defaults(name).get('pooling', 'average') == 'average':
        return _made(name, tf.float32).model
    tf.random.set_seed(1)
    return create(name, classes=CLASSES, image_size=32, pooling='average')


def _cifar_cnn(**options) -> Network:
    small = {'filters': (8, 8), 'dense': (8,), 'block_dropout': 0.0, 'dropout': 0.0}
    return create('cifar_cnn', classes=CLASSES, image_size=SIZE, **small | options)


# Properties that all models have from `Network`: of one with batch norm and dropout,
# and of one with auxiliary heads.
two_networks = pytest.mark.parametrize('make', [_cifar_cnn, tiny_network])


def _images(count: int = 2, height: int = 32, width: int = 32) -> tf.Tensor:
    rng = np.random.default_rng(1)
    return tf.constant(rng.integers(0, 256, [count, height, width, 3], np.uint8))


def _small_images(count: int = 2) -> tf.Tensor:
    return _images(count, SIZE, SIZE)


def _assert_close(actual: tf.Tensor, expected: tf.Tensor, tolerance: float = 1e-5):
    """Compares to a share of the largest expected value."""
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * np.abs(expected).max()
    )


def _step(model: Network, images: tf.Tensor) -> tuple[Outputs, list[tf.Tensor]]:
    """What training computes: the logits of all heads, and the gradients."""
    with tf.GradientTape() as tape:
        outputs = model(images, training=True, seed=SEED)
        labels = tf.range(tf.shape(images)[0]) % CLASSES
        loss = tf.add_n(
            [
                tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                )
                for logits in (outputs.main, *outputs.aux)
            ]
        )
    return outputs, tape.gradient(loss, model.trainable_variables)


def _assert_gradients(model: Network, gradients: list[tf.Tensor]) -> None:
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient.shape == variable.shape
        assert np.isfinite(gradient).all(), variable.name
        assert np.abs(gradient).max() > 0, variable.name


def test_every_variable_has_a_gradient(name):
    made = _made(name, tf.float32)
    _assert_gradients(made.model, made.gradients)


@pytest.mark.slow
def test_every_variable_has_a_gradient_at_the_model_s_own_size(name):
    tf.random.set_seed(1)
    model = create(name, classes=CLASSES)
    size = model.image_size
    assert size == defaults(name)['image_size']
    _assert_gradients(model, _step(model, _images(2, size, size))[1])


@pytest.mark.parametrize('dtype', [tf.float32, tf.bfloat16, tf.float16])
def test_logits_are_float32_in_every_type(name, dtype):
    model, inference, training, _ = _made(name, dtype)
    assert {v.dtype for v in model.variables} == {tf.float32}
    for logits in (inference.main, training.main, *training.aux):
        assert logits.dtype == tf.float32 and logits.shape[1:] == [CLASSES]
        assert np.isfinite(logits).all()


@pytest.mark.parametrize('dtype, tolerance', [(tf.bfloat16, 0.05), (tf.float16, 0.01)])
def test_half_precision_is_close_to_float32(name, dtype, tolerance):
    half, exact = (_made(name, arithmetic) for arithmetic in (dtype, tf.float32))
    assert half.model.dtype == dtype
    # MobileNetV2 rounds in 53 convolutions one after the other.
    tolerance *= 2 if name == 'mobilenet_v2' else 1
    _assert_close(half.inference.main, exact.inference.main, tolerance)


def test_auxiliary_heads_are_computed_in_training_only(name):
    model, inference, training, _ = _made(name, tf.float32)
    heads = 2 if name in WITH_HEADS else 0
    assert len(training.aux) == len(model.heads) == heads
    assert inference.aux == ()


def test_every_head_in_inference(name):
    model = _made(name, tf.float32).model
    outputs = model.every_head(_images())
    assert len(outputs.aux) == len(model.heads)
    np.testing.assert_array_equal(outputs.main, model(_images()).main)
    for (stage, head), logits in zip(model.heads.items(), outputs.aux):
        np.testing.assert_array_equal(logits, head(model.until(stage, _images())))


def test_two_halves_are_the_network(name):
    model = _made(name, tf.float32).model
    middle = list(model.stages)[len(model.stages) // 2]
    x = model.until(middle, _images())
    np.testing.assert_array_equal(model.after(middle, x).main, model(_images()).main)


@two_networks
def test_inference_is_deterministic(make):
    network = make()
    np.testing.assert_array_equal(
        network(_small_images()).main, network(_small_images()).main
    )


@pytest.mark.parametrize(
    'make, option',
    [
        (_cifar_cnn, 'block_dropout'),
        (_cifar_cnn, 'dropout'),
        (_cifar_cnn, 'feature_dropout'),
        (tiny_network, 'dropout'),
        (tiny_network, 'aux_dropout'),
    ],
)
def test_the_seed_decides_the_masks_of_each_dropout(make, option):
    network = make(**{option: 0.5})

    def logits(seed: list[int]) -> list[tf.Tensor]:
        outputs = network(_small_images(), training=True, seed=tf.constant(seed))
        return list(outputs.aux if option == 'aux_dropout' else [outputs.main])

    for first, again, other in zip(logits([1, 2]), logits([1, 2]), logits([1, 3])):
        np.testing.assert_array_equal(first, again)
        assert (first != other).numpy().any()
    with pytest.raises(ValueError, match='Expected a seed'):
        network(_small_images(), training=True)


@two_networks
def test_training_without_dropout_needs_no_seed(make):
    assert np.isfinite(make()(_small_images(), training=True).main).all()


@two_networks
def test_an_image_does_not_depend_on_its_batch(make):
    network, images = make(), _small_images(3)
    _assert_close(network(images).main[:1], network(images[:1]).main)


@two_networks
def test_uint8_and_float_images_agree(make):
    network, images = make(), _small_images()
    np.testing.assert_array_equal(
        network(images).main, network(tf.cast(images, tf.float32)).main
    )


@two_networks
def test_the_global_seed_decides_the_weights(make):

    def weights() -> list[np.ndarray]:
        tf.random.set_seed(5)
        return [v.numpy() for v in make().variables]

    for first, again in zip(weights(), weights()):
        np.testing.assert_array_equal(first, again)


def test_inference_on_images_of_any_shape(name):
    model = _for_any_shape(name)
    function = tf.function(
        model,
        input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)],
        autograph=False,
    )
    for height, width in [(32, 32), (33, 47)]:
        images = _images(1, height, width)
        _assert_close(function(images).main, model(images).main)


def test_training_on_larger_images_than_the_model_is_made_for(name):
    outputs = _for_any_shape(name)(_images(2, 64, 64), training=True, seed=SEED)
    shapes = [logits.shape for logits in (outputs.main, *outputs.aux)]
    assert shapes == [(2, CLASSES)] * (3 if name in WITH_HEADS else 1)


def test_training_on_oblong_images():
    with pytest.raises(ValueError, match='Expected square images'):
        tiny_network()(_images(2, 8, 12), training=True)


def test_a_checkpoint_brings_the_logits_back(name, tmp_path):
    model = _made(name, tf.float32).model  # whose averages have moved
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / 'weights'))
    tf.random.set_seed(2)
    other = create(name, classes=CLASSES, image_size=32)
    first = next(iter(model.stages))
    kernels = [network.stages[first].conv.kernel for network in (other, model)]
    assert not np.array_equal(*kernels)
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    after, before = other.every_head(_images()), model.every_head(_images())
    for actual, expected in zip((after.main, *after.aux), (before.main, *before.aux)):
        np.testing.assert_array_equal(actual, expected)


def test_every_variable_has_a_path(name):
    model = _made(name, tf.float32).model
    paths = variables_by_path(model)
    assert {id(v) for v in paths.values()} == {id(v) for v in model.variables}
    assert len(paths) == len(model.variables)
    assert all(path.startswith(('stages/', 'head/', 'heads/')) for path in paths)


def test_all_kernels_have_different_values(name):
    kernels = [
        v for v in _made(name, tf.float32).model.trainable_variables if v.shape.rank > 1
    ]
    assert len({kernel.numpy().ravel()[0] for kernel in kernels}) == len(kernels)


def test_all_dropouts_have_different_masks(name):
    dropouts = [
        m for m in _made(name, tf.float32).model.submodules if isinstance(m, Dropout)
    ]
    assert len({dropout.salt for dropout in dropouts}) == len(dropouts)


def test_the_name_and_the_defaults_are_those_that_the_model_has(name):
    model = _made(name, tf.float32).model
    assert (model.name, model.image_size) == (name, 32)
    assert model.normalization == defaults(name)['normalization']
    assert defaults(name)['image_size'] >= model.min_image_size


@pytest.mark.parametrize('name', PUBLISHED)
def test_the_defaults_are_the_published_ones(name):
    made_for = defaults(name)
    assert (made_for['image_size'], made_for['normalization']) == PUBLISHED[name]


def test_the_smallest_images(name):
    assert _made(name, tf.float32).model.min_image_size == SMALLEST.get(name, 32)


# Of the others the tests take 32 pixels, the smallest size.
@pytest.mark.parametrize('name, smallest', SMALLEST.items())
def test_images_below_the_smallest_are_refused(name, smallest):
    model = create(name, classes=CLASSES, image_size=smallest)
    assert model(_images(2, smallest, smallest)).main.shape == (2, CLASSES)
    below = smallest - 1
    message = f'at least {smallest} pixels for {name}, received image_size={below}'
    with pytest.raises(ValueError, match=message):
        create(name, classes=CLASSES, image_size=below)


@pytest.mark.slow
@two_networks
def test_compiled_training_is_the_same(make):
    network, images = make(), _small_images()

    @tf.function(jit_compile=True, autograph=False)
    def compiled(images: tf.Tensor) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        outputs, gradients = _step(network, images)
        return [outputs.main, *outputs.aux], gradients

    outputs, gradients = _step(network, images)
    actual = compiled(images)
    for value, expected in zip(actual[0], (outputs.main, *outputs.aux), strict=True):
        _assert_close(value, expected)
    for value, expected in zip(actual[1], gradients, strict=True):
        _assert_close(value, expected, 1e-4)


@two_networks
def test_compiled_inference_is_the_same_in_small(make):
    network, images = make(), _small_images()
    compiled = tf.function(network.every_head, jit_compile=True, autograph=False)
    actual, expected = compiled(images), network.every_head(images)
    for value, other in zip((actual.main, *actual.aux), (expected.main, *expected.aux)):
        _assert_close(value, other)


# The others are made of the same layers.
@pytest.mark.slow
@pytest.mark.parametrize(
    'name', ['inception_v1', 'inception_v1_bn', 'mobilenet_v2', 'xception']
)
def test_compiled_inference_is_the_same(name):
    tf.random.set_seed(1)
    model = create(name, classes=CLASSES, image_size=32)
    compiled = tf.function(
        lambda images: model(images).main, jit_compile=True, autograph=False
    )
    _assert_close(compiled(_images()), model(_images()).main)


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
            dict(groups=2),
            dict(filters=(4,)),
            ValueError,
            'options of cifar_cnn, classes, image_size, .*; received groups.',
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
