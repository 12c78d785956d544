"""Every recipe can be run, and those of other systems say what the systems did."""

import pytest

from trainers.settings.config import Config, ConfigError
from trainers.settings.parsing import Freeze
from trainers.settings.recipes import RECIPES, configure, recipe_of
from vision.data import DATASETS, augment
from vision.models import MODELS, NORMALIZATIONS

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
# What the four steps of cats and dogs have in common, and the two models of CIFAR-10,
# and the two ways of "Deep Learning with Python", chapter 8.
FOUR_STEPS = {
    'dataset': 'cats_and_dogs',
    'image_size': 160,
    'batch_size': 32,
    'epochs': 20,
    'optimizer': 'adam',
    'schedule': 'constant',
    'early_stopping': 0,
}
WORKFLOW = {
    'dataset': 'cifar10',
    'validation_fraction': 0.2,
    'split_seed': 42,
    'augment': (
        ('random_resolution', (0.2,)),
        ('rotate', (15,)),
        ('shift', (0.1,)),
        ('flip', ()),
    ),
    'batch_size': 64,
    'epochs': 25,
    'optimizer': 'adam',
    'learning_rate': 1e-3,
    'schedule': 'step',
    'decay_rate': 0.95,
    'decay_epochs': 1.0,
    'warmup_epochs': 0.0,
    'plateau_patience': 5,
    'plateau_factor': 0.5,
    'early_stopping': 10,
    'monitor': 'loss',
    'precise_bn': 8192,  # docs/systems.md says why
}
CHAPTER_8 = {
    'dataset': 'cats_and_dogs',
    'model': 'xception',
    'pretrained': 'imagenet',
    'image_size': 180,
    'batch_size': 64,
    'epochs': 30,
    'freeze': Freeze(0),
    'dense': (256,),
    'dropout': 0.25,
    'monitor': 'loss',
}
PUBLISHED = {
    'system_c1': {
        **FOUR_STEPS,
        'model': 'small_cnn',
        'normalization': 'raw',
        'model_options': (('filters', (16, 32)), ('block_dropout', 0.3)),
        'augment': (),
    },
    'system_c2': {
        **FOUR_STEPS,
        'model': 'small_cnn',
        'normalization': 'raw',
        'model_options': (('filters', 16),),
        'augment': (('flip', ()), ('rotate', (72,))),
    },
    'system_c3': {
        **FOUR_STEPS,
        'model': 'small_cnn',
        'normalization': 'symmetric',
        'model_options': (('filters', (16, 32)), ('block_dropout', 0.3)),
        'augment': (),
    },
    'system_c4': {
        **FOUR_STEPS,
        'model': 'mobilenet_v2',
        'pretrained': 'imagenet',
        'freeze': Freeze(0),
        'pooling': 'max',
        'feature_dropout': 0.3,
        'dense': (64,),
        'dropout': 0.0,
    },
    'system_d': {
        **WORKFLOW,
        'optimizer': 'adamw',  # docs/systems.md says why
        'weight_decay': 0.05,
        'schedule': 'cosine',
        'model': 'cifar_cnn',
        'model_options': (('convolutions', 2), ('block_dropout', 0.1)),
        'image_size': 32,
        'normalization': 'unit',
        'dense': (512,),
        'dropout': 0.5,
    },
    'system_d_transfer': {
        **WORKFLOW,
        'model': 'mobilenet_v2',
        'pretrained': 'imagenet',
        'freeze': Freeze(3),
    },
    'system_e_features': {**CHAPTER_8, 'features': 'cached', 'augment': ()},
    'system_e_finetune': {
        **CHAPTER_8,
        'augment': (('flip', ()), ('rotate', (36,)), ('zoom', (0.2,))),
        'finetune_epochs': 30,
        'finetune_learning_rate': 1e-5,
        'finetune_freeze': Freeze(1, True),
    },
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
        'augment': (('rotate', (20,)), ('shift', (0.2,)), ('flip', ())),
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
    assert config.normalization in (None, *NORMALIZATIONS)
    for augmentation in config.augment:
        augment.checked(augmentation)
    assert all(epoch < config.epochs for epoch, _ in config.image_size_schedule)


@pytest.mark.parametrize('name', RECIPES)
def test_is_described_in_a_line(name):
    description = RECIPES[name].description
    assert description.endswith('.') and len(description) < 80


@pytest.mark.parametrize('name', RECIPES)
def test_settings_by_hand_win(name):
    config = configure(name, {'epochs': 77, 'optimizer': 'rmsprop'})
    assert (config.epochs, config.optimizer) == (77, 'rmsprop')
    assert config.batch_size == configure(name, {}).batch_size


@pytest.mark.parametrize(
    'name, hint',
    [
        ('system_c', 'Did you mean system_'),
        ('defualt', 'Did you mean default?'),
        ('zebra', "received 'zebra'."),
    ],
)
def test_unknown_recipe(name, hint):
    with pytest.raises(ConfigError, match='--recipe to be one of default, ') as error:
        configure(name, {})
    assert hint in str(error.value)


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_system(name):
    config = configure(name, {})
    assert {key: getattr(config, key) for key in PUBLISHED[name]} == PUBLISHED[name]


# What the defaults were in version 0.1, for each dataset.
EARLIER_DEFAULTS = {
    'batch_size': 32,
    'epochs': 6,
    'optimizer': 'adam',
    'learning_rate': 5e-4,
    'schedule': 'cosine',
    'warmup_epochs': 0.25,
    'dropout': 0.1,
    'aux_dropout': 0.1,
}


def test_the_built_in_dataset_takes_its_recipe():
    config = configure(None, {})
    assert (config.dataset, config.recipe) == ('shapes', 'shapes')
    assert config == configure('shapes', {}) == configure(None, {'dataset': 'shapes'})
    values = {name: getattr(config, name) for name in EARLIER_DEFAULTS}
    assert values == EARLIER_DEFAULTS
    assert configure(None, {'model': 'cifar_cnn', 'dropout': None}).dropout is None
    assert configure(None, {'model': 'cifar_cnn'}).dropout == 0.1


def test_a_recipe_among_other_settings():
    given = {'recipe': 'system_d', 'dataset': 'shapes', 'epochs': 3}
    assert configure(None, given) == configure('system_d', given)


@pytest.mark.parametrize('dataset', ['cifar10', 'image_folder', 'tfds:mnist'])
def test_other_datasets_take_the_general_defaults(dataset):
    assert recipe_of(dataset) == 'default'
    config = configure(None, {'dataset': dataset})
    assert config == Config(dataset=dataset, recipe='default')
    assert (config.dropout, config.aux_dropout) == (None, None)


@pytest.mark.parametrize('name', [name for name in RECIPES if name != 'default'])
def test_recipes_say_which_dropout_they_use(name):
    config = configure(name, {})
    assert config.dropout is not None
    if config.model.startswith('inception'):
        assert config.aux_dropout is not None
