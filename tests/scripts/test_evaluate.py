"""The command as a person meets it: help, mistakes, an evaluation, a comparison."""

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def call(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, *python, '-m', 'scripts.evaluate', *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          timeout=300)


def test_help_needs_no_tensorflow():
    done = call('--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert 'absl' in done.stderr and 'tensorflow' not in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 88
    for name in ('run_dir', 'split', 'views', 'compare', 'calibrate', 'output',
                 'dataset', 'data_dir', 'pretrained', 'max_bad_fraction'):
        assert re.search(rf'^  --(\[no\])?{name}\b', done.stdout, re.MULTILINE), name


@pytest.mark.parametrize('mistake, message', [
    (['--spilt=test'], 'There is no flag --spilt. Did you mean --split?'),
    (['--split=all'], 'Expected --split to be one of test, validation, train'),
    (['runs/a'
     ], "Did not expect 'runs/a': give the folder of a run as --run_dir=runs/a"),
    (['--compare', 'runs/a'], 'as in --compare runs/a runs/b, received 1 folder.'),
    (['--compare', 'a', 'b', '--run_dir=c'], 'runs/a runs/b, received --run_dir.'),
    (['--calibrate', '--views=flip', '--run_dir=a'], 'Expected no --views=flip with '),
    (['--calibrate', '--model=googlenet'], 'Expected --run_dir with --calibrate'),
    (['--calibrate', '--run_dir=a', '--temperature=2'
     ], 'Expected either --temperature '),
])
def test_mistake_is_explained_in_a_line(mistake, message):
    done = call(*mistake)
    assert (done.returncode, done.stdout) == (2, '')
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope='module')
def runs(tmp_path_factory) -> Path:
    """A run on pictures of `cat|s` and `dog`, one of which is broken."""
    folder = tmp_path_factory.mktemp('runs')
    rng = np.random.default_rng(0)
    for label, low in (('cat|s', 0), ('dog', 60)):
        for split, count in (('train', 24), ('validation', 20), ('test', 20)):
            where = folder / 'data' / split / label
            where.mkdir(parents=True)
            for i in range(count):  # the classes overlap, so that there are mistakes
                pixels = rng.integers(low, 196 + low, [16, 16, 3], np.uint8)
                Image.fromarray(pixels // (1 + i % 3)).save(where / f'{i}.png')
    (folder / 'data/test/dog/broken.png').write_bytes(b'no picture')
    train_run(folder, 'a')
    return folder


@pytest.fixture(scope='module')
def two_runs(runs) -> Path:
    """The same, with another run on the same pictures."""
    train_run(runs, 'b', seed=1)
    return runs


def train_run(folder: Path, name: str, **settings) -> None:
    from trainers.config import Config
    from trainers.progress import ConsoleHandler
    from trainers.train import train
    train(
        Config(model='cifar_cnn', model_options=('filters:4-8',), dense=('8',),
               dataset='image_folder', data_dir=str(folder / 'data'), epochs=2,
               batch_size=8, precision='float32', warmup_epochs=0.0, learning_rate=3e-3,
               max_bad_fraction=0.1, run_dir=str(folder / name), **settings),
        ConsoleHandler(io.StringIO()))


def test_whole_evaluation(runs):
    done = call(f'--run_dir={runs}/a', '--calibrate', '--batch_size=7')
    assert (done.returncode, done.stderr) == (0, '')
    assert 'Pictures    image_folder, test: 40 pictures, 2 classes' in done.stdout
    assert 'dog/broken.png' in done.stdout
    assert '1 picture could not be decoded and is in none of these' in done.stdout
    folder = runs / 'a/evaluation/test'
    assert f'Report      {folder}/report.md' in done.stdout.replace(
        '\n            ', ' ')
    found = json.loads((folder / 'results.json').read_text(encoding='utf-8'))
    trained = json.loads((runs / 'a/results.json').read_text(encoding='utf-8'))['test']
    assert found['top1'] == pytest.approx(trained['top1'])
    assert found['loss'] == pytest.approx(trained['loss'], rel=1e-5)
    assert found['data']['evaluated'] == 40 and found['data']['undecodable'] == 1
    stored = json.loads((runs / 'a/calibration.json').read_text(encoding='utf-8'))
    assert stored['split'] == 'validation' and stored['pictures'] == 40
    assert found['calibration']['temperature'] == stored['temperature'] != 1
    card = (folder / 'MODEL_CARD.md').read_text(encoding='utf-8')
    assert '| learning_rate | 0.003 |' in card and r'cat\|s' in card
    with (folder / 'predictions.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    right = sum(row['label'] == row['predicted'] for row in rows)
    assert right / 40 == pytest.approx(found['top1'])


@pytest.mark.slow
def test_comparison_says_who_is_better(two_runs, tmp_path):
    done = call('--compare', f'{two_runs}/a', f'{two_runs}/b', '--split=validation',
                f'--output={tmp_path}/out')
    assert (done.returncode, done.stderr) == (0, '')
    assert 'a less b' in done.stdout
    found = json.loads((tmp_path / 'out/comparison.json').read_text(encoding='utf-8'))
    pair, = found['pairs']
    first, second = (run['top1'] for run in found['runs'])
    assert pair['top1']['difference'] == pytest.approx(first - second)
    low, high = pair['top1']['interval']
    assert low <= pair['top1']['difference'] <= high
    assert sum(pair[key] for key in ('both_right', 'only_first_right',
                                     'only_second_right', 'both_wrong')) == 40
    with (tmp_path / 'out/comparison.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    for name, top1 in (('a', first), ('b', second)):
        right = sum(row['label'] == row[f'{name}: predicted'] for row in rows)
        assert right / 40 == pytest.approx(top1)


@pytest.mark.slow
def test_runs_on_other_pictures_are_not_compared(two_runs, tmp_path):
    runs = two_runs
    shutil.copytree(runs / 'data', tmp_path / 'data')
    (tmp_path / 'data/test/dog/0.png').unlink()
    shutil.copytree(runs / 'b', tmp_path / 'b')
    config = json.loads((tmp_path / 'b/config.json').read_text(encoding='utf-8'))
    config['data_dir'] = str(tmp_path / 'data')
    (tmp_path / 'b/config.json').write_text(json.dumps(config), encoding='utf-8')
    done = call('--compare', f'{runs}/a', f'{tmp_path}/b', f'--output={tmp_path}/out')
    assert (done.returncode, done.stdout) == (1, '')
    assert 'differ, such as test/dog/0.png (dog)' in done.stderr
    assert not list((tmp_path / 'out').iterdir())
