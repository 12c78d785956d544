import numpy as np
import pytest
import tensorflow as tf
from tiny_network import tiny_network

from vision.layers import BatchNorm, ConvBlock, Dropout, MaxPool
from vision.models.network import Network

SEED = tf.constant([1, 2])


def _network(**options) -> Network:
    """Three convolutions with batch norm, a pool and a dropout between them."""
    tf.random.set_seed(1)
    dtype = options.get('dtype', tf.float32)
    stages = {
        'first': ConvBlock(3, 4, 3, batch_norm=True, dtype=dtype),
        'second': ConvBlock(4, 5, 3, batch_norm=True, dtype=dtype),
        'pool': MaxPool(2, 2),
        'drop': Dropout(0.5, 10),
        'third': ConvBlock(5, 6, 3, batch_norm=True, dtype=dtype),
    }
    options = {'classes': 3, 'image_size': 8, 'normalization': 'unit', **options}
    return Network(stages, 6, 4, min_image_size=2, **options)


def _images(seed: int = 1) -> tf.Tensor:
    rng = np.random.default_rng(seed)
    return tf.constant(rng.integers(0, 256, [4, 8, 8, 3], np.uint8))


def _names(network: Network) -> set[str]:
    """The stages, heads and kinds of variables that training changes."""
    parts = {**network.stages, **network.heads, 'head': network.head}
    trainable = {id(variable) for variable in network.trainable_variables}
    return {
        f'{name}/{variable.name[:-2]}'
        for name, part in parts.items()
        for variable in part.variables
        if id(variable) in trainable
    }


def _of(*stages: str, norm: bool = True) -> set[str]:
    kinds = ['kernel', *(['scale', 'offset'] if norm else [])]
    return {f'{stage}/{kind}' for stage in stages for kind in kinds}


HEAD = {'head/kernel', 'head/bias'}


@pytest.mark.parametrize(
    'stages, batch_norms, expected',
    [
        (None, False, _of('first', 'second', 'third') | HEAD),
        (0, False, HEAD),
        (1, False, _of('third') | HEAD),
        (2, False, _of('second', 'third') | HEAD),
        (3, False, _of('first', 'second', 'third') | HEAD),
        (None, True, _of('first', 'second', 'third', norm=False) | HEAD),
        (2, True, _of('second', 'third', norm=False) | HEAD),
        (0, True, HEAD),
    ],
)
def test_what_remains_trainable(stages, batch_norms, expected):
    network = _network()
    network.freeze(stages, batch_norms)
    assert _names(network) == expected


def test_freezing_again_replaces_what_was_frozen():
    network = _network()
    network.freeze(0, batch_norms=True)
    network.freeze(2)
    assert _names(network) == _of('second', 'third') | HEAD
    network.freeze()
    assert _names(network) == _of('first', 'second', 'third') | HEAD


@pytest.mark.parametrize(
    'stages, batch_norms, frozen',
    [
        (None, False, ''),
        (2, False, 'first'),
        (1, False, 'first second'),
        (0, False, 'first second third'),
        (None, True, 'first second third'),
    ],
)
def test_averages_of_frozen_batch_norms_stay(stages, batch_norms, frozen):
    network = _network()
    network.freeze(stages, batch_norms)
    network(_images(), training=True, seed=SEED)
    for name in ('first', 'second', 'third'):
        moved = np.abs(network.stages[name].norm.moving_mean).max() > 0
        assert moved == (name not in frozen.split()), name


def test_unfrozen_variables_have_the_averages_that_training_moves():
    network = _network()
    network.freeze(1)
    norm = network.stages['third'].norm
    unfrozen = {id(variable) for variable in network.unfrozen_variables}
    expected = network.trainable_variables + (norm.moving_mean, norm.moving_variance)
    assert unfrozen == {id(variable) for variable in expected}


def test_a_frozen_backbone_computes_in_training_what_it_does_in_inference():
    network = _network()
    for _ in range(3):  # averages that differ from the batch's
        network(_images(2), training=True, seed=SEED)
    trained = network(_images(), training=True, seed=SEED).main
    inference = network(_images()).main
    assert (trained != inference).numpy().any()
    network.freeze(0)  # the dropout between its stages is off as well
    np.testing.assert_array_equal(network(_images(), training=True).main, inference)


