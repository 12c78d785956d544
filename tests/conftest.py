"""The optional folder of real data."""

import os
import zipfile
from pathlib import Path

import pytest


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
