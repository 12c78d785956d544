"""Settings that earlier versions recorded keep their names and meanings."""

import dataclasses
import json
from pathlib import Path

import pytest

import vision
from trainers.settings import earlier, recipes
from trainers.settings.config import Config, ConfigError
from trainers.settings.earlier import Change, read_settings, written_settings

RUNS = Path(__file__).parents[2] / 'earlier_runs'


def recorded_by_0_1(run: str) -> dict:
    return json.loads((RUNS / 'version_0_1' / run / 'config.json').read_text())


@pytest.fixture
def later(monkeypatch):
    """A later version that renamed, changed and added settings."""
    former = {'drop_rate': 0.5, 'epochs': 90, 'warmup': 1}
    change = Change(
        missing=former,
        renamed={'drop_rate': 'dropout', 'warmup': 'warmup_epochs'},
        converted={'warmup_epochs': float},
    )
    monkeypatch.setattr(vision, '__version__', '0.10.0')
    monkeypatch.setitem(earlier.CHANGES, '0.10.0', change)


def test_what_is_written_is_read():
    config, given = Config(epochs=3, augment=('flip',)), {'epochs': 3}
    content = json.loads(json.dumps(written_settings(config, given)))
    assert read_settings(content) == (config, given, vision.__version__)


@pytest.mark.parametrize('run', ['two_phases', 'image_folder'])
def test_version_0_1_wrote_the_settings_alone(run):
    content = recorded_by_0_1(run)
    settings = read_settings(content)
    assert (settings.given, settings.version) == (None, '0.1.0')
    written = settings.config.to_dict()
    empty = {name for name, value in written.items() if value is None}
    assert empty == {name for name in content if content[name] == ''} - {
        'data_dir',
        'run_dir',
        'cache_dir',
        'pretrained',
        'weights_dir',
    }
    assert {name: content[name] for name in written if name not in empty} == {
        name: value for name, value in written.items() if name not in empty
    }
    assert earlier.CHANGES['0.2.0'].missing.keys() == content.keys()


def test_empty_settings_of_version_0_1():
    content = recorded_by_0_1('two_phases') | {'image_size': 0, 'dense': []}
    config = read_settings(content).config
    assert (config.image_size, config.dense, config.pooling) == (None, None, None)
    with pytest.raises(ConfigError, match='--image_size to be at least 1, received 0'):
        read_settings({'version': vision.__version__, 'settings': {'image_size': 0}})


def test_missing_settings_have_the_value_that_the_version_meant():
    content = recorded_by_0_1('two_phases')
    assert content.pop('dropout') == 0.1
    assert content.pop('precise_bn') == 0
    assert content.pop('finetune_freeze') == ['last:1', 'bn']  # not the default
    config = read_settings(content).config
    assert (config.dropout, config.precise_bn) == (0.1, 0)
    complete = read_settings(recorded_by_0_1('two_phases')).config
    without = dataclasses.replace(complete, finetune_freeze=config.finetune_freeze)
    assert config == without
    assert config.to_dict()['finetune_freeze'] == ['bn']


def test_the_defaults_of_version_0_1():
    config = read_settings({}).config
    assert config == Config(
        recipe='default', dropout=0.1, feature_dropout=0.0, aux_dropout=0.1
    )


def test_renamed_converted_and_missing_settings_of_the_version_before(later):
    """Versions are compared by number: 0.2 is before 0.10."""
    content = written_settings(Config(learning_rate=0.25, dropout=0.1), {})
    content['version'] = '0.2.0'
    settings = content['settings']
    settings['drop_rate'] = settings.pop('dropout') + 0.2
    settings['warmup'] = 2
    for name in ('warmup_epochs', 'epochs'):
        del settings[name]
    config = read_settings(content).config
    assert config.dropout == pytest.approx(0.3)
    assert (config.warmup_epochs, config.epochs) == (2.0, 90)
    assert config.learning_rate == 0.25
    del settings['drop_rate']
    assert read_settings(content).config.dropout == 0.5
    content['version'] = '0.10.0'
    with pytest.raises(ConfigError, match="no setting 'warmup'"):
        read_settings(content)


def test_no_later_recipe_or_default_changes_a_run(monkeypatch):
    config = recipes.configure('system_d', {'epochs': 3})
    content = written_settings(config, {'recipe': 'system_d', 'epochs': 3})
    monkeypatch.setattr(recipes, 'RECIPES', {})
    assert read_settings(content).config == config


def test_settings_of_a_later_version_name_it():
    content = written_settings(Config(), {})
    content |= {'version': '99.0.0', 'settings': {'epochs': 3, 'wisdom': 1}}
    with pytest.raises(ConfigError, match="'wisdom'.* Version 99.0.0 wrote these"):
        read_settings(content)
    content['version'] = vision.__version__
    with pytest.raises(ConfigError, match="no setting 'wisdom'.$"):
        read_settings(content)


@pytest.mark.parametrize('version', ['99.0.0.dev1', '99', 99])
def test_versions_are_compared_by_their_numbers(version):
    content = {'version': version, 'settings': {'wisdom': 1}}
    with pytest.raises(ConfigError, match=f'Version {version} wrote these'):
        read_settings(content)


@pytest.mark.parametrize('content', [{}, {'settings': []}, {'settings': None}])
def test_a_version_without_settings(content):
    with pytest.raises(ConfigError, match="object of settings under 'settings'"):
        read_settings({'version': '0.2.0', **content})


def test_calibration_of_version_0_1():
    assert earlier.read_calibration({'step': 3, 'pictures': 5}) == {
        'step': 3,
        'images': 5,
    }
