"""Fixtures of all tests: random numbers, and the optional folder of real data."""

import os
import random
import time
import zipfile
from pathlib import Path

import pytest


@pytest.fixture
def generator() -> random.Random:
    """Random numbers that differ from run to run; a failure prints their seed."""
    seed = int(os.environ.get('TAPESTRY_TEST_SEED') or time.time_ns())
    print(f'Run again with TAPESTRY_TEST_SEED={seed} for the same random numbers.')
    return random.Random(seed)


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
