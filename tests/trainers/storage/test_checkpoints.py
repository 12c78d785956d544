"""Checkpoints are exact, and every kind of damage is detected."""

import errno
import functools
import hashlib
import itertools
import json
import logging
import math
import os
import random
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import keras
import numpy as np
import pytest
import tensorflow as tf
from commands import Fork

from trainers.storage.checkpoints import (
    CheckpointError,
    Checkpoints,
    _folders,
    find,
    latest,
    read_variables,
)
from vision import files

ROOT = Path(__file__).resolve().parents[3]


class Model(tf.Module):
    def __init__(self, units: int = 4, extra: bool = False):
        super().__init__()
        self.kernels = [tf.Variable(tf.random.normal([3, units])) for _ in range(2)]
        self.deep = {'inner': (tf.Variable(tf.zeros([units])),)}
        if extra:
            self.extra = tf.Variable(1.0)


def make_optimizer(name: str) -> keras.optimizers.Optimizer:
    if name == 'sgd':
        return keras.optimizers.SGD(0.1, momentum=0.9, use_ema=True)
    if name == 'adamw':
        return keras.optimizers.AdamW(1e-2)
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-2))


def make_objects(optimizer: str = 'adamw', **model: object) -> tf.train.Checkpoint:
    """A network, its built optimizer and a counter, with random weights."""
    network = Model(**model)
    built = make_optimizer(optimizer)
    built.build(network.trainable_variables)
    step = tf.Variable(0, dtype=tf.int64)
    return tf.train.Checkpoint(model=network, optimizer=built, step=step)


def train(objects: tf.train.Checkpoint, steps: int = 3) -> None:
    variables = objects.model.trainable_variables
    for _ in range(steps):
        gradients = [tf.random.normal(variable.shape) for variable in variables]
        objects.optimizer.apply(gradients, variables)
        objects.step.assign_add(1)


def values(objects: tf.train.Checkpoint) -> list[bytes]:
    variables = [*objects.model.variables, *objects.optimizer.variables, objects.step]
    return [np.asarray(variable).tobytes() for variable in variables]


