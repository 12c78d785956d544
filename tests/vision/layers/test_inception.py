import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.layers import AuxiliaryHead, ConvBlock, InceptionBlock
from vision.layers.inception import Widths

WIDTHS = Widths(conv1=6, reduce3=4, conv3=8, reduce5=3, conv5=5, pool=7)
SEED = tf.constant([1, 2])


def _noise(*shape: int) -> tf.Tensor:
    return tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)


def _conv(block: ConvBlock, x, training: bool = False):
    """The same block of Keras layers, with the same weights."""
    conv = keras.layers.Conv2D(
        block.conv.kernel.shape[-1],
        block.conv.kernel.shape[0],
        padding='same',
        use_bias=block.norm is None,
    )
    y = conv(x)
    conv.set_weights([v for v in (block.conv.kernel, block.conv.bias) if v is not None])
    if block.norm is not None:
        norm = keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-3)
        y = norm(y, training=training)
    return keras.layers.ReLU()(y)


def _keras_block(block: InceptionBlock, shape: tuple, training: bool) -> keras.Model:
    x = keras.Input(shape)
    pooled = keras.layers.MaxPooling2D(3, 1, padding='same')(x)
    branches = [
        _conv(block.conv1, x, training),
        _conv(block.conv3, _conv(block.reduce3, x, training), training),
        _conv(block.conv5, _conv(block.reduce5, x, training), training),
        _conv(block.project, pooled, training),
    ]
    return keras.Model(x, keras.layers.Concatenate()(branches))


@pytest.mark.parametrize('batch_norm', [False, True])
@pytest.mark.parametrize('training', [False, True])
def test_block_agrees_with_keras(batch_norm, training):
    x = _noise(2, 7, 6, 9)
    block = InceptionBlock(9, WIDTHS, batch_norm=batch_norm)
    expected = _keras_block(block, x.shape[1:], training)(x)
    y = block(x, training)
    assert y.shape == (2, 7, 6, WIDTHS.out) and WIDTHS.out == 6 + 8 + 5 + 7
    np.testing.assert_allclose(y, expected, atol=1e-4)


def test_block_gradient_agrees_with_keras():
    x = _noise(2, 7, 6, 9)
    block = InceptionBlock(9, WIDTHS)
    twin = _keras_block(block, x.shape[1:], False)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.sin(block(x)))
        expected_loss = tf.reduce_sum(tf.sin(twin(x)))
    np.testing.assert_allclose(
        tape.gradient(loss, x), tape.gradient(expected_loss, x), atol=1e-4
    )


@pytest.mark.parametrize('batch_norm', [False, True])
def test_every_convolution_of_a_block_has_the_option(batch_norm):
    block = InceptionBlock(9, WIDTHS, batch_norm=batch_norm)
    assert len(block.trainable_variables) == (18 if batch_norm else 12)


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_block_in_half_precision(dtype):
    block = InceptionBlock(9, WIDTHS, dtype=dtype)
    assert block(tf.cast(_noise(2, 7, 6, 9), dtype)).dtype == dtype
    assert {v.dtype for v in block.variables} == {tf.float32}


@pytest.mark.parametrize(
    'map_size, cells', [(14, 4), (8, 2), (7, 1), (5, 1), (4, 1), (2, 1)]
)
def test_head_pools_as_in_the_paper_and_shrinks_with_the_map(map_size, cells):
    head = AuxiliaryHead(3, map_size, classes=5)
    assert head.dense.kernel.shape == (128 * cells**2, 1024)
    assert head(_noise(2, map_size, map_size, 3)).shape == (2, 5)


@pytest.mark.parametrize('map_size', [14, 4])
def test_head_agrees_with_keras(map_size):
    head = AuxiliaryHead(3, map_size, classes=5)
    x = keras.Input([map_size, map_size, 3])
    y = keras.layers.AveragePooling2D(min(5, map_size), 3)(x)
    y = keras.layers.Flatten()(_conv(head.conv, y))
    dense, classifier = keras.layers.Dense(1024, 'relu'), keras.layers.Dense(5)
    twin = keras.Model(x, classifier(dense(y)))
    dense.set_weights([head.dense.kernel, head.dense.bias])
    classifier.set_weights([head.classifier.kernel, head.classifier.bias])
    images = _noise(2, map_size, map_size, 3)
    np.testing.assert_allclose(head(images), twin(images), atol=1e-5)


@pytest.mark.parametrize('made_for', [14, 8, 4, 2])
def test_head_on_maps_of_other_sizes(made_for):
    head = AuxiliaryHead(3, made_for, classes=5)
    for map_size in range(head.cells, 20):
        assert head(_noise(3, map_size, map_size, 3)).shape == (3, 5)


def test_head_averages_every_pixel_of_another_map():
    head = AuxiliaryHead(3, 14, classes=5)
    x = _noise(1, 11, 11, 3)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = head(x)
    assert (tf.reduce_max(tf.abs(tape.gradient(y, x)), -1).numpy() > 0).all()


def test_head_on_too_small_a_map():
    head = AuxiliaryHead(3, 14, classes=5)
    head(_noise(1, 4, 4, 3))
    with pytest.raises(
        ValueError, match='at least 4 pixels .* made for 14, received 3. Train on'
    ):
        head(_noise(1, 3, 3, 3))


def test_head_on_an_oblong_map():
    # 8×12 pooled as if square would make three images out of two.
    with pytest.raises(ValueError, match='Expected square images.* 8×12'):
        AuxiliaryHead(3, 8, classes=5)(_noise(2, 8, 12, 3))


def test_head_on_a_map_of_unknown_size():
    head = AuxiliaryHead(3, 14, classes=5)
    maps = tf.TensorSpec([None, None, None, 3])
    with pytest.raises(ValueError, match='of a known size'):
        tf.function(head).get_concrete_function(maps)


def test_head_drops_features_in_training_only():
    head = AuxiliaryHead(3, 4, classes=5, dropout=0.7)
    x = _noise(2, 4, 4, 3)
    np.testing.assert_array_equal(head(x), head(x))
    np.testing.assert_array_equal(head(x, True, SEED), head(x, True, SEED))
    assert (head(x, True, SEED) != head(x)).numpy().any()
    other = AuxiliaryHead(3, 4, classes=5, dropout=0.7, salt=1)
    for variable, value in zip(other.variables, head.variables):
        variable.assign(value)
    assert (other(x, True, SEED) != head(x, True, SEED)).numpy().any()


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_head_in_half_precision_has_float32_logits(dtype):
    head = AuxiliaryHead(3, 4, classes=5, dtype=dtype)
    assert head(tf.cast(_noise(2, 4, 4, 3), dtype)).dtype == tf.float32
