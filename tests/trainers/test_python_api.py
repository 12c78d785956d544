"""The API as a notebook uses it: what docs/python_api.md shows, and its errors."""

import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_run
from PIL import Image

import trainers
from trainers import Config, evaluate, load, predict, train
from trainers.run.source import load_source
from trainers.settings.config import ConfigError
from vision.data import DatasetError
from vision.data import load as load_dataset
from vision.errors import UserError
from vision.layers import ConvBlock
from vision.models import Network

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / 'docs/python_api.md').read_text(encoding='utf-8')


def test_import_is_light():
    code = (
        'import sys, trainers\n'
        'from trainers import Config\n'
        'assert "tensorflow" not in sys.modules'
    )
    subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


@pytest.mark.parametrize('name', ['fit'])
def test_unknown_name(name):
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        getattr(trainers, name)


@pytest.fixture(scope='module')
def notebook(tmp_path_factory):
    """The namespace and the folder after all blocks of the guide have run in turn."""
    folder = tmp_path_factory.mktemp('notebook')
    (folder / 'photos').mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, [2, 40, 40, 3], np.uint8)
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f'photos/{index}.png')
    names: dict = {'print': lambda *values: None}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(logging, 'basicConfig', lambda **options: None)
        tiny_run.draw_nothing(patch)
        for block in re.findall(r'```python\n(.*?)```', GUIDE, re.DOTALL):
            exec(block, names)
    return names, folder


def test_guide(notebook):
    names, folder = notebook
    assert 0 <= names['results']['test']['top1'] <= 1
    assert [Path(p.file).name for p in names['predictions']] == ['0.png', '1.png']
    assert all(len(p.classes) == 3 for p in names['predictions'])
    assert len(names['evaluation']) == 500
    assert {path.name for path in (folder / 'runs').iterdir()} == {
        'first',
        'brightness',
        'own_network',
    }
    log = (folder / 'runs/first/train.log').read_text()
    assert 'Epoch 1/1' in log  # without a logging handler of the caller


pytestmark = pytest.mark.usefixtures('no_drawings')


def settings(folder: Path, **more) -> Config:
    return Config(
        **{
            'run_dir': str(folder),
            'epochs': 1,
            'limit_train_batches': 2,
            'limit_eval_batches': 1,
            'batch_size': 8,
            **more,
        }
    )


def test_what_a_run_with_objects_records(notebook):
    names, folder = notebook
    run_dir = folder / 'runs/own_network'
    recorded = json.loads((run_dir / 'config.json').read_text())['settings']
    assert (recorded['model'], recorded['dataset']) == ('custom', 'custom')
    labels = json.loads((run_dir / 'labels.json').read_text())
    assert [label['name'] for label in labels] == ['dark', 'bright']
    specification = load(run_dir, network=names['make_network']()).specification
    assert (specification.model, specification.image_size) == ('custom', 32)


def make_network(classes: int = 2, normalization: str = 'unit', width: int = 8):
    return Network(
        {'conv': ConvBlock(3, width, 3, stride=4)},
        width,
        8,
        classes=classes,
        image_size=32,
        min_image_size=4,
        normalization=normalization,
    )