def test_dropout_in_front_of_the_first_trained_stage_is_frozen_too():
    network = _network()
    network.freeze(2)
    with pytest.raises(ValueError, match='Expected a seed'):
        network(_images(), training=True)
    network.freeze(1)
    network(_images(), training=True)


@pytest.mark.parametrize('wrong, right', [(-1, 0), (4, 3)])
def test_a_number_of_stages_out_of_range(wrong, right):
    network = _network()
    network.freeze(right)
    with pytest.raises(ValueError) as error:
        network.freeze(wrong)
    assert str(error.value) == (
        'Expected trainable_stages in 0..3, the stages of network with variables; '
        f'received {wrong}.'
    )


def test_batch_norms_of_auxiliary_heads_are_batch_norms_too():
    network = tiny_network(batch_norm=True)
    network.freeze(batch_norms=True)
    norms = [m for m in network.submodules if isinstance(m, BatchNorm)]
    frozen = {v.ref() for norm in norms for v in norm.variables}
    assert all(norm.frozen for norm in norms)
    assert any(
        norm in head.submodules for head in network.heads.values() for norm in norms
    )
    assert not frozen & {v.ref() for v in network.unfrozen_variables}


def test_depth_counts_the_stages_with_variables_from_the_head():
    network = _network()
    depths = {id(variable): depth for depth, variable in network.depths()}
    assert len(depths) == len(network.depths()) == len(network.trainable_variables)
    parts = {'first': 3, 'second': 2, 'third': 1}
    for name, depth in parts.items():
        for variable in network.stages[name].trainable_variables:
            assert depths[id(variable)] == depth, name
    for variable in network.head.variables:
        assert depths[id(variable)] == 0


def test_depth_of_auxiliary_heads_is_that_of_the_head():
    network = tiny_network()
    depths = {id(variable): depth for depth, variable in network.depths()}
    for head in network.heads.values():
        assert {depths[id(variable)] for variable in head.trainable_variables} == {0}
    for name, depth in {'conv1': 3, 'inception_4a': 2, 'inception_4d': 1}.items():
        stage = network.stages[name].trainable_variables
        assert {depths[id(variable)] for variable in stage} == {depth}, name


def test_depths_are_those_of_what_is_trained():
    network = _network()
    network.freeze(1)
    assert {depth for depth, _ in network.depths()} == {0, 1}


@pytest.mark.parametrize('options', [{}, {'dense': (8,)}, {'pooling': 'flatten'}])
@pytest.mark.parametrize('dtype', [tf.float32, tf.bfloat16])
def test_classifying_the_features_equals_the_whole_network(options, dtype):
    network = _network(dtype=dtype, **options)
    features = network.features(_images())
    assert features.dtype == tf.float32 and features.shape == (4, network.head.features)
    np.testing.assert_allclose(
        network.classify(features).main, network(_images()).main, atol=1e-5
    )


def test_features_leave_the_averages():
    network = _network()
    network.features(_images())
    for module in network.submodules:
        if isinstance(module, BatchNorm):
            np.testing.assert_array_equal(
                module.moving_mean, tf.zeros_like(module.moving_mean)
            )


def test_dropout_of_features_is_that_of_the_whole_network():
    network = _network(dropout=0.5, feature_dropout=0.3, dense=(8,))
    network.freeze(0)
    features = network.features(_images())
    np.testing.assert_allclose(
        network.classify(features, training=True, seed=SEED).main,
        network(_images(), training=True, seed=SEED).main,
        atol=1e-6,
    )


def test_a_function_traced_after_freezing_leaves_what_is_frozen():
    network = _network()
    network.freeze(1)
    before = [v.numpy() for v in network.stages['second'].variables]

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(network(_images(), training=True, seed=SEED).main)
        return tape.gradient(loss, network.trainable_variables)

    assert all(gradient is not None for gradient in step())
    for variable, value in zip(network.stages['second'].variables, before):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize('make', [_network, tiny_network])
def test_halves_of_a_network_are_the_network(make):
    network = make()
    for _ in range(2):  # averages of batch norms that are not those of a fresh network
        network(_images(2), training=True, seed=SEED)
    expected = network(_images()).main
    for endpoint in network.stages:
        x = network.until(endpoint, _images())
        np.testing.assert_array_equal(network.after(endpoint, x).main, expected)


