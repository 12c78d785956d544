"""The run directory: one writer, one configuration, nothing scattered."""

import contextlib
import csv
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import vision
from trainers.settings import recipes
from trainers.settings.config import Config, ConfigError
from trainers.storage.resume import completed, config_of
from trainers.storage.run_directory import RunDirectory, RunDirectoryError

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = {'model': 'small_cnn', 'learning_rate': 0.1, 'augment': ('flip', 'zoom:0.1')}
STARTED_WITH = (
    'The run was started with --model=small_cnn --learning_rate=0.1 '
    '--augment=flip,zoom:0.1, and resumes so.'
)
LABELS = [{'id': 'n1', 'name': 'cat'}, {'id': 'n2', 'name': 'größer'}]


def start(path: Path, labels=LABELS, **changes) -> RunDirectory:
    """Opens a run, with some settings changed."""
    return RunDirectory.open(path, Config(**SETTINGS | changes), labels)


def test_a_new_run_has_everything_in_its_place(tmp_path):
    path = tmp_path / 'runs' / 'first'
    with start(path) as run:
        assert not run.resumed
        relative = {
            name: str(value.relative_to(path))
            for name, value in vars(run).items()
            if isinstance(value, Path) and value != path
        }
        assert relative == {
            'config': 'config.json',
            'environment': 'environment.json',
            'labels': 'labels.json',
            'log': 'train.log',
            'metrics': 'metrics.csv',
            'results': 'results.json',
            'bad_files': 'bad_files.csv',
            'checkpoints_last': 'checkpoints/last',
            'checkpoints_best': 'checkpoints/best',
            'plots': 'plots',
            'samples': 'samples',
            'tensorboard_train': 'tensorboard/train',
            'tensorboard_validation': 'tensorboard/validation',
            'export': 'export',
            'evaluation': 'evaluation',
            'explanations': 'explanations',
            'calibration': 'calibration.json',
        }
        for folder in ('evaluation', 'explanations'):  # made when they are needed
            assert not (path / relative.pop(folder)).exists()
        folders = [name for name in relative.values() if '.' not in name]
        assert all((path / folder).is_dir() for folder in folders)
    assert 'größer' in (path / 'labels.json').read_text(encoding='utf-8')


def test_naming_paths_touches_nothing(tmp_path):
    assert RunDirectory(tmp_path / 'run').config == tmp_path / 'run' / 'config.json'
    assert not (tmp_path / 'run').exists()


def test_resume_takes_the_same_settings_only(tmp_path):
    with start(tmp_path / 'run'):
        pass
    with start(tmp_path / 'run', augment=('flip', 'zoom:0.1')) as run:
        assert run.resumed and run.notes == [STARTED_WITH]
    with pytest.raises(RunDirectoryError) as raised:
        start(tmp_path / 'run', learning_rate=0.2, model='cifar_cnn', precise_bn=1)
    assert 'model: "small_cnn" in the run, "cifar_cnn" now' in str(raised.value)
    assert 'learning_rate: 0.1 in the run, 0.2 now' in str(raised.value)
    assert 'precise_bn: 0 in the run, 1 now' in str(raised.value)
    assert 'augment' not in str(raised.value)
    assert 'another --run_dir' in str(raised.value)
    assert RunDirectory.read(tmp_path / 'run').config.learning_rate == 0.1
    with start(tmp_path / 'run'):  # The refusal let go of the lock.
        pass


def test_settings_that_do_not_affect_results_may_change(tmp_path):
    start(tmp_path, log_every=10).close()
    with start(tmp_path, log_every=5, run_dir='other', resume='must') as run:
        assert run.notes == [
            '--log_every=5 is used from now on; 10 was recorded.',
            STARTED_WITH,
        ]
    recorded = RunDirectory.read(tmp_path)
    assert recorded.config.log_every == recorded.given['log_every'] == 5


def test_config_json_has_the_version_what_was_given_and_all_settings(tmp_path):
    given = {'recipe': 'system_d', 'epochs': 3, 'run_dir': str(tmp_path / 'run')}
    config = config_of(given)
    RunDirectory.open(tmp_path / 'run', config, LABELS).close()
    content = json.loads((tmp_path / 'run/config.json').read_text())
    assert content == {
        'version': vision.__version__,
        'given': given,
        'settings': config.to_dict(),
    }


