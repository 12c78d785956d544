"""The command as a person meets it: help, mistakes, an evaluation, a comparison."""

import csv
import dataclasses
import functools
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from absl import flags as absl_flags
from commands import run_command, run_here
from PIL import Image

from scripts.common import flags
from scripts.common.output_folder import OutputError
from scripts.evaluate import __main__ as main
from scripts.evaluate import evaluate
from scripts.evaluate.settings import Settings
from trainers.inference.classifier import Classifier, from_run
from trainers.run.source import load_source
from trainers.run.train import train
from trainers.settings.config import Config, ConfigError
from vision.data import ArraySplit, DatasetError, Source, load
from vision.errors import UserError
from vision.models.specification import Specification

call = functools.partial(run_here, 'evaluate')


def test_help_needs_no_tensorflow():
    done = run_command('evaluate', '--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert 'absl' in done.stderr and 'tensorflow' not in done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 88
    for name in (
        'run_dir',
        'split',
        'views',
        'compare',
        'calibrate',
        'output',
        'dataset',
        'data_dir',
        'pretrained',
        'max_bad_fraction',
    ):
        assert re.search(rf'^  --(\[no\])?{name}\b', done.stdout, re.MULTILINE), name


@pytest.mark.parametrize(
    'mistake, message',
    [
        (['--spilt=test'], 'There is no flag --spilt. Did you mean --split?'),
        (['--split=all'], 'Expected --split to be one of test, validation, train'),
        (
            ['runs/a'],
            "Did not expect 'runs/a': give the folder of a run as --run_dir=runs/a",
        ),
        (['--compare', 'runs/a'], 'as in --compare runs/a runs/b, received 1 folder.'),
        (
            ['--compare', 'a', 'b', './a/'],
            'different runs with --compare, received ./a/ ',
        ),
        (['--compare', 'a', 'b', '--run_dir=c'], 'runs/a runs/b, received --run_dir.'),
        (
            ['--calibrate', '--views=flip', '--run_dir=a'],
            'Expected no --views=flip with ',
        ),
        (['--calibrate', '--model=googlenet'], 'Expected --run_dir with --calibrate'),
        (
            ['--calibrate', '--run_dir=a', '--temperature=2'],
            'Expected either --temperature ',
        ),
    ],
)
def test_mistake_is_explained_in_a_line(mistake, message):
    done = call(*mistake)
    assert (done.returncode, done.stdout) == (2, '')
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope='module')
def runs(trained_run, tmp_path_factory) -> Path:
    """The run that tests share, as if trained on three images of each class."""
    folder = tmp_path_factory.mktemp('runs')
    pixels = load('shapes').splits['test'].images
    for split in ('train', 'validation', 'test'):
        for label, name in enumerate(load('shapes').classes):
            where = folder / 'data' / split / name
            where.mkdir(parents=True)
            for i in range(3):
                Image.fromarray(pixels[10 * i + label]).save(where / f'{i}.png')
    shutil.copytree(trained_run, folder / 'a')
    move_data(folder / 'a', folder / 'data', dataset='image_folder')
    return folder


def move_data(run: Path, data_dir: Path, **settings) -> None:
    """Changes where a run says that its images are."""
    config = json.loads((run / 'config.json').read_text(encoding='utf-8'))
    config['settings'] |= {'data_dir': str(data_dir), **settings}
    (run / 'config.json').write_text(json.dumps(config), encoding='utf-8')