def test_an_endpoint_is_the_map_that_leaves_the_stage():
    network = _network()
    x = network.until('first', _images())
    assert x.shape == (4, 8, 8, 4)
    x = network.stages['pool'](network.stages['second'](x))
    np.testing.assert_array_equal(network.until('pool', _images()), x)
    # In inference a dropout changes nothing.
    np.testing.assert_array_equal(network.until('drop', _images()), x)
    assert network.after('drop', x).aux == ()


def test_a_gradient_by_a_map_needs_a_tape_around_the_second_half_only():
    network = _network()
    x = network.until('first', _images())
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = network.after('first', x).main[:, 1]
    assert np.abs(tape.gradient(logits, x)).max() > 0


@pytest.mark.parametrize(
    'endpoint, hint', [('seconds', ' Did you mean second?'), ('zebra', ''), ('', '')]
)
def test_an_endpoint_that_there_is_not(endpoint, hint):
    network = _network()
    for half in (network.until, network.after):
        with pytest.raises(ValueError) as error:
            half(endpoint, _images())
        assert str(error.value) == (
            'Expected an endpoint of network, first, second, pool, drop, third; '
            f'received {endpoint!r}.{hint}'
        )


def test_every_head_in_inference():
    network = tiny_network(batch_norm=True, dropout=0.5, aux_dropout=0.5)
    network(_images(2), training=True, seed=SEED)
    outputs = network.every_head(_images())
    np.testing.assert_array_equal(outputs.main, network(_images()).main)
    assert len(outputs.aux) == len(network.heads) == 2
    for (stage, head), logits in zip(network.heads.items(), outputs.aux):
        expected = head(network.until(stage, _images()))
        np.testing.assert_array_equal(logits, expected)


def test_heads_behind_a_frozen_backbone_predict_the_same_in_training():
    # With the heads' dropout off and their batch norms fixed, training is inference.
    network, images = tiny_network(batch_norm=True), _images()
    network(images, training=True, seed=SEED)
    trained = network(images, training=True, seed=SEED)
    inference = network.every_head(images)
    assert all((a != b).numpy().any() for a, b in zip(trained.aux, inference.aux))
    network.freeze(1, batch_norms=True)
    frozen = network(images, training=True, seed=SEED)
    for actual, expected in zip(
        (frozen.main, *frozen.aux), (inference.main, *inference.aux)
    ):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_estimated_batch_norms_infer_what_training_computes():
    network, images = tiny_network(batch_norm=True), _images()
    network.estimate_batch_statistics(images, tf.constant(1.0))
    inferred = network.every_head(images)
    trained = network(images, training=True, seed=SEED)
    for actual, expected in zip(
        (inferred.main, *inferred.aux), (trained.main, *trained.aux), strict=True
    ):
        np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_rates_of_dropout_by_the_options_that_change_them():
    assert _network(dropout=0.2, feature_dropout=0.1).dropout_rates == {
        'dropout': 0.2,
        'feature_dropout': 0.1,
    }
    rates = tiny_network(dropout=0.4, aux_dropout=0.7).dropout_rates
    assert rates == {'dropout': 0.4, 'feature_dropout': 0.0, 'aux_dropout': 0.7}


def test_estimation_needs_no_dropout_and_leaves_inference_unchanged():
    network = _network(dropout=0.5)
    network.estimate_batch_statistics(_images(), tf.constant(1.0))
    before = [variable.numpy() for variable in network.variables]
    network(_images(2))
    for variable, value in zip(network.variables, before):
        np.testing.assert_array_equal(variable, value)


def test_shares_add_up_to_all_images():
    network = _network()
    estimate = tf.function(network.estimate_batch_statistics, autograph=False)
    for count in (1, 2, 3):
        estimate(_images(count), tf.constant(1 / count))
    everything = tf.concat([_images(count) for count in (1, 2, 3)], 0)
    # Only what the first norm gets does not depend on how images are batched.
    norm = network.batch_norms()[0]
    assert norm is network.stages['first'].norm
    estimated = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    network.estimate_batch_statistics(everything, tf.constant(1.0))
    np.testing.assert_allclose(estimated[0], norm.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(estimated[1], norm.moving_variance, rtol=1e-5)


def test_averages_of_frozen_batch_norms_are_not_estimated():
    network = _network()
    network.freeze(1)
    before = {id(v): v.numpy() for v in network.variables}
    network.estimate_batch_statistics(_images(), tf.constant(1.0))
    changed = {
        name
        for name, stage in network.stages.items()
        if any((before[id(v)] != v.numpy()).any() for v in stage.variables)
    }
    assert changed == {'third'}