def test_an_existing_run_needs_no_setting_but_its_directory(tmp_path):
    path = tmp_path / 'run'
    start(path, data_dir='images', download=True, seed=7).close()
    config = config_of({'run_dir': str(path)})
    expected = Config(**SETTINGS, data_dir='images', seed=7, run_dir=str(path))
    assert config == expected  # Nothing is downloaded unless that is asked for again.
    start(path, **dataclasses.asdict(config)).close()
    given = {'run_dir': str(path), 'seed': 7, 'data_dir': 'moved', 'resume': 'must'}
    config = config_of(given)
    assert config == dataclasses.replace(expected, data_dir='moved', resume='must')
    with start(path, **dataclasses.asdict(config)) as run:
        assert run.notes == [
            '--data_dir=moved is used from now on; images was recorded.',
            STARTED_WITH.replace('=flip,zoom:0.1', '=flip,zoom:0.1 --seed=7'),
        ]
    assert RunDirectory.read(path).given['data_dir'] == 'moved'


def test_defaults_of_the_network_are_recorded(tmp_path):
    """A later version may have another default, which the run must not take."""
    rates = {'dropout': 0.5, 'feature_dropout': 0.25}
    config = Config(feature_dropout=0.0, run_dir=str(tmp_path))
    assert completed(config) is config  # There is no run yet.
    RunDirectory.open(tmp_path, config, LABELS, rates).close()
    recorded = RunDirectory.read(tmp_path)
    assert recorded.config == dataclasses.replace(config, dropout=0.5)
    assert 'feature_dropout' in recorded.given and 'dropout' not in recorded.given
    assert completed(config) == config_of({'run_dir': str(tmp_path)}) == recorded.config
    RunDirectory.open(tmp_path, completed(config), LABELS, {'dropout': 0.9}).close()
    assert RunDirectory.read(tmp_path).config == recorded.config
    never = dataclasses.replace(config, resume='never')
    assert completed(never) is never


@pytest.mark.parametrize(
    'given, error, message',
    [
        ({'seed': 8}, RunDirectoryError, 'differ:\n  seed: 0 in the run, 8 now\nLeave'),
        ({'recipe': 'system_d'}, RunDirectoryError, 'recipe: null in the run, "sys'),
        ({'epochs': 0}, ConfigError, 'Expected --epochs to be at least 1, received 0'),
        ({'epoch': 1}, ConfigError, "no setting 'epoch'. Did you mean epochs?"),
    ],
)
def test_what_is_given_for_an_existing_run_must_be_what_it_recorded(
    given, error, message, tmp_path
):
    start(tmp_path).close()
    with pytest.raises(error, match=message):
        config_of({'run_dir': str(tmp_path), **given})


@pytest.mark.parametrize('dry_run', [False, True])
def test_a_new_start_does_not_read_what_is_there(dry_run, tmp_path):
    start(tmp_path, seed=7).close()
    given = {'run_dir': str(tmp_path), 'resume': 'never', 'dry_run': dry_run}
    assert config_of(given) == recipes.configure(None, given)


def test_a_dry_run_tries_the_settings_of_the_run_that_is_there(tmp_path):
    given = {'run_dir': str(tmp_path), 'dry_run': True}
    assert config_of(given) == recipes.configure(None, given)
    start(tmp_path, seed=7).close()
    assert config_of(given) == Config(**SETTINGS, seed=7, **given)
    with pytest.raises(RunDirectoryError, match='differ:\n  seed: 7 in the run, 8 now'):
        config_of({**given, 'seed': 8})


def test_the_default_directory_may_hold_a_run_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {'model': 'small_cnn'}
    assert config_of(given) == recipes.configure(None, given)
    path = 'runs/small_cnn-shapes'
    start(Path(path), epochs=3).close()
    expected = Config(**SETTINGS, epochs=3, run_dir=path)
    assert config_of({'model': 'small_cnn'}) == expected


def test_numbers_are_compared_as_json(tmp_path):
    """JSON has one kind of numbers: another program may write 1 for 1.0."""
    start(tmp_path, learning_rate=1.0).close()
    path = tmp_path / 'config.json'
    content = json.loads(path.read_text())
    content['settings'] |= {'learning_rate': 1, 'epochs': content['settings']['epochs']}
    path.write_text(json.dumps(content))
    assert start(tmp_path, learning_rate=1.0).resumed


