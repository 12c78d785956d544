"""Every recipe can be run, and those of other systems say what the systems did."""

import pytest
import tensorflow as tf

from trainers.networks import build as networks
from trainers.settings.config import Config, ConfigError
from trainers.settings.parsing import Freeze
from trainers.settings.recipes import RECIPES, configure, recipe_of
from trainers.step import schedules
from vision.data import DATASETS, augment
from vision.models import MODELS, NORMALIZATIONS
from vision.models.profile import count_numbers


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


# What docs/systems.md says of the published systems.
SYSTEMS = [
    ('system_a', 'tiny_imagenet', 'inception_v1', 56, 128, 50),
    ('system_b', 'tiny_imagenet', 'inception_v1_compact', 56, 64, 50),
    ('system_c1', 'cats_and_dogs', 'small_cnn', 160, 32, 20),
    ('system_c2', 'cats_and_dogs', 'small_cnn', 160, 32, 20),
    ('system_c3', 'cats_and_dogs', 'small_cnn', 160, 32, 20),
    ('system_c4', 'cats_and_dogs', 'mobilenet_v2', 160, 32, 20),
    ('system_d', 'cifar10', 'cifar_cnn', 32, 64, 25),
    ('system_d_transfer', 'cifar10', 'mobilenet_v2', 96, 64, 25),
    ('system_e_features', 'cats_and_dogs', 'xception', 180, 64, 30),
    ('system_e_finetune', 'cats_and_dogs', 'xception', 180, 64, 30),
]


@pytest.mark.parametrize('name, dataset, model, side, batch_size, epochs', SYSTEMS)
def test_images_and_batches_of_a_system(name, dataset, model, side, batch_size, epochs):
    config = configure(name, {})
    assert (config.dataset, config.model, config.image_size) == (dataset, model, side)
    assert (config.batch_size, config.epochs) == (batch_size, epochs)
    assert (config.label_smoothing, config.ema, config.warmup_epochs) == (0, 0, 0)
    # The only weight decay is that of the optimizer that stands in for Adam.
    decays = name == 'system_d'
    assert config.optimizer == ('adamw' if decays else 'adam')
    assert config.weight_decay == (0.05 if decays else 0.0)


CONV16, CONV32 = 9 * 3 * 16 + 16, 9 * 16 * 32 + 32


@pytest.mark.parametrize(
    'name, classes, trained, pixels',
    [
        # Szegedy et al. with both heads, as the source of system_a prints it.
        ('system_a', 200, 10_918_280, 'center'),
        # Its map in front of the heads is 7 pixels wide and not 14.
        (
            'system_b',
            200,
            6_178_552
            + sum(
                128 * (inputs + 1) + 1024 * (128 + 1) + 200 * (1024 + 1)
                for inputs in (512, 528)
            ),
            'unit',
        ),
        ('system_c1', 2, CONV16 + CONV32 + 64 * (40**2 * 32 + 1) + 130, 'raw'),
        ('system_c2', 2, CONV16 + 64 * (80**2 * 16 + 1) + 130, 'raw'),
        ('system_c3', 2, CONV16 + CONV32 + 64 * (40**2 * 32 + 1) + 130, 'symmetric'),
        # Behind a frozen network.
        ('system_c4', 2, 64 * (1280 + 1) + 130, 'symmetric'),
        (
            'system_d',
            10,
            sum(
                9 * (inputs * outputs + outputs**2) + 4 * outputs
                for inputs, outputs in ((3, 64), (64, 128), (128, 256))
            )
            + 512 * (256 + 1)
            + 10 * (512 + 1),
            'unit',
        ),
    ],
)
def test_parameters_of_a_system(name, classes, trained, pixels):
    config = configure(name, {})
    ids = tuple(map(str, range(classes)))
    network = networks.specify(config, ids, config.image_size).build()
    network.freeze(*config.freeze)
    assert count_numbers(network.trainable_variables) == trained
    assert network.normalization == pixels


