import keras
import numpy as np
import pytest
import tensorflow as tf

from vision.layers import Head

SEED = tf.constant([1, 2])


def _map(side: int = 4, channels: int = 5) -> tf.Tensor:
    values = np.random.default_rng(1).normal(size=[3, side, side, channels])
    return tf.constant(values, tf.float32)


@pytest.mark.parametrize(
    'pooling, layer',
    [
        ('average', keras.layers.GlobalAveragePooling2D()),
        ('max', keras.layers.GlobalMaxPooling2D()),
        ('flatten', keras.layers.Flatten()),
    ],
)
@pytest.mark.parametrize('dense', [(), (6,), (6, 4)])
def test_agrees_with_keras(pooling, layer, dense):
    head = Head(5, 4, 3, pooling=pooling, dense=dense)
    dense_layers = [*head.dense, head.classifier]
    for number, block in enumerate(dense_layers):
        block.bias.assign(np.linspace(number, number + 1, block.bias.shape[0]))
    twin = keras.Sequential([keras.Input([4, 4, 5]), layer])
    for width in dense:
        twin.add(keras.layers.Dense(width, activation='relu'))
    twin.add(keras.layers.Dense(3))
    twin.set_weights(
        [v.numpy() for block in dense_layers for v in (block.kernel, block.bias)]
    )
    np.testing.assert_allclose(head(_map()), twin(_map()), atol=1e-5)
    np.testing.assert_allclose(head.pool(_map()), layer(_map()), atol=1e-6)


@pytest.mark.parametrize('pooling', ['average', 'max'])
def test_pooling_of_maps_of_any_size(pooling):
    assert Head(5, 4, 3, pooling=pooling)(_map(7)).shape == (3, 3)


def test_flattening_requires_the_map_size_of_the_head():
    head = Head(5, 4, 3, pooling='flatten')
    assert head(_map()).shape == (3, 3)
    message = r'shape \(4, 4, 5\) .* received \(2, 2, 20\)'
    with pytest.raises(ValueError, match=message):
        head(_map(2, 20))  # as many values in each image


def test_flattening_checks_maps_whose_shape_was_unknown_when_traced():
    head = Head(5, 4, 3, pooling='flatten')
    signature = [tf.TensorSpec([None, None, None, None])]
    function = tf.function(head, input_signature=signature)
    np.testing.assert_allclose(function(_map()), head(_map()), atol=1e-6)
    with pytest.raises(tf.errors.InvalidArgumentError, match='not compatible'):
        function(_map(2, 20))


@pytest.mark.parametrize(
    'options',
    [{'dropout': 0.5}, {'feature_dropout': 0.5}, {'dropout': 0.5, 'dense': (20,)}],
)
def test_dropout_only_in_training(options):
    head = Head(5, 4, 3, **options)
    np.testing.assert_array_equal(head(_map()), head(_map()))
    dropped = head(_map(), True, SEED)
    assert (dropped != head(_map())).numpy().any()
    np.testing.assert_array_equal(dropped, head(_map(), True, SEED))
    with pytest.raises(ValueError, match='Expected a seed'):
        head(_map(), True)


def test_features_are_dropped_in_front_of_the_dense_layers():
    head = Head(50, 4, 3, dense=(8,), feature_dropout=0.5)
    head.dense[0].kernel.assign(tf.ones([50, 8]))
    head.classifier.kernel.assign(tf.ones([8, 3]))
    counts = head.classify(tf.ones([2, 50]), True, SEED).numpy() / (2 * 8)
    assert ((counts > 10) & (counts < 40)).all() and counts[0, 0] == counts[0, 1]


@pytest.mark.parametrize('dtype', [tf.bfloat16, tf.float16])
def test_half_precision_returns_float32_logits(dtype):
    head = Head(5, 4, 3, dense=(6,), dtype=dtype)
    logits = head(tf.cast(_map(), dtype))
    assert logits.dtype == tf.float32
    assert {v.dtype for v in head.variables} == {tf.float32}


@pytest.mark.parametrize(
    'wrong, right, message',
    [
        (
            {'pooling': 'sum'},
            {'pooling': 'max'},
            "pooling of average, max, flatten; received 'sum'",
        ),
        ({'dense': (8, 0)}, {'dense': (8, 1)}, r'at least 1 unit, received \(8, 0\)'),
        ({'dropout': 1.0}, {'dropout': 0.9}, r'rate in \[0, 1\), received 1.0'),
        ({'feature_dropout': -0.1}, {'feature_dropout': 0.0}, 'received -0.1'),
    ],
)
def test_options_out_of_range(wrong, right, message):
    Head(5, 4, 3, **right)
    with pytest.raises(ValueError, match=message):
        Head(5, 4, 3, **wrong)
