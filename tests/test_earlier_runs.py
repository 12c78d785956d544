"""Runs of earlier versions are loaded, evaluated, resumed and built upon."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import run_command, run_here

from trainers import Config, configure, train
from trainers.storage.run_directory import RunDirectory
from vision.errors import UserError

RUNS = Path(__file__).parent / 'earlier_runs' / 'version_0_1'
TOLERANCE = 1e-5

# What the two runs were started with, as far as it says what is trained on what.
SETTINGS = {
    'two_phases': [
        '--model=cifar_cnn',
        '--model_options=filters:4-8,block_dropout:0.1',
        '--dense=none',
        '--dataset=shapes',
    ],
    'image_folder': [
        '--model=small_cnn',
        '--model_options=filters:4-8',
        '--dense=16',
        '--dataset=image_folder',
        '--data_dir=images',
    ],
}


def one_slow(name: str) -> pytest.MarkDecorator:
    """Both runs, of which one makes a slow test."""
    return pytest.mark.parametrize(
        'name',
        [pytest.param(n, marks=[pytest.mark.slow] * (n == name)) for n in SETTINGS],
    )


@pytest.fixture(params=SETTINGS)
def name(request) -> str:
    return request.param


@pytest.fixture
def folder(name, tmp_path, monkeypatch) -> Path:
    """The working directory, with a copy of the run and of the images beside it."""
    shutil.copytree(RUNS / name, tmp_path / name)
    shutil.copytree(RUNS / 'images', tmp_path / 'images')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def expected(name) -> dict:
    return json.loads((RUNS / 'expected.json').read_text())[name]


def run(command: str, *arguments: str) -> str:
    done = run_here(command, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_metrics(run_dir: Path) -> list[dict[str, float]]:
    with (run_dir / 'metrics.csv').open(newline='') as file:
        return [
            {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def assert_close(actual: dict, expected: dict) -> None:
    """Compares nested dictionaries of numbers; other values must be equal."""
    assert actual.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, dict):
            assert_close(actual[key], value)
        elif isinstance(value, float):
            np.testing.assert_allclose(actual[key], value, rtol=TOLERANCE, err_msg=key)
        else:
            assert actual[key] == value, key


@one_slow('two_phases')
def test_evaluates(name, folder, expected):
    run('evaluate', f'--run_dir={name}', '--output=report')
    results = json.loads((folder / 'report/results.json').read_text())
    assert_close(
        {key: results[key] for key in expected['evaluation']}, expected['evaluation']
    )
    with np.load(folder / 'report/predictions.npz') as predictions:
        logits = dict(zip(predictions['names'].tolist(), predictions['logits']))
    for image, values in expected['logits'].items():
        np.testing.assert_allclose(logits[image], values, rtol=TOLERANCE, atol=1e-6)


def test_predicts(name, folder, expected):
    images = list(expected['predictions'])
    done = run_command(
        'predict',
        f'--run_dir={name}',
        '--format=jsonl',
        '--top=10',
        *images,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    lines = map(json.loads, done.stdout.splitlines())
    assert_close(
        {
            line['file']: {
                entry['class']: entry['probability'] for entry in line['predictions']
            }
            for line in lines
        },
        expected['predictions'],
    )


@one_slow('image_folder')
def test_resumes_to_its_end(name, folder, expected):
    run('train', f'--run_dir={name}')
    assert_ended(folder / name, expected)
    recorded = RunDirectory.read(folder / name).config
    pooling, dense = {
        'two_phases': ('average', ()),
        'image_folder': ('flatten', (16,)),
    }[name]
    assert (recorded.pooling, recorded.dense) == (pooling, dense)
    assert recorded.recipe == 'default'


@pytest.mark.parametrize('name', ['two_phases'])
def test_resumes_from_python_by_the_recipe_of_its_dataset(
    name, folder, expected, no_drawings
):
    recorded = RunDirectory.read(folder / name).config
    given = {
        setting: value
        for setting, value in recorded.to_dict().items()
        if setting not in ('recipe', 'run_dir', 'pooling')
    }
    config = configure(None, {**given, 'run_dir': str(folder / name)})
    assert (recorded.recipe, config.recipe) == ('default', 'shapes')
    train(config)
    assert_ended(folder / name, expected)
    assert RunDirectory.read(folder / name).config.recipe == 'default'


@pytest.mark.parametrize('name', ['two_phases'])
def test_refuses_another_recipe_from_python(name, folder):
    values = RunDirectory.read(folder / name).config.to_dict()
    other = {**values, 'recipe': 'system_a', 'run_dir': str(folder / name)}
    with pytest.raises(UserError, match='recipe: "default" in the run, "system_a" now'):
        train(Config.from_dict(other))


def assert_ended(run_dir: Path, expected: dict) -> None:
    metrics = read_metrics(run_dir)
    assert len(metrics) == len(expected['metrics'])
    for actual, row in zip(metrics, expected['metrics']):
        assert_close(actual, row)
    results = json.loads((run_dir / 'results.json').read_text())
    assert_close(
        {key: results[key] for key in expected['results']}, expected['results']
    )


@pytest.mark.parametrize('name', ['image_folder'])
def test_resumes_where_its_images_are_now(name, folder, expected, no_drawings):
    (folder / 'images').rename(folder / 'moved')
    output = run('train', f'--run_dir={name}', '--data_dir=moved', '--resume=must')
    assert '--data_dir=moved is used from now on; images was recorded.' in output
    assert_ended(folder / name, expected)
    recorded = RunDirectory.read(folder / name)
    assert recorded.config.data_dir == 'moved'
    assert recorded.given is None


@pytest.mark.parametrize('name', ['two_phases'])
def test_refuses_another_value_of_what_affects_results(name, folder):
    done = run_here('train', f'--run_dir={name}', '--epochs=9', '--seed=3')
    assert done.returncode == 1
    assert 'differ:\n  epochs: 2 in the run, 9 now\nLeave them out' in done.stderr
    assert 'Traceback' not in done.stderr


@one_slow('image_folder')
def test_initializes_a_new_run(name, folder, expected, no_drawings):
    run(
        'train',
        '--run_dir=new',
        f'--pretrained={name}',
        '--image_size=16',
        '--epochs=1',
        '--limit_train_batches=2',
        '--limit_eval_batches=2',
        '--batch_size=8',
        '--optimizer=sgd',
        '--learning_rate=0.001',
        '--schedule=cosine',
        '--warmup_epochs=0.25',
        '--dropout=0.1',
        '--precision=float32',
        *SETTINGS[name],
    )
    (metrics,) = read_metrics(folder / 'new')
    assert_close(metrics, expected['pretrained'])