@pytest.mark.parametrize(
    'name, augment',
    [
        ('system_a', {}),
        ('system_b', {'rotate': 20, 'shift': 0.2, 'flip': None}),
        ('system_c1', {}),
        ('system_c2', {'flip': None, 'rotate': 0.2 * 360}),
        ('system_c3', {}),
        ('system_c4', {}),
        *(
            (name, {'random_resolution': 0.2, 'rotate': 15, 'shift': 0.1, 'flip': None})
            for name in ('system_d', 'system_d_transfer')
        ),
        ('system_e_features', {}),
        ('system_e_finetune', {'flip': None, 'rotate': 0.1 * 360, 'zoom': 0.2}),
    ],
)
def test_augmentation_of_a_system(name, augment):
    expected = {
        name: () if number is None else (number,) for name, number in augment.items()
    }
    assert dict(configure(name, {}).augment) == expected


@pytest.mark.parametrize(
    'name, rates',
    [
        ('system_a', {'dropout': 0.0, 'aux_dropout': 0.0}),
        ('system_b', {'dropout': 0.4, 'aux_dropout': 0.7}),
        ('system_c1', {'dropout': 0.0, 'block_dropout': 0.3}),
        ('system_c2', {'dropout': 0.0}),
        ('system_c3', {'dropout': 0.0, 'block_dropout': 0.3}),
        ('system_c4', {'dropout': 0.0, 'feature_dropout': 0.3}),
        ('system_d', {'dropout': 0.5, 'block_dropout': 0.1}),
        ('system_d_transfer', {'dropout': 0.5}),
        ('system_e_features', {'dropout': 0.25}),
        ('system_e_finetune', {'dropout': 0.25}),
    ],
)
def test_dropout_of_a_system(name, rates):
    config = configure(name, {})
    actual = {
        rate: value
        for rate in ('dropout', 'feature_dropout', 'aux_dropout')
        if (value := getattr(config, rate)) is not None
    }
    options = dict(config.model_options)
    if 'block_dropout' in options:
        actual['block_dropout'] = options['block_dropout']
    assert actual == rates


@pytest.mark.parametrize(
    'name, rates',
    [
        *((name, [1e-3, 1e-3]) for name, *_ in SYSTEMS if name[7] in 'abce'),
        ('system_d', [1e-3, 0.0]),
        ('system_d_transfer', [1e-3, 1e-3 * 0.95**25]),
    ],
)
def test_rate_of_a_system_at_the_start_and_the_end(name, rates):
    config = configure(name, {})
    rate = schedules.create(config, 10)
    steps = (0, 10 * config.epochs)
    actual = [float(rate(tf.constant(step, tf.int64))) for step in steps]
    assert actual == pytest.approx(rates, abs=1e-9)


@pytest.mark.parametrize(
    'names, settings',
    [
        # The training folder is split 90/10; the heads weigh 1, 0.3 and 0.3.
        (
            ('system_a', 'system_b'),
            {'validation_fraction': 0.1, 'split_seed': 4321, 'aux_weight': 0.3},
        ),
        (
            ('system_a', 'system_c1', 'system_c2', 'system_c3', 'system_c4'),
            {'early_stopping': 0, 'plateau_patience': 0},
        ),
        (('system_b',), {'early_stopping': 5, 'monitor': 'top1'}),
        (
            ('system_d', 'system_d_transfer'),
            {
                'validation_fraction': 0.2,
                'split_seed': 42,
                'plateau_patience': 5,
                'plateau_factor': 0.5,
                'early_stopping': 10,
                'monitor': 'loss',
                'precise_bn': 8192,
                'dense': (512,),
            },
        ),
        (('system_c4',), {'pooling': 'max', 'pretrained': 'imagenet'}),
        (('system_d_transfer',), {'pretrained': 'imagenet', 'freeze': Freeze(3)}),
        (
            ('system_e_features', 'system_e_finetune'),
            {
                'pretrained': 'imagenet',
                'freeze': Freeze(0),
                'dense': (256,),
                'monitor': 'loss',
            },
        ),
        (('system_e_features',), {'features': 'cached', 'finetune_epochs': 0}),
    ],
)
def test_what_else_is_known_of_a_system(names, settings):
    for name in names:
        config = configure(name, {})
        assert {setting: getattr(config, setting) for setting in settings} == settings


def test_the_second_phase_of_a_system():
    first, second = configure('system_e_finetune', {}).phases()
    assert (first.learning_rate, second.learning_rate) == (1e-3, 1e-5)
    assert (first.epochs, second.epochs) == (30, 30)
    # The last separable convolution is trained, and no batch norm.
    assert second.freeze == Freeze(1, True)


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
