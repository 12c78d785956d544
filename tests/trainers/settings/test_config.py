"""What a run may be set to, and how a mistake is answered."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import is_optional, kind
from trainers.settings.parsing import Freeze
from vision.data import DATASETS

FIELDS = dataclasses.fields(Config)
NUMBERS = [field for field in FIELDS if kind(field) in (int, float)]
OPTIONAL = [field for field in FIELDS if is_optional(field)]
CHOICES = [field for field in FIELDS if field.metadata['choices']]


def ends() -> list:
    """(setting, the end of its range, the next number beyond)."""
    cases = []
    for field in NUMBERS:
        number: Any = kind(field)
        for end, outward in (('minimum', -1), ('maximum', 1)):
            if not math.isfinite(field.metadata[end]):
                continue
            bound = number(field.metadata[end])
            beyond = (
                bound + outward
                if number is int
                else math.nextafter(bound, outward * math.inf)
            )
            cases.append(
                pytest.param(field.name, bound, beyond, id=f'{field.name}-{end}')
            )
    return cases


def test_survives_json():
    config = Config(learning_rate=0.1 + 0.2, augment=('pad_crop:4', 'flip'), xla=True)
    text = json.dumps(config.to_dict())
    assert Config.from_dict(json.loads(text)) == config


def test_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    'name, hint',
    [
        ('learning_rat', 'Did you mean learning_rate?'),
        ('epoch', 'Did you mean epochs?'),
        ('zebra', "no setting 'zebra'."),
    ],
)
def test_unknown_setting(name, hint):
    with pytest.raises(ConfigError) as error:
        Config.from_dict({name: 1})
    assert str(error.value).endswith(hint)


@pytest.mark.parametrize(
    'name, wrong, right',
    [
        ('epochs', '3', 3),
        ('epochs', 3.0, 3),
        ('epochs', True, 1),
        ('learning_rate', '0.1', 0.1),
        ('learning_rate', True, 1),
        ('xla', 1, True),
        ('model', None, 'inception_v1'),
        ('dropout', '0.1', 0.1),
        ('image_size', 32.0, 32),
    ],
)
def test_type(name, wrong, right):
    assert getattr(Config(**{name: right}), name) == right
    with pytest.raises(ConfigError, match=f'Expected --{name} to be .*, received'):
        Config(**{name: wrong})


def test_numbers_of_numpy():
    config = Config(
        learning_rate=np.float64(0.1), dropout=np.float32(0.5), epochs=np.int64(3)
    )
    for value, expected in (
        (config.learning_rate, 0.1),
        (config.dropout, 0.5),
        (config.epochs, 3),
    ):
        assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize('field', OPTIONAL, ids=lambda field: field.name)
def test_empty_settings(field):
    assert getattr(Config(**{field.name: None}), field.name) is None
    assert getattr(Config.from_dict({field.name: None}), field.name) is None


def test_the_settings_of_networks_are_empty_by_default():
    assert {field.name for field in OPTIONAL if field.default is None} == {
        'recipe',
        'image_size',
        'normalization',
        'pooling',
        'dense',
        'dropout',
        'feature_dropout',
        'aux_dropout',
    }


def test_empty_lists_are_empty_settings():
    assert Config.from_dict({'dense': [], 'freeze': [], 'augment': []}) == Config()
    assert Config.from_dict({'dense': ['none']}).dense == ()


@pytest.mark.parametrize(
    'wrong, hint', [('shape', 'Did you mean shapes?'), ('mnist', "received 'mnist'.")]
)
def test_datasets(wrong, hint):
    for right in (*DATASETS, 'tfds:mnist'):
        assert Config(dataset=right).dataset == right
    with pytest.raises(ConfigError, match='--dataset to be one of shapes, ') as error:
        Config(dataset=wrong)
    assert str(error.value).endswith(hint)


@pytest.mark.parametrize('name, bound, beyond', ends())
def test_range(name, bound, beyond):
    assert getattr(Config(**{name: bound}), name) == bound
    with pytest.raises(ConfigError, match=f'--{name} to be .*, received {beyond}'):
        Config(**{name: beyond})


def test_range_is_told_exactly():
    with pytest.raises(ConfigError, match='--seed to be 0 to 2147483647, received -1'):
        Config(seed=-1)


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    'name', [field.name for field in NUMBERS if kind(field) is float]
)
def test_numbers_are_finite(name, value):
    with pytest.raises(ConfigError, match=f'Expected --{name} to be'):
        Config(**{name: value})


@pytest.mark.parametrize('field', CHOICES, ids=lambda field: field.name)
def test_choices(field):
    needed: Any = {'freeze': ('backbone',)} if field.name == 'features' else {}
    for choice in field.metadata['choices']:
        assert getattr(Config(**needed, **{field.name: choice}), field.name) == choice
    wrong: Any = {field.name: 'zebra'}
    with pytest.raises(ConfigError, match=f'--{field.name} to be one of .*zebra'):
        Config(**wrong)


@pytest.mark.parametrize(
    'name, wrong, meant',
    [
        ('optimizer', 'adm', 'adam'),
        ('schedule', 'cosin', 'cosine'),
        ('precision', 'float23', 'float32'),
    ],
)
def test_choice_is_suggested(name, wrong, meant):
    with pytest.raises(ConfigError, match=rf'Did you mean {meant}\?'):
        Config(**{name: wrong})


@pytest.mark.parametrize(
    'freeze, settings, message',
    [
        (
            (),
            {},
            'the features of a frozen backbone can be cached; received --freeze=none',
        ),
        (('last:2', 'bn'), {}, 'received --freeze=last:2,bn'),
        (
            ('backbone',),
            {'augment': ('flip',)},
            'augmented images differ in every epoch; received --augment=flip',
        ),
        (
            ('backbone',),
            {'image_size_schedule': ('32@0',)},
            'Expected no --image_size_schedule with --features=cached',
        ),
    ],
)
def test_features_that_would_differ_cannot_be_kept(freeze, settings, message):
    assert Config(freeze=freeze, **settings).features == 'live'
    with pytest.raises(ConfigError, match=message):
        Config(features='cached', freeze=freeze, **settings)
    assert Config(features='cached', freeze=('backbone',)).features == 'cached'


def test_settings_that_do_not_shape_results():
    config = Config()
    assert config.to_dict().keys() - config.results_dict().keys() == {
        'data_dir',
        'run_dir',
        'resume',
        'cache',
        'cache_dir',
        'download',
        'weights_dir',
        'max_bad_fraction',
        'log_every',
        'checkpoint_minutes',
        'histograms',
        'dry_run',
    }
    assert config.results_dict().items() <= config.to_dict().items()


@pytest.mark.parametrize('field', FIELDS, ids=lambda field: field.name)
def test_every_setting_is_explained(field):
    assert field.metadata['help'].endswith('.')
    assert field.metadata['group']


def test_groups_are_in_one_piece():
    groups = [field.metadata['group'] for field in FIELDS]
    changes = [new for old, new in zip([None, *groups], groups) if old != new]
    assert len(changes) == len(set(groups))


def test_one_phase_unless_told_otherwise():
    config = Config(epochs=7, freeze=('bn',))
    (only,) = config.phases()
    assert (only, only.features) == (config, 'live')
    assert only.freeze == Freeze(batch_norms=True)
    assert only.epochs == 7


def test_the_second_phase_has_its_own_length_rate_and_freedom():
    config = Config(
        epochs=7,
        learning_rate=0.1,
        freeze=('backbone',),
        features='cached',
        finetune_epochs=3,
        finetune_learning_rate=0.01,
        finetune_freeze=('last:2', 'bn'),
    )
    first, second = config.phases()
    assert (first.epochs, first.learning_rate) == (7, 0.1)
    assert (first.freeze, first.features) == (Freeze(0), 'cached')
    assert (second.epochs, second.learning_rate) == (3, 0.01)
    # Features of a backbone that changes cannot be kept.
    assert (second.freeze, second.features) == (Freeze(2, True), 'live')
    assert first.epochs + second.epochs == 10
