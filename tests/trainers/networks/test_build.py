"""What the settings make of a network, and how mistakes in them are answered."""

import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainers.networks import build as networks
from trainers.settings.config import Config, ConfigError
from trainers.settings.parsing import MODEL_OPTIONS
from vision import data
from vision.errors import UserError
from vision.models import MODELS
from vision.models.specification import Specification


@pytest.fixture(scope='module')
def source() -> data.Source:
    return data.load('shapes')


@pytest.mark.parametrize(
    'model, texts, options',
    [
        ('mobilenet_v2', (), {}),
        ('mobilenet_v2', ('alpha:0.35',), {'alpha': 0.35}),
        ('mobilenet_v2', ('alpha:1',), {'alpha': 1.0}),
        (
            'small_cnn',
            ('filters:8', 'block_dropout:0'),
            {'filters': (8,), 'block_dropout': 0.0},
        ),
        (
            'cifar_cnn',
            ('filters:8-16-32', 'convolutions:2'),
            {'filters': (8, 16, 32), 'convolutions': 2},
        ),
    ],
)
def test_options_of_models(model, texts, options):
    actual = networks.model_options(Config(model=model, model_options=texts))
    assert actual == options
    assert list(map(type, actual.values())) == list(map(type, options.values()))


@pytest.mark.parametrize(
    'model, text, message',
    [
        ('mobilenet_v2', 'alpa:1', 'as NAME:VALUE of alpha:1; .* Did you mean alpha?'),
        ('mobilenet_v2', 'alpha:1-2', "such as alpha:1; received 'alpha:1-2'"),
        ('cifar_cnn', 'convolutions:1.5', 'such as convolutions:'),
        ('small_cnn', 'filters:0.5', "such as filters:16-32; received 'filters:0.5'"),
        ('googlenet', 'alpha:1', 'none, since it has no options of its own'),
        (
            'small_cnn',
            'dropout:0.5',
            'as NAME:VALUE of filters:16-32, block_dropout:0.3',
        ),
    ],
)
def test_options_that_a_model_does_not_have(model, text, message):
    config = Config(model=model, model_options=(text,))
    with pytest.raises(ConfigError, match=message):
        networks.model_options(config)


@pytest.mark.parametrize('model', MODELS)
def test_options_are_parsed_as_they_are_written(model):
    defaults = networks.option_defaults(model)
    texts = MODEL_OPTIONS.write(defaults)
    config = Config(model=model, model_options=texts)
    assert networks.model_options(config) == defaults


@pytest.mark.parametrize(
    'model, rates',
    [
        (
            'inception_v1_compact',
            {'dropout': 0.4, 'feature_dropout': 0.0, 'aux_dropout': 0.7},
        ),
        ('cifar_cnn', {'dropout': 0.5, 'feature_dropout': 0.0}),
    ],
)
def test_empty_dropout_rates_are_those_of_the_network(source, model, rates):
    given = dict.fromkeys(rates, 0.25)
    for settings, expected in (({}, rates), (given, given)):
        config = Config(model=model, **settings)
        specification = networks.specify(config, source.classes, source.image_size)
        network, _ = networks.build(config, specification, 'float32')
        assert network.dropout_rates == expected


def test_the_specification_rebuilds_the_network(source):
    config = Config(
        model='cifar_cnn',
        model_options=('filters:4-8',),
        pooling='max',
        dense=(6, 5),
        seed=3,
    )
    specification = networks.specify(config, source.classes, source.image_size)
    network, notes = networks.build(config, specification, 'float32')
    assert not notes
    text = json.dumps(specification.to_dict())
    again = Specification.from_dict(json.loads(text))
    assert again == specification
    copy = again.build()
    assert [v.shape for v in copy.variables] == [v.shape for v in network.variables]
    for target, variable in zip(copy.variables, network.variables):
        target.assign(variable)
    images = np.random.default_rng(1).integers(0, 256, [2, 32, 32, 3], np.uint8)
    np.testing.assert_array_equal(copy(images).main, network(images).main)


@pytest.mark.parametrize(
    'freeze, heads',
    [((), 2), (('last:2',), 2), (('backbone',), 0)],
)
def test_heads_in_front_of_a_frozen_backbone_are_left_out(source, freeze, heads):
    config = Config(model='inception_v1_compact', freeze=freeze)
    specification = networks.specify(config, source.classes, source.image_size)
    network, notes = networks.build(config, specification, 'float32')
    assert len(network.heads) == len(specification.build().heads) == heads
    random = (
        f'--freeze={",".join(freeze)} without --pretrained freezes random weights: '
        'pass --pretrained=imagenet, a file, or the folder of a run.'
    )
    assert notes == [random] * bool(freeze)


