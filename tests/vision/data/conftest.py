"""The optional real test data, and small splits of real files."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vision.data import Split


@pytest.fixture(scope='session')
def data_folder() -> Path:
    """The folder of real data sets; tests that need it are skipped without it."""
    beside = Path(__file__).resolve().parents[3].parent / 'shared' / 'data'
    folder = Path(os.environ.get('TAPESTRY_TEST_DATA') or beside)
    if not folder.is_dir():
        pytest.skip(f'no test data: neither {beside} nor $TAPESTRY_TEST_DATA')
    return folder


@pytest.fixture(scope='session')
def tiny_imagenet_dir(data_folder, tmp_path_factory) -> Path:
    """20 classes of Tiny ImageNet in the archive's own layout."""
    folder = tmp_path_factory.mktemp('tiny_imagenet')
    with zipfile.ZipFile(data_folder / 'tiny-imagenet-20.zip') as archive:
        archive.extractall(folder)
    return folder / 'tiny-imagenet-200'


@pytest.fixture(scope='session')
def noise() -> Split:
    """23 random pictures of 24x24 in memory, three classes."""
    rng = np.random.default_rng(5)
    return Split(labels=(np.arange(23) % 3).astype(np.int32),
                 names=[f'noise/{i}' for i in range(23)],
                 images=rng.integers(0, 256, [23, 24, 24, 3], np.uint8))


@pytest.fixture
def files(noise, tmp_path) -> Split:
    """The same pictures as PNG files."""
    paths = [str(tmp_path / f'{i}.png') for i in range(len(noise))]
    for path, image in zip(paths, noise.images):
        tf.io.write_file(path, tf.io.encode_png(image))
    return Split(noise.labels, noise.names, paths=paths)
