"""The command as a person meets it: help, mistakes, and one whole run."""

import dataclasses
import functools
import re
from pathlib import Path

import pytest
from commands import run_command, run_here

import trainers.run.train
from trainers.reporting import progress
from trainers.settings.config import Config
from trainers.settings.recipes import RECIPES
from vision.data import DATASETS
from vision.data.augment import AUGMENTATIONS
from vision.models import MODELS

ROOT = Path(__file__).resolve().parents[2]
FIELDS = dataclasses.fields(Config)

call = functools.partial(run_here, 'train')


def test_help_is_grouped_short_and_needs_no_tensorflow():
    done = run_command('train', '--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert 'absl' in done.stderr and 'tensorflow' not in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) < 200 and max(map(len, lines)) <= 88
    groups = list(dict.fromkeys(f'{field.metadata["group"]}:' for field in FIELDS))
    assert [line for line in lines if line in groups] == groups
    for field in FIELDS:
        assert (
            len(re.findall(rf'^  --(\[no\])?{field.name}\b', done.stdout, re.MULTILINE))
            == 1
        )


def test_lists():
    done = call(
        '--list_models', '--list_datasets', '--list_recipes', '--list_augmentations'
    )
    assert (done.returncode, done.stderr) == (0, '')
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    names = [name.partition(':')[0] for name, _ in lines]
    assert names == [*MODELS, *DATASETS, 'tfds', *RECIPES, *AUGMENTATIONS]
    assert all(text.endswith('.') for _, text in lines)


@pytest.mark.parametrize(
    'mistake, message',
    [
        ('--epoch=3', 'There is no flag --epoch. Did you mean --epochs?'),
        ('--zebra', 'There is no flag --zebra. Settings are given as --name=value'),
        ('epochs=3', "Did not expect 'epochs=3'. Did you mean --epochs=3?"),
        ('zebra', "Did not expect 'zebra'. Settings are given as --name=value"),
        ('--epochs=three', '--epochs=three'),
        ('--epochs=0', 'Expected --epochs to be at least 1, received 0.'),
        ('--learning_rate=nan', 'Expected --learning_rate to be at least 0'),
        ('--optimizer=adm', 'Did you mean adam?'),
        ('--dropout=much', '--dropout=much'),
        ('--dropout=1', 'Expected --dropout to be 0 to 0.99, received 1.0.'),
        ('--recipe=system_c', 'Did you mean system_'),
        (
            '--image_size_schedule=32,48@10',
            "such as 32@0,48@10; received '32,48@10'.",
        ),
    ],
)
def test_mistake_is_explained_in_a_line_or_two(mistake, message):
    done = call(mistake)
    assert (done.returncode, done.stdout) == (2, '')
    assert message in done.stderr
    assert len(done.stderr.splitlines()) <= 2 and 'Traceback' not in done.stderr


def test_missing_dataset_says_how_to_get_it(tmp_path):
    done = call('--dataset=tiny_imagenet', f'--run_dir={tmp_path}/run')
    assert done.returncode == 1
    assert 'https://cs231n.stanford.edu/tiny-imagenet-200.zip' in done.stderr
    assert 'as data_dir' in done.stderr and 'Traceback' not in done.stderr
    assert done.stderr.endswith('\nSee --data_dir and --download.\n')
    assert not (tmp_path / 'run').exists()


def test_whole_run(tmp_path, monkeypatch):
    # Shows the progress after every step, not every 30 seconds.
    every_step = functools.partial(progress.Progress, interval=0)
    monkeypatch.setattr(trainers.run.train, 'Progress', every_step)
    done = call(
        '--model=cifar_cnn',
        '--model_options=filters:4-8',
        '--dense=8',
        '--epochs=1',
        '--batch_size=8',
        '--limit_train_batches=2',
        '--limit_eval_batches=1',
        '--optimizer=sgd',
        '--precision=float32',
        f'--run_dir={tmp_path}/run',
    )
    assert done.returncode == 0, done.stderr
    # Where there is no terminal the progress comes as lines now and then.
    lines = done.stderr.splitlines()
    line = r'Epoch 1/1 +\d+% [12]/2 \[(\d\d:\d\d|\?)(, [\w/-]+=\S+)*\]'
    assert lines and all(re.fullmatch(line, text) for text in lines), done.stderr
    assert 'Epoch 1/1' in done.stdout and 'Test  ' in done.stdout
    assert f'tensorboard --logdir={tmp_path}/run/tensorboard' in done.stdout
    assert (tmp_path / 'run/results.json').exists()
