"""A run that was stopped, in whatever way, ends with the bits of one that was not."""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from commands import ROOT, Fork

# Whatever has state: dropout, augmentation, averages, slots, plateau, batch norms, and
# auxiliary heads. Every step ends with a checkpoint.
SETTINGS = [
    '--model=small',
    '--epochs=2',
    '--limit_train_batches=5',
    '--limit_eval_batches=2',
    '--batch_size=8',
    '--augment=pad_crop:2,flip',
    '--ema=0.9',
    '--optimizer=adamw',
    '--weight_decay=0.01',
    '--plateau_patience=1',
    '--monitor=loss',
    '--checkpoint_minutes=0',
    '--log_every=2',
    '--precise_bn=16',
]
FINAL_STEP = 10

# The same with a second phase of other weights, each phase with its own optimizer.
TWO_PHASES = [
    '--freeze=last:1',
    '--epochs=1',
    '--finetune_epochs=1',
    '--finetune_freeze=bn',
    '--layer_decay=0.5',
]

# The command with one model more.
PROGRAM = """
import runpy
from vision.models import MODELS
from vision.registry import Entry
MODELS['small'] = Entry('tests.helpers.small_network:small', 'Small.')
runpy.run_module('scripts.train', run_name='__main__', alter_sys=True)
"""


class Run:
    """A training in a process of its own: a fork, or a new one with its own hashes.

    Args:
        run_dir: its directory.
        *more: flags.
        new: whether the process is new.
    """

    def __init__(self, run_dir: Path, *more: str, new: bool = False):
        arguments = ['-c', PROGRAM, f'--run_dir={run_dir}', *SETTINGS, *more]
        self._output = tempfile.TemporaryFile()
        output = self._output.fileno()
        with open(os.devnull, 'rb') as nothing:
            self.process: Any = (
                subprocess.Popen(
                    [sys.executable, *arguments],
                    cwd=ROOT,
                    stdin=nothing,
                    stdout=output,
                    stderr=output,
                )
                if new
                else Fork(arguments, [nothing.fileno(), output, output])
            )

    def end(self, number: int = 0) -> tuple[int, str]:
        """The exit code and the output, after a signal if one is given."""
        if number:
            self.process.send_signal(number)
        code = self.process.wait(timeout=300)
        with self._output:
            self._output.seek(0)
            return code, self._output.read().decode()

    def wait_for_step(self, run_dir: Path, step: int) -> None:
        deadline = time.monotonic() + 240
        while newest_step(run_dir) < step:
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < deadline, f'no step {step} in {run_dir}'
            time.sleep(0.01)


def finish(run_dir: Path, *more: str, new: bool = False) -> str:
    code, output = Run(run_dir, *more, new=new).end()
    assert code == 0, output
    return output


def newest_step(run_dir: Path) -> int:
    folders = (run_dir / 'checkpoints/last').glob('step-*')
    return max(
        (int(folder.name.removeprefix('step-')) for folder in folders), default=0
    )


def variables(run_dir: Path, kind: str) -> dict[str, bytes]:
    """The newest checkpoint's tensors as bytes."""
    folder = max((run_dir / 'checkpoints' / kind).glob('step-*'))
    reader = tf.train.load_checkpoint(str(folder / 'variables'))
    names = [
        name
        for name in reader.get_variable_to_shape_map()
        if not name.startswith('_CHECKPOINTABLE')
    ]
    return {name: np.asarray(reader.get_tensor(name)).tobytes() for name in names}


def assert_same_run(run_dir: Path, other: Path) -> None:
    assert newest_step(run_dir) == newest_step(other) == FINAL_STEP
    for kind in ('last', 'best'):
        actual, expected = variables(run_dir, kind), variables(other, kind)
        assert actual.keys() == expected.keys()
        assert [name for name in actual if actual[name] != expected[name]] == []
    assert (run_dir / 'metrics.csv').read_bytes() == (
        other / 'metrics.csv'
    ).read_bytes()


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory) -> Path:
    run_dir = tmp_path_factory.mktemp('undisturbed') / 'run'
    finish(run_dir)
    return run_dir


def kill_three_times(generator: random.Random, run_dir: Path, *more: str) -> None:
    for step in (1, 4, 7):
        run = Run(run_dir, *more)
        run.wait_for_step(run_dir, step + generator.randrange(3))
        time.sleep(generator.uniform(0, 0.2))
        code, output = run.end(signal.SIGKILL)
        assert code == -signal.SIGKILL or newest_step(run_dir) == FINAL_STEP, output


@pytest.mark.slow
def test_killed_at_arbitrary_moments(undisturbed, tmp_path, generator):
    run_dir = tmp_path / 'run'
    kill_three_times(generator, run_dir)
    finish(run_dir, new=True)
    assert_same_run(run_dir, undisturbed)


@pytest.mark.slow
def test_killed_in_either_phase(tmp_path, generator):
    undisturbed, run_dir = tmp_path / 'undisturbed', tmp_path / 'run'
    finish(undisturbed, *TWO_PHASES)
    kill_three_times(generator, run_dir, *TWO_PHASES)
    finish(run_dir, *TWO_PHASES, new=True)
    assert_same_run(run_dir, undisturbed)


@pytest.mark.slow
def test_stopped_by_signals_saves_and_says_so(undisturbed, tmp_path):
    run_dir = tmp_path / 'run'
    for number, step, new in ((signal.SIGTERM, 2, False), (signal.SIGINT, 7, True)):
        run = Run(run_dir, new=new)
        run.wait_for_step(run_dir, step)
        code, output = run.end(number)
        assert code == 75, output
        assert f'{number.name} received' in output
        stopped_at = newest_step(run_dir)
        assert f'everything up to step {stopped_at} is saved' in output
    assert f'Resuming after step {stopped_at} of {FINAL_STEP}' in finish(run_dir)
    assert_same_run(run_dir, undisturbed)


@pytest.mark.slow
def test_finished_run_stays_as_it_is(undisturbed):
    metrics = (undisturbed / 'metrics.csv').read_bytes()
    assert 'Test  ' in finish(undisturbed)
    assert (undisturbed / 'metrics.csv').read_bytes() == metrics
