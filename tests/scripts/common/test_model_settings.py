"""Which network the flags name."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from absl import flags as absl_flags

from scripts.common import flags
from scripts.common.dataset_settings import image_fields
from scripts.common.model_settings import Trained, load_classifier, model_fields
from trainers.settings.config import Config, ConfigError
from vision.errors import UserError
from vision.models import create
from vision.models.pretrained import variables_by_path


@pytest.fixture
def parse(monkeypatch):
    """Defines the flags anew, and parses a command line."""
    values = absl_flags.FlagValues()
    monkeypatch.setattr(flags, 'FLAGS', values)
    flags.define([*model_fields(), *image_fields()])
    return lambda *arguments: values(['command', *arguments])


@pytest.fixture(scope='module')
def weights(tmp_path_factory) -> Path:
    network = create('small_cnn', classes=2, image_size=16, filters=(4,))
    folder = tmp_path_factory.mktemp('weights')
    arrays = {name: v.numpy() for name, v in variables_by_path(network).items()}
    np.savez(folder / 'weights.npz', **arrays)  # type: ignore[arg-type]
    (folder / 'labels.txt').write_text('cat\ndog\n')
    return folder / 'weights.npz'


def test_flags_are_the_settings_of_a_run_in_other_groups():
    fields = {field.name: field for field in model_fields()}
    assert list(fields)[:4] == ['run_dir', 'weights', 'temperature', 'precision']
    for field in dataclasses.fields(Config):
        if field.name in fields and field.name not in ('run_dir', 'precision'):
            shared = fields[field.name]
            assert (shared.default, shared.type) == (field.default, field.type)
            assert shared.metadata == {
                **field.metadata,
                'group': 'Weights that are not of a run',
            }


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'weights': 'beste'}, 'one of best, last; .* Did you mean best'),
        ({'temperature': -1.0}, '--temperature to be at least 0'),
        ({'temperature': float('nan')}, '--temperature to be at least 0'),
        ({'precision': 'float64'}, 'one of float32, bfloat16, float16'),
    ],
)
def test_values_that_are_not_allowed(settings, message):
    Trained()
    with pytest.raises(ConfigError, match=message):
        Trained(**settings)


@pytest.mark.parametrize(
    'arguments, message',
    [
        (
            [],
            'Expected --run_dir=FOLDER, the folder of a run, or --model=NAME',
        ),
        (['--model=googlenet'], 'with --pretrained=WEIGHTS'),
        (['--pretrained=x.npz'], 'Expected --run_dir=FOLDER'),
        (
            ['--run_dir=x', '--model=googlenet'],
            'no --model with --run_dir, since a run records',
        ),
        (
            ['--run_dir=x', '--labels=y'],
            'no --labels with --run_dir, since a run',
        ),
        (['--run_dir=x', '--weights=y'], '--weights to be one of best, last'),
        (['--model=small_cnn', '--pretrained=x.npz'], 'there is nothing at x.npz'),
        (
            ['--model=small_cnn', '--pretrained=x', '--model_options=alpha:1'],
            "of small_cnn as NAME:VALUE of .*; received 'alpha:1'",
        ),
    ],
)
def test_flags_that_name_no_network(parse, arguments, message):
    parse(*arguments)
    with pytest.raises(ConfigError, match=message):
        load_classifier()


def test_a_run_that_there_is_not(parse, tmp_path):
    parse(f'--run_dir={tmp_path}', '--download')  # which a run has no use for
    with pytest.raises(UserError, match='expected the folder of a run'):
        load_classifier()


def test_published_weights_are_in_the_folder_of_the_dataset(parse, tmp_path):
    parse('--model=mobilenet_v2', '--pretrained=imagenet')
    with pytest.raises(ConfigError) as error:
        load_classifier()
    assert '--' not in str(error.value)
    assert error.value.parameters == ('weights_dir', 'data_dir', 'download')

    parse('--model=mobilenet_v2', '--pretrained=imagenet', f'--data_dir={tmp_path}')
    with pytest.raises(UserError, match=f'{tmp_path}/.*, which is missing'):
        load_classifier()


def test_weights_of_somebody_else(parse, weights):
    parse(
        '--model=small_cnn',
        f'--pretrained={weights}',
        '--model_options=filters:4',
        '--image_size=16',
        f'--labels={weights.parent}/labels.txt',
        '--temperature=2',
        '--precision=bfloat16',
    )
    classifier = load_classifier()
    assert (classifier.classes, classifier.image_size) == (('cat', 'dog'), 16)
    assert classifier.temperature.value == 2
    assert classifier.network.dtype == 'bfloat16'