def test_files_are_on_the_disk_before_the_checkpoint_gets_its_name(
    tmp_path, monkeypatch
):
    events = []
    flush, rename = files.flush, Path.rename

    def flushing(path: Path) -> None:
        events.append(('flush', path.name))
        flush(path)

    def renaming(path: Path, target: Path) -> Path:
        events.append(('rename', target.name))
        return rename(path, target)

    monkeypatch.setattr(files, 'flush', flushing)
    monkeypatch.setattr(Path, 'rename', renaming)
    Checkpoints(tmp_path, make_objects()).save(3, {})
    folder = tmp_path / 'step-000000003'
    named = events.index(('rename', folder.name))
    flushed = {name for event, name in events[:named] if event == 'flush'}
    assert {path.name for path in folder.iterdir()} <= flushed
    assert f'.saving-{folder.name}' in flushed
    assert ('flush', tmp_path.name) in events[named:]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A folder with the undamaged checkpoints 1 and 2, and what was in them."""
    directory = tmp_path_factory.mktemp('saved') / 'last'
    objects = make_objects()
    checkpoints = Checkpoints(directory, objects)
    contents = {}
    for step in (1, 2):
        train(objects)
        checkpoints.save(step, {'number': step})
        contents[step] = values(objects)
    return directory, contents


@pytest.fixture
def copy(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / 'last')
    return tmp_path / 'last'


@pytest.mark.parametrize('optimizer', ['sgd', 'adamw', 'loss_scale'])
def test_restores_every_bit_into_fresh_objects(optimizer, tmp_path):
    objects = make_objects(optimizer)
    train(objects)
    Checkpoints(tmp_path, objects).save(123, {})
    fresh = make_objects(optimizer)
    assert values(fresh) != values(objects)
    assert Checkpoints(tmp_path, fresh).restore() == {'step': 123}
    assert values(fresh) == values(objects)
    assert names(tmp_path) == ['step-000000123']
    assert names(tmp_path / 'step-000000123') == [
        'manifest.json',
        'state.json',
        'variables.data-00000-of-00001',
        'variables.index',
    ]


@pytest.mark.slow
def test_restores_every_bit_in_a_new_process(saved):
    directory, contents = saved
    script = (
        'import sys; from pathlib import Path\n'
        'sys.path.insert(0, "tests/helpers")\n'
        'from tests.trainers.storage.test_checkpoints import *\n'
        'objects = make_objects()\n'
        'Checkpoints(Path(sys.argv[1]), objects).restore()\n'
        "print(b''.join(values(objects)).hex())\n"
    )
    done = subprocess.run(
        [sys.executable, '-c', script, str(directory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == b''.join(contents[2]).hex()


def test_state_comes_back_bit_for_bit(tmp_path):
    floats = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, math.pi, math.inf]
    floats += [-math.inf, float(np.float32(0.1)), np.float64(2) / 3]
    state = {'floats': floats, 'nan': math.nan, 'best': None, 'rows': [{'epoch': 1}]}
    checkpoints = Checkpoints(tmp_path, make_objects())
    checkpoints.save(7, state)
    restored = checkpoints.restore()
    packed = [struct.pack('<d', value) for value in restored.pop('floats')]
    assert packed == [struct.pack('<d', value) for value in floats]
    assert math.isnan(restored.pop('nan'))
    assert restored == {'step': 7, 'best': None, 'rows': [{'epoch': 1}]}


def test_state_must_be_json(tmp_path):
    checkpoints = Checkpoints(tmp_path / 'last', make_objects())
    with pytest.raises(TypeError, match='not JSON serializable'):
        checkpoints.save(1, {'loss': np.float32(1)})
    assert checkpoints.restore() is None


def test_keeps_the_newest(tmp_path):
    checkpoints = Checkpoints(tmp_path, make_objects(), keep=2)
    for step in (5, 1000000000, 30):
        checkpoints.save(step, {})
    assert sorted(_folders(tmp_path)) == [30, 1000000000]
    checkpoints.save(2, {})  # What was just saved is never rotated away.
    assert sorted(_folders(tmp_path)) == [2, 30, 1000000000]
    assert names(tmp_path) == ['step-000000002', 'step-000000030', 'step-1000000000']
    with pytest.raises(ValueError, match='keep to be at least 1, got 0'):
        Checkpoints(tmp_path, make_objects(), keep=0)


def test_nothing_there_is_a_fresh_start(tmp_path):
    objects = make_objects()
    before = values(objects)
    assert Checkpoints(tmp_path, objects).restore() is None
    assert Checkpoints(tmp_path / 'missing', objects).restore() is None
    assert values(objects) == before
    (tmp_path / 'file').touch()
    with pytest.raises(CheckpointError, match='expected a readable folder'):
        Checkpoints(tmp_path / 'file', objects).restore()


FILES = [
    'manifest.json',
    'state.json',
    'variables.data-00000-of-00001',
    'variables.index',
]


def flip(path: Path, place: float, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[int(place * (len(content) - 1))] ^= 1 << bit
    path.write_bytes(content)


DAMAGES = {
    'truncated': lambda path: os.truncate(path, path.stat().st_size // 2),
    'one byte short': lambda path: os.truncate(path, path.stat().st_size - 1),
    'emptied': lambda path: os.truncate(path, 0),
    'grown': lambda path: path.write_bytes(path.read_bytes() + b'\0'),
    'missing': lambda path: path.unlink(),
    'garbage': lambda path: path.write_bytes(os.urandom(path.stat().st_size)),
    'other json': lambda path: path.write_text('[1, 2]'),
    'first bit': lambda path: flip(path, 0, 0),
    'middle bit': lambda path: flip(path, 0.5, 3),
    'late bit': lambda path: flip(path, 0.9, 5),
    'last bit': lambda path: flip(path, 1, 7),
    'unreadable': lambda path: (path.unlink(), path.symlink_to('/proc/self/mem')),
}


@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('damage', DAMAGES)
def test_damaged_is_renamed_and_the_one_before_used(name, damage, copy, saved, caplog):
    DAMAGES[damage](copy / 'step-000000002' / name)
    objects = make_objects()
    state = Checkpoints(copy, objects).restore()
    assert state == {'step': 1, 'number': 1}
    assert values(objects) == saved[1][1]
    assert names(copy) == ['damaged-step-000000002', 'step-000000001']
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert name in record.getMessage() or 'garbled' in record.getMessage()
    assert 'DAMAGED' in record.getMessage()


def test_every_flipped_bit_of_the_manifest_shows(copy):
    path = copy / 'step-000000002' / 'manifest.json'
    original = path.read_bytes()
    generator = random.Random(1)
    for _ in range(100):
        flip(path, generator.random(), generator.randrange(8))
        assert latest(copy)[1]['step'] == 1
        path.write_bytes(original)
    assert latest(copy)[1]['step'] == 2


def test_what_may_not_be_read_is_not_damage(copy, monkeypatch):
    read = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.name == 'state.json':
            raise PermissionError(errno.EACCES, 'Permission denied')
        return read(path)

    monkeypatch.setattr(Path, 'read_bytes', denied)
    with pytest.raises(CheckpointError, match='cannot be read: .*Permission denied'):
        Checkpoints(copy, make_objects()).restore()
    assert names(copy) == ['step-000000001', 'step-000000002']


def test_what_does_not_belong_is_damage(copy, caplog):
    (copy / 'step-000000002' / 'variables.data-00001-of-00002').touch()
    assert Checkpoints(copy, make_objects()).restore()['step'] == 1
    assert 'data-00001-of-00002 does not belong to it' in caplog.text


def test_a_renamed_checkpoint_is_damage(copy, caplog):
    (copy / 'step-000000002').rename(copy / 'step-000000003')
    assert Checkpoints(copy, make_objects()).restore()['step'] == 1
    assert 'expected step 3, got 2' in caplog.text


def test_a_newer_format_is_refused_but_not_damage(copy):
    path = copy / 'step-000000002' / 'manifest.json'
    manifest = json.loads(path.read_text())
    del manifest['sha256']
    manifest['format'] = 2
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**manifest, 'sha256': digest}))
    with pytest.raises(CheckpointError, match='expected checkpoint format 1, got 2'):
        Checkpoints(copy, make_objects()).restore()
    assert names(copy) == ['step-000000001', 'step-000000002']


def test_all_damaged_is_never_a_fresh_start(copy):
    for folder in copy.iterdir():
        (folder / 'state.json').write_text('{}')
    objects = make_objects()
    before = values(objects)
    for _ in range(2):  # The second time they are already renamed.
        with pytest.raises(CheckpointError, match='all are damaged.*another --run_dir'):
            Checkpoints(copy, objects).restore()
        assert names(copy) == ['damaged-step-000000001', 'damaged-step-000000002']
    assert values(objects) == before


def test_damaged_twice_gets_another_name(copy, saved):
    for expected in ('damaged-step-000000002', 'damaged-step-000000002-2'):
        (copy / 'step-000000002' / 'state.json').unlink()
        Checkpoints(copy, make_objects()).restore()
        assert (copy / expected).is_dir()
        shutil.copytree(saved[0] / 'step-000000002', copy / 'step-000000002')
    assert Checkpoints(copy, make_objects()).restore()['step'] == 2


@pytest.mark.parametrize(
    ('other', 'message'),
    [
        ({'units': 5}, r'model/kernels/0: float32 \[3, 4\] in .*float32 \[3, 5\] h'),
        ({'extra': True}, r'model/extra: nothing in the checkpoint, float32 \[\] here'),
        ({'optimizer': 'sgd'}, r'optimizer/_variables/\d+: .*'),
    ],
)
def test_another_architecture_is_named_and_touches_nothing(other, message, copy):
    objects = make_objects(**other)
    before = values(objects)
    message = (
        f'{message}(?s:.*)Use the settings that it was trained with, or another --run'
    )
    with pytest.raises(CheckpointError, match='(?s)another architecture.*' + message):
        Checkpoints(copy, objects).restore()
    assert values(objects) == before
    assert names(copy) == ['step-000000001', 'step-000000002']


def test_a_variable_only_in_the_checkpoint_is_another_architecture(tmp_path):
    Checkpoints(tmp_path, make_objects(extra=True)).save(1, {})
    with pytest.raises(CheckpointError, match='model/extra: float32 .*, nothing here'):
        Checkpoints(tmp_path, make_objects()).restore()


def test_reading_only_leaves_the_folder_as_it_is(copy, caplog):
    (copy / 'step-000000002' / 'state.json').unlink()
    (copy / '.saving-step-000000003').mkdir()
    before = names(copy)
    for read in (latest, find):
        assert read(copy) == (copy / 'step-000000001', {'step': 1, 'number': 1})
    assert 'step-000000002 is damaged and is ignored: state.json is' in caplog.text
    assert names(copy) == before
    (copy / 'step-000000001' / 'state.json').unlink()
    for read in (latest, find):
        with pytest.raises(CheckpointError, match='all are damaged'):
            read(copy)
    with pytest.raises(CheckpointError, match='000001: the checkpoint is damaged: st'):
        find(copy / 'step-000000001')
    assert names(copy) == before
    assert latest(copy / 'missing') is None
    with pytest.raises(CheckpointError, match='but there is none'):
        find(copy / 'missing')


def test_reading_only_the_model(copy):
    whole = make_objects()
    Checkpoints(copy, whole).restore()
    arrays, state = read_variables(copy, 'model')
    assert state['step'] == 2
    model = whole.model
    expected = {
        'kernels/0': model.kernels[0],
        'kernels/1': model.kernels[1],
        'deep/inner/0': model.deep['inner'][0],
    }
    assert arrays.keys() == expected.keys()
    for name, variable in expected.items():
        np.testing.assert_array_equal(arrays[name], variable)
    with pytest.raises(CheckpointError, match='expected variables of a head in it'):
        read_variables(copy, 'head')
    with pytest.raises(CheckpointError, match='optimizer/.*nothing here'):
        Checkpoints(copy, tf.train.Checkpoint(model=Model())).restore()


def test_traces_of_a_kill_are_cleared(copy, saved):
    shutil.copytree(copy / 'step-000000001', copy / '.saving-step-000000003')
    shutil.copytree(copy / 'step-000000001', copy / '.removing-step-000000000')
    shutil.copytree(copy / 'step-000000001', copy / '.replaced-step-000000001')
    objects = make_objects()
    assert Checkpoints(copy, objects).restore()['step'] == 2
    assert names(copy) == ['step-000000001', 'step-000000002']
    assert values(objects) == saved[1][2]


def test_a_replaced_version_counts_until_its_successor_is_there(copy, saved):
    (copy / 'step-000000002').rename(copy / '.replaced-step-000000002')
    objects = make_objects()
    checkpoints = Checkpoints(copy, objects)
    assert sorted(_folders(copy)) == [1, 2]
    assert latest(copy)[1]['step'] == 2
    assert checkpoints.restore()['step'] == 2
    assert values(objects) == saved[1][2]
    assert names(copy) == ['step-000000001', 'step-000000002']


def test_nothing_is_saved_into_what_cannot_be_deleted(copy, monkeypatch):
    left = copy / '.saving-step-000000003'
    shutil.copytree(copy / 'step-000000001', left)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, 'rmtree', lambda *args, **kwargs: None)
        with pytest.raises(CheckpointError, match='could not be saved: .*File exists'):
            Checkpoints(copy, make_objects()).save(3, {})
    assert latest(copy)[1]['step'] == 2
    for path in (copy / 'step-000000001').iterdir():
        assert (left / path.name).read_bytes() == path.read_bytes()


def test_the_same_step_is_replaced(copy):
    objects = make_objects()
    checkpoints = Checkpoints(copy, objects)
    checkpoints.save(2, {'number': 22})
    fresh = make_objects()
    assert Checkpoints(copy, fresh).restore() == {'step': 2, 'number': 22}
    assert values(fresh) == values(objects)
    assert names(copy) == ['step-000000001', 'step-000000002']


def test_a_full_disk_costs_no_checkpoint(copy):
    # A limit on the size of files stands for the disk; Python ignores its signal.
    checkpoints = Checkpoints(copy, make_objects())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(CheckpointError, match='could not be saved') as raised:
            checkpoints.save(3, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert re.fullmatch(
        f'{copy}/step-000000003: the checkpoint could not be saved: (?s:.*)\\. Earlier '
        'ones are unchanged\\. Free space or repair the disk, then run the same '
        'command again to resume\\.',
        str(raised.value),
    )
    assert names(copy) == ['step-000000001', 'step-000000002']
    checkpoints.save(3, {})
    assert checkpoints.restore()['step'] == 3


def make_few_objects(step: int = 0) -> tf.train.Checkpoint:
    """Enough to be killed with."""
    return tf.train.Checkpoint(
        model=tf.Variable(tf.zeros([100])), step=tf.Variable(step, dtype=tf.int64)
    )


def save_for_ever(directory: Path) -> None:
    objects = make_few_objects()
    checkpoints = Checkpoints(directory, objects, keep=1)
    first = (checkpoints.restore() or {'step': 0})['step']
    for step in itertools.count(first):
        for _ in range(2):  # The second replaces the first.
            objects.step.assign(step)
            checkpoints.save(step, {'third': step / 3})
            print(f'saved {step}', flush=True)


SAVER = """
import sys; from pathlib import Path
sys.path.insert(0, "tests/helpers")
from tests.trainers.storage.test_checkpoints import save_for_ever
save_for_ever(Path(sys.argv[1]))
"""


def test_survives_being_killed_while_saving(tmp_path, generator):
    directory = tmp_path / 'last'
    objects = make_few_objects()
    for _ in range(4):
        reader, writer = os.pipe()
        with open(reader) as output, open(os.devnull, 'rb') as nothing:
            process = Fork(
                ['-c', SAVER, str(directory)], [nothing.fileno(), writer, writer]
            )
            os.close(writer)
            lines = [output.readline()]
            time.sleep(generator.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            lines += output
        assert process.wait() == -signal.SIGKILL, lines
        reported = int(lines[-1].removeprefix('saved '))
        state = Checkpoints(directory, objects, keep=1).restore()
        assert state['step'] >= reported
        assert state['third'] == state['step'] / 3
        assert int(objects.step) == state['step']
        assert all(name.startswith('step-') for name in names(directory))


class Killed(BaseException):
    pass


def killed_at(call: int, function: Callable[[], object]) -> bool:
    """Runs a function up to its n-th call to the operating system; whether it ended."""
    calls = itertools.count()

    def profile(frame: FrameType, event: str, argument: object) -> None:
        if event == 'c_call' and argument.__module__ == 'posix':
            if next(calls) == call:
                raise Killed

    sys.setprofile(profile)
    try:
        function()
        return True
    except Killed:
        return False
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize('step', [2, 3])
def test_survives_being_killed_at_any_moment(step, tmp_path):
    original = tmp_path / 'original'
    Checkpoints(original, make_few_objects(2)).save(2, {'number': 2})
    objects = make_few_objects()
    for call in itertools.count():
        directory = tmp_path / str(call)
        shutil.copytree(original, directory)
        checkpoints = Checkpoints(directory, make_few_objects(step), keep=1)
        save = functools.partial(checkpoints.save, step, {'number': 33})
        ended = killed_at(call, save)
        _, readable = latest(directory)
        assert readable in ({'step': 2, 'number': 2}, {'step': step, 'number': 33})
        assert Checkpoints(directory, objects).restore() == readable
        assert int(objects.step) == readable['step']
        for name in names(directory):
            assert name.startswith('step-') and names(directory / name) == FILES
        if ended:
            assert readable['number'] == 33
            break
    assert call > 20


def test_small_files_are_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'file'
    files.write_atomically(path, 'größer \udcff')
    assert path.read_bytes() == 'größer '.encode() + b'\xff'
    files.write_atomically(path, b'new')
    assert path.read_bytes() == b'new'
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match='too large'):
            files.write_atomically(path, b'x' * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b'new'
    assert names(tmp_path) == ['file']