@pytest.mark.parametrize(
    'given', [{'dropout': None, 'recipe': None}, {'dropout': None, 'pooling': None}]
)
def test_an_empty_value_stands_for_the_recorded_one(given, tmp_path):
    """The same command resumes: what the network had for it was recorded."""
    given = {'run_dir': str(tmp_path), **given}
    config = config_of(given)
    RunDirectory.open(tmp_path, config, LABELS, {'dropout': 0.4}).close()
    assert config_of(given) == dataclasses.replace(config, dropout=0.4)


def test_an_empty_value_does_not_stand_for_another_that_was_given(tmp_path):
    start(tmp_path, dropout=0.3).close()
    with pytest.raises(RunDirectoryError, match='dropout: 0.3 in the run, null now'):
        config_of({'run_dir': str(tmp_path), 'dropout': None})


def test_an_unknown_recipe_leaves_no_directory(tmp_path):
    with pytest.raises(ConfigError, match='--recipe to be one of'):
        start(tmp_path / 'run', recipe='nonsense')
    assert not (tmp_path / 'run').exists()


def test_other_classes_are_refused(tmp_path):
    start(tmp_path).close()
    with pytest.raises(RunDirectoryError, match=r'classes .*\(2 in labels.json.*\(3\)'):
        start(tmp_path, labels=[*LABELS, {'id': 'n3', 'name': 'owl'}])


@pytest.mark.parametrize(
    ('resume', 'there', 'message'),
    [
        ('auto', False, None),
        ('auto', True, None),
        ('must', True, None),
        ('never', False, None),
        ('must', False, 'expected a run to resume, but there is none'),
        ('never', True, 'there is one, .* another --run_dir or delete this one'),
    ],
)
def test_resume_is_allowed_demanded_or_refused(resume, there, message, tmp_path):
    path = tmp_path / 'run'
    if there:
        start(path).close()
    if message is None:
        with start(path, resume=resume) as run:
            assert run.resumed == there
    else:
        with pytest.raises(RunDirectoryError, match=message):
            start(path, resume=resume)
        assert path.exists() == there


HOLD = """
import sys
from pathlib import Path
from tests.trainers.storage.test_run_directory import *
run = start(Path(sys.argv[1]))
print('open', flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_kill_frees_it(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, '-c', HOLD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout.readline() == 'open\n'
        message = rf'pid {holder.pid} on .*, started 20\d\d-.*\+00:00\. Wait'
        with pytest.raises(RunDirectoryError, match=message):
            start(tmp_path)
        assert RunDirectory.read(tmp_path).labels == LABELS  # Reading needs no lock.
        holder.kill()
    assert f'pid {holder.pid}' in (tmp_path / '.lock.holder').read_text()
    with start(tmp_path) as run:
        assert run.resumed
        with pytest.raises(RunDirectoryError, match=f'pid {os.getpid()} on '):
            start(tmp_path)


def test_a_run_killed_in_its_first_moments_is_new(tmp_path):
    for name in ('.lock', 'labels.json', '.config.json.tmp'):
        (tmp_path / name).write_text('{"half')
    with start(tmp_path) as run:
        assert not run.resumed
    recorded = RunDirectory.read(tmp_path)
    assert (recorded.config, recorded.labels) == (Config(**SETTINGS), LABELS)


def test_two_files_are_enough_to_resume_a_run(tmp_path):
    start(tmp_path / 'run', seed=3).close()
    (tmp_path / 'copy').mkdir()
    for name in ('config.json', 'labels.json'):
        (tmp_path / 'copy' / name).write_bytes((tmp_path / 'run' / name).read_bytes())
    with start(tmp_path / 'copy', seed=3, resume='must') as run:
        assert run.resumed


@pytest.mark.parametrize('name', ['holiday.jpg', 'checkpoints', 'config.json'])
def test_a_directory_of_something_else_is_left_alone(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(RunDirectoryError, match=f'one with {name}. Choose another'):
        start(tmp_path)
    assert os.listdir(tmp_path) == [name]


def test_a_file_in_the_place_of_the_directory(tmp_path):
    (tmp_path / 'run').touch()
    with pytest.raises(RunDirectoryError, match='expected a directory, got a file'):
        start(tmp_path / 'run')
    with pytest.raises(RunDirectoryError, match='that can be written to: .*Not a dir'):
        start(tmp_path / 'run' / 'below')
    with pytest.raises(RunDirectoryError, match='no config.json'):
        RunDirectory.read(tmp_path / 'run')


@contextlib.contextmanager
def without_rights() -> Iterator[Path]:
    """A directory with an unreadable file, for a user who may not write there."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        (path / 'config.json').touch(mode=0)
        path.chmod(0o555)
        if root:
            os.seteuid(65534)
        try:
            yield path
        finally:
            if root:
                os.seteuid(0)
            path.chmod(0o755)


