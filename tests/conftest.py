"""Fixtures of all tests: random numbers, a trained run, optional real data."""

import hashlib
import os
import random
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import tiny_run
from filelock import FileLock

# Few examples, the same in each run: what is tried must not decide whether it passes.
hypothesis.settings.register_profile(
    'tests', derandomize=True, deadline=None, max_examples=30, database=None
)
hypothesis.settings.load_profile('tests')

# Processes that run tests side by side have the cores for themselves already: threads
# within an operation would wait for each other. Read when TensorFlow is imported.
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('TF_NUM_INTRAOP_THREADS', '1')


@pytest.fixture
def generator() -> random.Random:
    """Random numbers that differ from run to run; a failure prints their seed."""
    seed = int(os.environ.get('TAPESTRY_TEST_SEED') or time.time_ns())
    print(f'Run again with TAPESTRY_TEST_SEED={seed} for the same random numbers.')
    return random.Random(seed)


@pytest.fixture
def no_drawings(monkeypatch) -> None:
    """Runs draw nothing, which is a quarter of the time that a tiny one takes."""
    tiny_run.draw_nothing(monkeypatch)


@pytest.fixture(scope='session')
def trained_run(tmp_path_factory) -> Iterator[Path]:
    """The directory of a finished run of `tiny_run.SETTINGS`, to read and to copy.

    It is trained once for all processes of the tests.
    """
    shared = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:
        shared = shared.parent
    run_dir = shared / 'trained_run'
    with FileLock(shared / 'trained_run.lock'):
        if not (run_dir / 'results.json').is_file():
            from trainers import Config, train

            train(Config(run_dir=str(run_dir), **tiny_run.SETTINGS))
    before = _digest(run_dir)
    yield run_dir
    assert _digest(run_dir) == before, 'A test changed the run that all tests share.'


def _digest(folder: Path) -> str:
    """Of the names and contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob('*')):
        digest.update(str(path).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope='session')
def data_folder() -> Path:
    """The folder of real data sets; tests that need it are skipped without it."""
    beside = Path(__file__).resolve().parents[2] / 'shared' / 'data'
    folder = Path(os.environ.get('TAPESTRY_TEST_DATA') or beside)
    if not folder.is_dir():
        pytest.skip(f'no test data: {folder} is not a folder; set $TAPESTRY_TEST_DATA')
    return folder


@pytest.fixture(scope='session')
def tiny_imagenet_dir(data_folder, tmp_path_factory) -> Path:
    """20 classes of Tiny ImageNet in the archive's own layout."""
    folder = tmp_path_factory.mktemp('tiny_imagenet')
    with zipfile.ZipFile(data_folder / 'tiny-imagenet-20.zip') as archive:
        archive.extractall(folder)
    return folder / 'tiny-imagenet-200'
