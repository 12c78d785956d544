"""A run that was stopped, in whatever way, ends with the bits of one that was not."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

# Whatever has state: dropout, augmentation, averages, slots, plateau. Every step ends
# with a checkpoint.
SETTINGS = [
    '--model=inception_v1_bn',
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
    '--model=cifar_cnn',
    '--model_options=filters:8-8',
    '--freeze=last:1',
    '--epochs=1',
    '--finetune_epochs=1',
    '--finetune_freeze=bn',
    '--layer_decay=0.5',
]


def start(run_dir: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, '-m', 'scripts.train', f'--run_dir={run_dir}']
    return subprocess.Popen(
        [*command, *SETTINGS, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(run_dir: Path, *more: str) -> str:
    process = start(run_dir, *more)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    return output


def newest_step(run_dir: Path) -> int:
    folders = (run_dir / 'checkpoints/last').glob('step-*')
    return max(
        (int(folder.name.removeprefix('step-')) for folder in folders), default=0
    )


def wait_for_step(process: subprocess.Popen, run_dir: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while newest_step(run_dir) < step:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f'no step {step} in {run_dir}'
        time.sleep(0.01)


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
        process = start(run_dir, *more)
        wait_for_step(process, run_dir, step + generator.randrange(3))
        time.sleep(generator.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
def test_killed_at_arbitrary_moments(undisturbed, tmp_path, generator):
    run_dir = tmp_path / 'run'
    kill_three_times(generator, run_dir)
    finish(run_dir)
    assert_same_run(run_dir, undisturbed)


@pytest.mark.slow
def test_killed_in_either_phase(tmp_path, generator):
    undisturbed, run_dir = tmp_path / 'undisturbed', tmp_path / 'run'
    finish(undisturbed, *TWO_PHASES)
    kill_three_times(generator, run_dir, *TWO_PHASES)
    finish(run_dir, *TWO_PHASES)
    assert_same_run(run_dir, undisturbed)


@pytest.mark.slow
def test_stopped_by_signals_saves_and_says_so(undisturbed, tmp_path):
    run_dir = tmp_path / 'run'
    for number, step in ((signal.SIGTERM, 2), (signal.SIGINT, 7)):
        process = start(run_dir)
        wait_for_step(process, run_dir, step)
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 75, output
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
