"""Small splits of images, in memory and as files."""

import numpy as np
import pytest
import tensorflow as tf

from vision.data import ArraySplit, FileSplit, Split


@pytest.fixture(scope='session')
def noise() -> Split:
    """23 random images of 24x24 in memory, three classes."""
    rng = np.random.default_rng(5)
    return ArraySplit(
        labels=(np.arange(23) % 3).astype(np.int32),
        names=[f'noise/{i}' for i in range(23)],
        images=rng.integers(0, 256, [23, 24, 24, 3], np.uint8),
    )


@pytest.fixture
def files(noise, tmp_path) -> Split:
    """The same images as PNG files."""
    paths = [str(tmp_path / f'{i}.png') for i in range(len(noise))]
    for path, image in zip(paths, noise.images):
        tf.io.write_file(path, tf.io.encode_png(image))
    return FileSplit(noise.labels, noise.names, paths=paths)
