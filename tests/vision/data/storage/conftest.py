"""Batches without TensorFlow's pipeline, whose graphs take seconds to make."""

import io
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision import files
from vision.data import BadFiles, Batch, Split
from vision.data.storage import stored


@pytest.fixture
def quick(monkeypatch):
    """Pillow decodes the images and resizes them."""

    def batches(
        split: Split, *, batch_size: int, image_size: int, bad_files: BadFiles
    ) -> types.SimpleNamespace:
        def iterate() -> Iterator[Batch]:
            for start in range(0, len(split), batch_size):
                count = min(batch_size, len(split) - start)
                places = np.zeros(batch_size, int)
                places[:count] = np.arange(start, start + count)
                images, weights = zip(*(_read(split, i, image_size) for i in places))
                for place in places[np.array(weights) == 0]:
                    name, label = split.names[place], int(split.labels[place])
                    bad_files.record(name, label, 'a reason')
                weights *= split.sample_weights[places]
                weights[count:] = 0
                yield Batch(np.stack(images), split.labels[places], weights)

        return types.SimpleNamespace(as_numpy_iterator=iterate)

    monkeypatch.setattr(stored, 'eval_batches', batches)


def _read(split: Split, index: int, size: int) -> tuple[np.ndarray, float]:
    """An image of the size, and 1; zeros and 0 where it cannot be read."""
    try:
        image = split.read(index)
        if isinstance(image, bytes):
            image = np.asarray(Image.open(io.BytesIO(image)).resize((size, size)))
        return image, 1.0
    except OSError:
        return np.zeros([size, size, 3], np.uint8), 0.0


@pytest.fixture
def no_decoding(monkeypatch):

    def refuse(*arguments, **options):
        raise AssertionError('Expected nothing to be decoded.')

    monkeypatch.setattr(stored, 'eval_batches', refuse)


@pytest.fixture
def is_locked():
    """Makes `folder -> bool`: whether the one lock in it is held."""

    def check(folder: Path) -> bool:
        (lock,) = folder.glob('*.lock')
        try:
            with files.locked(lock, wait=False):
                return False
        except files.LockedError:
            return True

    return check