def test_places_without_rights():
    with without_rights() as path:
        with pytest.raises(RunDirectoryError, match='written to: .*Permission denied'):
            start(path / 'run')
        with pytest.raises(RunDirectoryError, match='config.json: .*Permission denied'):
            RunDirectory.read(path)


@pytest.mark.parametrize(
    ('name', 'content', 'message'),
    [
        ('config.json', b'{"model": "sm', 'config.json: expected the JSON that the r'),
        ('config.json', b'', 'config.json: expected the JSON that the run wrote'),
        ('config.json', b'\xff\0', 'config.json: expected the JSON that the run wrote'),
        ('config.json', b'[1]', 'config.json: expected a JSON object .* got list'),
        ('labels.json', b'[', 'labels.json: expected the JSON that the run wrote'),
    ],
)
def test_garbled_files_are_named(name, content, message, tmp_path):
    start(tmp_path).close()
    (tmp_path / name).write_bytes(content)
    for use in (RunDirectory.read, start):
        with pytest.raises(RunDirectoryError, match=message):
            use(tmp_path)


def test_reading_writes_nothing(tmp_path):
    with pytest.raises(RunDirectoryError, match='no config.json.*--run_dir'):
        RunDirectory.read(tmp_path)
    assert os.listdir(tmp_path) == []
    start(tmp_path).close()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    recorded = RunDirectory.read(tmp_path)
    assert (recorded.config, recorded.labels) == (Config(**SETTINGS), LABELS)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    (tmp_path / 'labels.json').unlink()
    with pytest.raises(RunDirectoryError, match='labels.json: expected the classes'):
        RunDirectory.read(tmp_path)


def test_metrics_come_back_bit_for_bit(tmp_path):
    rows = [
        {'epoch': 1, 'loss': 1 / 3, 'rate': np.float32(0.1)},
        {'epoch': np.int64(2), 'loss': math.nan, 'rate': np.float64(1e-300)},
    ]
    run = RunDirectory(tmp_path)
    run.write_metrics(rows)
    assert run.metrics.read_text() == (
        'epoch,loss,rate\n1,0.3333333333333333,0.10000000149011612\n2,nan,1e-300\n'
    )
    with run.metrics.open(newline='') as file:
        first = next(csv.DictReader(file))
    assert float(first['loss']) == 1 / 3
    assert np.float32(first['rate']) == np.float32(0.1)
    with pytest.raises(ValueError, match=r"columns \['epoch'\], got \['epoch', 'loss'"):
        run.write_metrics([{'epoch': 1}, rows[0]])
    assert len(run.metrics.read_text().splitlines()) == 3


def test_bad_files_keep_odd_names(tmp_path):
    run = RunDirectory(tmp_path)
    items = [('a, "b"\n.jpg', 'cat', 'truncated'), ('raw \udcff.jpg', 'dog', 'größer')]
    run.write_bad_files(items)
    with run.bad_files.open(newline='', errors='surrogateescape') as file:
        lines = [tuple(line) for line in csv.reader(file)]
    assert lines == [('path', 'class', 'reason'), *items]


def test_json_for_people_and_programs(tmp_path):
    run = RunDirectory(tmp_path)
    run.write_json(run.results, {'top1': 1 / 3, 'class': 'größer'})
    text = run.results.read_text(encoding='utf-8')
    assert json.loads(text) == {'top1': 1 / 3, 'class': 'größer'}
    assert 'größer' in text and text.endswith('}\n')