@pytest.fixture(scope='module')
def a_run(tmp_path_factory) -> Path:
    """A run on images of `cat|s` and `dog`, one of which is broken.

    The decoder writes about those of the test split to standard error.
    """
    folder = tmp_path_factory.mktemp('trained')
    rng = np.random.default_rng(0)
    for label, low in (('cat|s', 0), ('dog', 60)):
        for split, count in (('train', 24), ('validation', 20), ('test', 20)):
            where = folder / 'data' / split / label
            where.mkdir(parents=True)
            for i in range(count):  # the classes overlap, so that there are errors
                pixels = rng.integers(low, 196 + low, [16, 16, 3], np.uint8)
                image = Image.fromarray(pixels // (1 + i % 3))
                if split != 'test':
                    image.save(where / f'{i}.png')
                    continue
                contents = io.BytesIO()
                image.save(contents, 'JPEG')
                jpeg = contents.getvalue()
                (where / f'{i}.jpg').write_bytes(jpeg[:20] + b'\0\0\0' + jpeg[20:])
    (folder / 'data/test/dog/broken.png').write_bytes(b'no image')
    train_run(folder, 'a')
    return folder


@pytest.fixture(scope='module')
def two_runs(a_run) -> Path:
    """The same, with another run on the same images."""
    train_run(a_run, 'b', seed=1)
    return a_run


def train_run(folder: Path, name: str, **settings) -> None:
    train(
        Config(
            model='cifar_cnn',
            model_options=('filters:4-8',),
            dense=('8',),
            dataset='image_folder',
            data_dir=str(folder / 'data'),
            epochs=2,
            batch_size=8,
            precision='float32',
            warmup_epochs=0.0,
            learning_rate=3e-3,
            max_bad_fraction=0.1,
            run_dir=str(folder / name),
            **settings,
        ),
    )


@pytest.fixture
def evaluate_here(monkeypatch):
    """Called with a command line: the command in this process, errors and all."""

    def run(*arguments: str) -> None:
        values = absl_flags.FlagValues()
        values.set_gnu_getopt()
        with monkeypatch.context() as patch:
            patch.setattr(flags, 'FLAGS', values)
            flags.define(main.FIELDS)
            rest = values(['evaluate', *arguments])[1:]
            main.work(main.check(rest))

    return run


@pytest.mark.slow
def test_whole_evaluation(a_run):
    # No message of the decoder, though errors are decoded again to be drawn.
    done = run_command(
        'evaluate', f'--run_dir={a_run}/a', '--calibrate', '--batch_size=7'
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert 'Images      image_folder, test: 40 images, 2 classes' in done.stdout
    assert 'dog/broken.png' in done.stdout
    assert '1 image could not be decoded and not evaluated:' in done.stdout
    folder = a_run / 'a/evaluation/test'
    assert f'Report      {folder}/report.md' in done.stdout.replace(
        '\n            ', ' '
    )
    assert (folder / 'errors.png').is_file()
    results = json.loads((folder / 'results.json').read_text(encoding='utf-8'))
    trained = json.loads((a_run / 'a/results.json').read_text(encoding='utf-8'))['test']
    assert results['top1'] == pytest.approx(trained['top1'])
    assert results['loss'] == pytest.approx(trained['loss'], rel=1e-5)
    assert results['data']['evaluated'] == 40 and results['data']['undecodable'] == 1
    assert results['data']['data_dir'] == f'{a_run}/data'
    stored = json.loads((a_run / 'a/calibration.json').read_text(encoding='utf-8'))
    assert stored['split'] == 'validation' and stored['images'] == 40
    assert results['calibration']['temperature'] == stored['temperature'] != 1
    card = (folder / 'MODEL_CARD.md').read_text(encoding='utf-8')
    assert '| learning_rate | 0.003 |' in card and r'cat\|s' in card
    with (folder / 'predictions.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 40
    right = sum(row['label'] == row['predicted'] for row in rows)
    assert right / 40 == pytest.approx(results['top1'])


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--split_seed=7'], 'Expected the --split_seed=4321 that the run was trained'),
        (
            ['--calibrate', '--data_dir=other'],
            'Expected the images of the run with --cal',
        ),
        (
            ['--calibrate', '--dataset=shapes'],
            r', received shapes: the temperature is ',
        ),
    ],
)
def test_images_that_a_run_must_not_be_evaluated_on(
    runs, evaluate_here, arguments, message
):
    with pytest.raises(ConfigError, match=message):
        evaluate_here(f'--run_dir={runs}/a', *arguments)


def test_other_data_has_a_report_of_its_own(runs, evaluate_here, tmp_path):
    shutil.copytree(runs / 'data', tmp_path / 'work')
    evaluate_here(
        f'--run_dir={runs}/a',
        f'--data_dir={tmp_path}/work',
        '--split=validation',
        '--split_seed=7',
    )
    folder = runs / 'a/evaluation/image_folder-work-validation'
    report = (folder / 'report.md').read_text(encoding='utf-8')
    assert f'| Folder | {tmp_path}/work |' in report
    assert 'by which the best weights were chosen' not in report


@pytest.mark.slow
def test_images_of_the_run_by_another_name_are_its_own(
    runs, evaluate_here, tmp_path, capsys
):
    (tmp_path / 'holidays').symlink_to(runs / 'data')
    evaluate_here(
        f'--run_dir={runs}/a', f'--data_dir={tmp_path}/holidays', '--split=validation'
    )
    folder = runs / 'a/evaluation/validation'
    assert f'Folder | {tmp_path}/holidays |' in (folder / 'report.md').read_text(
        'utf-8'
    )
    assert 'by which the best weights were chosen' in ' '.join(
        capsys.readouterr().out.split()
    )


def test_run_that_cannot_be_written_to_is_reported_before_the_work(
    runs, evaluate_here, tmp_path, capsys
):
    shutil.copytree(runs / 'a', tmp_path / 'a')
    # Root may write anywhere, but nobody over a folder.
    (tmp_path / 'a/.probe.tmp').mkdir()
    with pytest.raises(
        OutputError,
        match='Expected --run_dir to be writable, '
        f'got {tmp_path}/a: .* leave out --calibrate',
    ):
        evaluate_here(
            f'--run_dir={tmp_path}/a', '--calibrate', f'--output={tmp_path}/out'
        )
    assert capsys.readouterr().out == '' and not (tmp_path / 'out').exists()


def test_temperature_that_cannot_be_stored_is_an_error(runs, tmp_path):
    shutil.copytree(runs / 'a', tmp_path / 'a')
    classifier = from_run(tmp_path / 'a')
    config = classifier.run.config
    evaluation = evaluate.evaluate_split(
        classifier, config, load_source(config), Settings(split='validation')
    )
    (tmp_path / 'a/calibration.json').unlink(missing_ok=True)
    (tmp_path / 'a/calibration.json').mkdir()
    with pytest.raises(
        OutputError,
        match='calibration.json to be writable, got .*: Is a directory. '
        'The temperature of .* is not stored; pass it with --temperature',
    ):
        evaluate._store_temperature(evaluation)


def test_where_no_temperature_is_best_no_other_split_is_evaluated():
    specification = Specification(
        'small_cnn', ('cat', 'dog'), 8, 'unit', options={'filters': (4,)}
    )
    classifier = Classifier(specification.build(), specification, 'random weights')
    images = np.random.default_rng(0).integers(0, 256, [40, 8, 8, 3], np.uint8)
    predicted = classifier.logits(images).main.numpy().argmax(1).astype(np.int32)
    # Of validation it is right about all; none of test can be decoded.
    split = ArraySplit(predicted, [f'{i}.png' for i in range(40)], images)
    bad = dataclasses.replace(split, sample_weights=np.zeros(40, np.float32))
    source = Source(
        'noise',
        ('cat', 'dog'),
        {'train': split, 'validation': split, 'test': bad},
        8,
        True,
    )

    def evaluate_split(settings):
        return evaluate.evaluate_split(classifier, Config(), source, settings)

    with pytest.raises(DatasetError, match='none of its 40 could be decoded'):
        evaluate_split(Settings())
    with pytest.raises(UserError, match='Expected errors among the 40'):
        evaluate_split(Settings(calibrate=True))


def test_runs_on_other_images_are_not_compared(runs, evaluate_here, tmp_path):
    """Nor evaluated: those of the first would be another error."""
    classes = sorted(load('shapes').classes)
    shutil.copytree(runs / 'data', tmp_path / 'data')
    for i in range(12):
        first = classes[i // 3]
        (tmp_path / f'data/test/{first}/{i % 3}.png').write_bytes(b'no image')
    (tmp_path / f'data/test/{classes[6]}/0.png').unlink()
    shutil.copytree(runs / 'a', tmp_path / 'b')
    move_data(tmp_path / 'b', tmp_path / 'data')
    name = f'test/{classes[6]}/0.png'
    with pytest.raises(UserError, match=rf'differ, such as {name} \({classes[6]}'):
        evaluate_here(
            '--compare', f'{tmp_path}/b', f'{runs}/a', f'--output={tmp_path}/other'
        )
    assert not (tmp_path / 'other').exists()


@pytest.mark.slow
def test_checkpoints_of_a_run_are_compared_by_their_own_names(
    runs, evaluate_here, tmp_path, capsys
):
    checkpoints = [f'{runs}/a/checkpoints/{name}' for name in ('best', 'last')]
    evaluate_here('--compare', *checkpoints, f'--output={tmp_path}/out')
    assert 'best − last' in capsys.readouterr().out
    comparison = json.loads(
        (tmp_path / 'out/comparison.json').read_text(encoding='utf-8')
    )
    assert [run['name'] for run in comparison['runs']] == ['best', 'last']


@pytest.mark.parametrize(
    'run_folders, names',
    [
        (['runs/a', 'runs/b/'], ['a', 'b']),
        (['x/best', 'y/best'], ['x/best', 'y/best']),
        (['x/best', 'y/best', 'z'], ['x/best', 'y/best', 'z']),
        (['runs/a', 'runs/a/checkpoints/last'], ['a', 'last']),
    ],
)
def test_names_of_runs(run_folders, names):
    assert evaluate.run_names(run_folders) == names


@pytest.mark.slow
def test_whole_comparison(two_runs, tmp_path):
    done = call(
        '--compare',
        f'{two_runs}/a',
        f'{two_runs}/b',
        '--split=validation',
        f'--output={tmp_path}/out',
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert 'a − b' in done.stdout
    comparison = json.loads(
        (tmp_path / 'out/comparison.json').read_text(encoding='utf-8')
    )
    (pair,) = comparison['pairs']
    first, second = (run['top1'] for run in comparison['runs'])
    assert pair['top1']['difference'] == pytest.approx(first - second)
    low, high = pair['top1']['interval']
    assert low <= pair['top1']['difference'] <= high
    assert (
        sum(
            pair[key]
            for key in (
                'both_right',
                'only_first_right',
                'only_second_right',
                'both_wrong',
            )
        )
        == 40
    )
    with (tmp_path / 'out/comparison.csv').open(newline='', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    for name, top1 in (('a', first), ('b', second)):
        right = sum(row['label'] == row[f'{name}: predicted'] for row in rows)
        assert right / 40 == pytest.approx(top1)