@pytest.fixture(scope='module')
def trained(notebook, tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp('trained') / 'run'
    with pytest.MonkeyPatch.context() as patch:
        tiny_run.draw_nothing(patch)
        train(settings(run_dir), network=make_network(), source=notebook[0]['source'])
    return run_dir


@pytest.mark.parametrize(
    'options, message',
    [
        (
            {'weights': 'lst'},
            "--weights to be one of best, last; received 'lst'. Did you mean last?",
        ),
        (
            {'precision': 'half'},
            '--precision to be one of float32, bfloat16, float16; received .half',
        ),
        ({'precision': None}, '--precision to be a str, received None'),
        ({'temperature': -1.0}, '--temperature to be at least 0, received -1.0'),
        ({'temperature': np.inf}, '--temperature to be finite, received inf'),
    ],
)
def test_options_of_load(notebook, options, message):
    with pytest.raises(UserError, match=f'Expected {message}'):
        load(notebook[1] / 'runs/first', **options)


@pytest.mark.parametrize(
    'options, message',
    [
        (
            {'split': 'tset'},
            "--split to be one of test, validation, train; received 'tset'. Did you",
        ),
        ({'batch_size': 0}, '--batch_size to be at least 1, received 0'),
        ({'batch_size': 2.5}, '--batch_size to be a int, received 2.5'),
        ({'views': 'flop'}, '--views to be one of .*; received .flop.. Did you mean'),
        ({'max_bad_fraction': 1.5}, '--max_bad_fraction to be 0 to 1, received 1.5'),
    ],
)
def test_options_of_evaluate(notebook, options, message):
    with pytest.raises(UserError, match=f'Expected {message}'):
        evaluate(notebook[1] / 'runs/first', **options)


def test_options_in_the_numbers_of_numpy(notebook):
    run_dir = notebook[1] / 'runs/first'
    classifier = load(run_dir, 'last', temperature=np.float32(2))
    assert classifier.temperature.value == 2
    assert len(evaluate(classifier, batch_size=np.int64(7), max_bad_fraction=0)) == 500


def test_resumes_with_the_same_objects(notebook, trained):
    source = notebook[0]['source']
    before = evaluate(load(trained, network=make_network()), source=source)
    results = train(settings(trained), network=make_network(), source=source)
    after = evaluate(load(trained, network=make_network()), source=source)
    np.testing.assert_array_equal(after.main, before.main)
    assert results['epochs'] == 1
    assert len(json.loads((trained / 'environment.json').read_bytes())) == 2


def test_a_network_object_on_a_named_dataset(tmp_path):
    train(settings(tmp_path / 'run'), network=make_network(classes=10))
    classifier = load(tmp_path / 'run', network=make_network(classes=10))
    assert classifier.classes == load_dataset('shapes').classes
    assert len(evaluate(classifier)) == 500
    (prediction,) = predict(classifier, np.zeros([32, 32, 3], np.uint8))
    assert not prediction.error


def test_dry_run_with_objects(notebook, tmp_path):
    config = settings(tmp_path / 'run', dry_run=True)
    results = train(config, network=make_network(), source=notebook[0]['source'])
    assert results['steps'] == 1
    assert not list(tmp_path.iterdir())


def test_overfitting_a_network_object(notebook, tmp_path):
    config = settings(tmp_path / 'run', overfit_batches=1, limit_train_batches=0)
    results = train(config, network=make_network(), source=notebook[0]['source'])
    assert results['steps'] == 1


def test_missing_network(notebook, trained):
    with pytest.raises(ConfigError, match='was trained with a Network object'):
        load(trained)
    with pytest.raises(ConfigError, match='Expected a Network object as network='):
        train(settings(trained, model='custom'), source=notebook[0]['source'])


def test_missing_source(trained):
    with pytest.raises(ConfigError, match='Expected a Source object as source='):
        train(settings(trained, dataset='custom'), network=make_network())
    with pytest.raises(UserError, match='Expected source=... with .* not recorded'):
        evaluate(load(trained, network=make_network()))
    with pytest.raises(DatasetError, match='dataset of this run is a Source object'):
        load_source(settings(trained, dataset='custom'))


@pytest.mark.parametrize(
    'network, error, message',
    [
        ({'normalization': 'raw'}, ConfigError, r"received one of \(2, 32, 'raw'\)"),
        ({'classes': 3}, ConfigError, r"received one of \(3, 32, 'unit'\)"),
        ({'width': 4}, UserError, 'conv'),
    ],
)
def test_another_network(trained, network, error, message):
    with pytest.raises(error, match=message):
        load(trained, network=make_network(**network))


def test_a_network_that_the_run_does_not_need(notebook):
    with pytest.raises(ConfigError, match='trained with the model small_cnn'):
        load(notebook[1] / 'runs/first', network=make_network())


@pytest.mark.parametrize(
    'changed, message',
    [
        ({'run_dir': ''}, 'Expected run_dir with a Network or Source object'),
        ({'dropout': 0.5}, 'Expected no dropout with a Network object'),
        ({'dense': ('16',)}, 'Expected no dense with a Network object'),
        ({'image_size': 64}, 'Expected no image_size with a Network object'),
        ({'precision': 'bfloat16'}, 'Expected no precision with a Network object'),
    ],
)
def test_settings_that_contradict_an_object(notebook, tmp_path, changed, message):
    config = settings(tmp_path / 'run', **changed)
    with pytest.raises(ConfigError, match=message):
        train(config, network=make_network(), source=notebook[0]['source'])
    assert not list(tmp_path.iterdir())


def test_classes_of_the_network_and_of_the_source(notebook, tmp_path):
    with pytest.raises(ConfigError, match='Expected a network of 2 classes'):
        train(
            settings(tmp_path / 'run'),
            network=make_network(classes=3),
            source=notebook[0]['source'],
        )