@pytest.mark.parametrize(
    'settings, error, message',
    [
        ({'model': 'mobilenet_v3'}, ConfigError, 'Did you mean mobilenet_v2?'),
        (
            {'model': 'mobilenet_v2', 'model_options': ('alpha:-1',)},
            ConfigError,
            'alpha above 0, received -1',
        ),
        (
            {'model': 'small_cnn', 'image_size_schedule': ('16@0', '32@1')},
            ConfigError,
            'compatible|shape',
        ),
        (
            {'model': 'xception', 'image_size': 16},
            ConfigError,
            'at least 32 pixels for xception',
        ),
        (
            {'model': 'cifar_cnn', 'image_size_schedule': ('32@0', '4@1')},
            ConfigError,
            'at least 8 pixels for cifar_cnn, received 4 in --image_size_sched',
        ),
        (
            {'model': 'small_cnn', 'precise_bn': 64},
            ConfigError,
            'Expected a network with batch norms for --precise_bn=64; received '
            '--model=small_cnn, which has none. Pass --precise_bn=0.',
        ),
    ],
)
def test_networks_that_cannot_be(source, settings, error, message):
    with pytest.raises(error, match=message):
        config = Config(**settings)
        networks.build(
            config,
            networks.specify(config, source.classes, source.image_size),
            'float32',
        )


def test_random_weights_follow_the_seed(source):
    kernels = []
    for seed in (1, 1, 2):
        config = Config(model='small_cnn', model_options=('filters:4',), seed=seed)
        specification = networks.specify(config, source.classes, 8)
        network, _ = networks.build(config, specification, 'float32')
        kernels.append(network.head.classifier.kernel.numpy())
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).any()


def test_a_phase_that_freezes_more_stages_than_there_are_is_named(source):
    for name in ('freeze', 'finetune_freeze'):
        with pytest.raises(ConfigError, match=f'--{name}: Expected trainable_stages'):
            config = Config(model='cifar_cnn', **{name: ('last:99',)})
            specification = networks.specify(config, source.classes, 32)
            networks.build(config, specification, 'float32')


def test_a_network_larger_than_the_memory_names_what_makes_it_large(
    source, monkeypatch
):
    def exhausted(specification: Specification, **options) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, 'out of memory.')

    config = Config(model='small_cnn')
    specification = networks.specify(config, source.classes, 32)
    monkeypatch.setattr(Specification, 'build', exhausted)
    with pytest.raises(ConfigError) as error:
        networks.build(config, specification, 'float32')
    assert str(error.value) == (
        'The network does not fit into memory: out of memory. Choose a smaller '
        '--dense or --model_options.'
    )


def networks_of(source: data.Source, **settings) -> None:
    """Builds a network with published weights."""
    config = Config(model='mobilenet_v2', pretrained='imagenet', **settings)
    specification = networks.specify(config, source.classes, source.image_size)
    networks.build(config, specification, 'float32')


def test_published_weights_that_are_not_there_are_fetched_on_request_only(
    source, tmp_path
):
    with pytest.raises(UserError) as error:
        networks_of(source, weights_dir=str(tmp_path))
    (file,) = re.findall(r' in (\S+), which', str(error.value))
    assert Path(file).parent == tmp_path and Path(file).name.startswith('mobilenet_v2')
    assert str(error.value) == (
        f'Expected the published weights of mobilenet_v2 in {file}, which is missing. '
        'Pass --download to download them, copy the file there, or pass another '
        '--weights_dir.'
    )
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match='which is missing.') as error:
        networks_of(source, data_dir=str(tmp_path))
    assert f' in {tmp_path / ".tapestry"}/mobilenet_v2' in str(error.value)
    with pytest.raises(UserError, match='a folder with the published') as error:
        networks_of(source)
    assert error.value.parameters == ('weights_dir', 'data_dir', 'download')


def test_published_weights_that_are_there_are_taken(source, tmp_path):
    config = Config(
        model='mobilenet_v2',
        pretrained='imagenet',
        model_options=('alpha:0.35',),
        weights_dir=str(tmp_path),
    )
    keras_model = keras.applications.MobileNetV2(
        [96, 96, 3], 0.35, include_top=False, weights=None
    )
    keras_model.save(
        tmp_path / 'mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_96_no_top.h5'
    )
    network, notes = networks.build(
        config, networks.specify(config, source.classes, source.image_size), 'float32'
    )
    (kernel,) = keras_model.get_layer('block_16_project').get_weights()
    np.testing.assert_array_equal(
        network.stages['block_16'].project.conv.kernel, kernel
    )
    assert any('no classifier' in note for note in notes)


@pytest.mark.parametrize(
    'settings, useful, message',
    [
        (
            {'precise_bn': 64, 'freeze': ('bn',)},
            {'freeze': ('last:1',)},
            '--precise_bn=64 has no effect: all batch norms are frozen.',
        ),
        (
            {'finetune_freeze': ('last:2',)},
            {'finetune_epochs': 1},
            '--finetune_freeze has no effect without --finetune_epochs.',
        ),
        (
            {'finetune_learning_rate': 1e-4},
            {'finetune_epochs': 1},
            '--finetune_learning_rate has no effect without --finetune_epochs.',
        ),
    ],
)
def test_settings_without_effect_are_named(source, settings, useful, message):
    for more, expected in (({}, True), (useful, False)):
        config = Config(**{'model': 'cifar_cnn', **settings, **more})
        specification = networks.specify(config, source.classes, source.image_size)
        _, notes = networks.build(config, specification, 'float32')
        assert (message in notes) is expected
