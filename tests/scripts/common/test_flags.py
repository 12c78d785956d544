"""Flags made from settings, and what they say on a command line and in the help."""

import dataclasses

import pytest
from absl import flags as absl_flags

from scripts.common import flags
from trainers.settings import recipes
from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import setting
from trainers.settings.parsing import Freeze
from vision.data.augment import Augmentation

FIELDS = dataclasses.fields(Config)


@pytest.fixture
def configured(monkeypatch):
    """Called with a command line; returns its configuration."""

    def configure(*arguments: str) -> Config:
        monkeypatch.setattr(flags, 'FLAGS', absl_flags.FlagValues())
        flags.define(FIELDS)
        assert flags.parse(['train', *arguments], 'Trains.', FIELDS) == ['train']
        return recipes.configure(None, flags.given(FIELDS))

    return configure


def test_values_of_every_kind(configured):
    config = configured(
        '--dataset=cifar10',
        '--epochs=3',
        '--dropout=0.25',
        '--image_size=48',
        '--xla',
        '--dense=512,64',
        '--freeze=last:2,bn',
        '--augment=pad_crop:4,flip',
        '--model_options=alpha:0.35',
        '--image_size_schedule=32@0,48@2',
    )
    assert config == Config(
        dataset='cifar10',
        recipe='default',
        epochs=3,
        dropout=0.25,
        image_size=48,
        xla=True,
        dense=(512, 64),
        freeze=Freeze(2, True),
        augment=(Augmentation('pad_crop', (4,)), Augmentation('flip')),
        model_options=(('alpha', 0.35),),
        image_size_schedule=((0, 32), (2, 48)),
    )


def test_empty_values_take_back_those_of_a_recipe(configured):
    names = ('dropout', 'image_size', 'normalization', 'dense', 'pooling')
    recipe = configured('--recipe=system_d')
    assert recipe.augment and recipe.model_options
    assert None not in [getattr(recipe, name) for name in names[:4]]
    lists = ('augment', 'model_options', 'freeze')
    config = configured(
        '--recipe=system_d', *(f'--{name}=' for name in (*names, *lists))
    )
    assert [getattr(config, name) for name in names] == [None] * 5
    assert [getattr(config, name) for name in lists] == [(), (), Freeze()]


@pytest.mark.parametrize('flag', ['--dropout=much', '--image_size=large', '--epochs='])
def test_what_is_no_number(configured, flag):
    with pytest.raises(ConfigError) as error:  # ends a command with exit code 2
        configured(flag)
    assert flag in str(error.value)


def test_a_type_that_has_no_flag_is_refused(monkeypatch):
    monkeypatch.setattr(flags, 'FLAGS', absl_flags.FlagValues())
    made = dataclasses.make_dataclass(
        'Made', [('wanted', set, setting(None, 'Other', 'Unordered.'))]
    )
    with pytest.raises(KeyError, match='set'):
        flags.define(dataclasses.fields(made))


def test_a_field_under_another_heading():
    field = next(field for field in FIELDS if field.name == 'dense')
    changed = flags.regrouped(field, 'Other')
    changed.default = (8,)
    assert flags.describe([changed]).startswith('Other:\n  --dense    ')
    assert '[default 8]' in flags.describe([changed])
    assert changed.metadata == {**field.metadata, 'group': 'Other'}
    assert field.default is None and field.metadata['group'] == 'Network'
