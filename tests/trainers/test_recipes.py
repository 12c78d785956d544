"""Every recipe can be run, and those of other systems say what the systems did."""

import pytest

from trainers.config import ConfigError, parse_size_schedule
from trainers.recipes import configure, RECIPES
from vision.data import augment, DATASETS
from vision.models import MODELS
from vision.models.normalization import NORMALIZATIONS

# What the two tellings of "TensorFlow in Action", chapter 6, have in common.
CHAPTER_6 = {
    'dataset': 'tiny_imagenet',
    'image_size': 56,
    'validation_fraction': 0.1,
    'split_seed': 4321,
    'epochs': 50,
    'optimizer': 'adam',
    'learning_rate': 1e-3,
    'schedule': 'constant',
    'warmup_epochs': 0.0,
    'aux_weight': 0.3,
    'label_smoothing': 0.0,
    'weight_decay': 0.0,
    'ema': 0.0,
}
PUBLISHED = {
    'system_a': {
        **CHAPTER_6,
        'model': 'inception_v1',
        'normalization': 'center',
        'augment': (),
        'batch_size': 128,
        'dropout': 0.0,
        'aux_dropout': 0.0,
        'early_stopping': 0,
    },
    'system_b': {
        **CHAPTER_6,
        'model': 'inception_v1_compact',
        'normalization': 'unit',
        'augment': ('rotate:20', 'shift:0.2', 'flip'),
        'batch_size': 64,
        'monitor': 'top1',
        'early_stopping': 5,
    },
}


@pytest.mark.parametrize('name', RECIPES)
def test_names_things_that_exist(name):
    config = configure(name, {})
    assert config.recipe == name
    assert config.model in MODELS
    assert config.dataset in DATASETS
    assert config.normalization in ('', *NORMALIZATIONS)
    for spec in config.augment:
        augment.parse(spec)
    assert all(epoch < config.epochs
               for epoch, _ in parse_size_schedule(config.image_size_schedule))


@pytest.mark.parametrize('name', RECIPES)
def test_is_described_in_a_line(name):
    description = RECIPES[name].description
    assert description.endswith('.') and len(description) < 80


@pytest.mark.parametrize('name', RECIPES)
def test_settings_by_hand_win(name):
    config = configure(name, {'epochs': 77, 'optimizer': 'rmsprop'})
    assert (config.epochs, config.optimizer) == (77, 'rmsprop')
    assert config.batch_size == configure(name, {}).batch_size


@pytest.mark.parametrize('name, hint', [
    ('system_c', 'Did you mean system_'),
    ('defualt', 'Did you mean default?'),
    ('zebra', "received 'zebra'."),
])
def test_unknown_recipe(name, hint):
    with pytest.raises(ConfigError, match='--recipe to be one of default, ') as error:
        configure(name, {})
    assert hint in str(error.value)


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_system(name):
    config = configure(name, {})
    assert {key: getattr(config, key) for key in PUBLISHED[name]} == PUBLISHED[name]
