"""Which images the statistics of batch norms are estimated from."""

import numpy as np
import pytest

from trainers.run.batches import Batches
from trainers.settings.config import Config
from vision import data
from vision.data import BadFiles


@pytest.fixture(scope='module')
def source() -> data.Source:
    return data.load('shapes')


def batches(source: data.Source, **settings) -> list[data.Batch]:
    config = Config(**{'batch_size': 8, 'augment': ('rotate:90',), **settings})
    # Nothing asks for features.
    return list(Batches(config, 32, source, dict, BadFiles()).for_statistics)


@pytest.mark.parametrize(
    'settings, count',
    [
        ({'precise_bn': 16}, 2),
        ({'precise_bn': 23}, 2),
        ({'precise_bn': 1}, 1),
        ({'precise_bn': 10**6, 'batch_size': 100}, 30),
        ({'precise_bn': 64, 'limit_train_batches': 3}, 3),
    ],
)
def test_whole_batches_and_at_most_an_epoch(source, settings, count):
    estimated_from = batches(source, **settings)
    assert len(estimated_from) == count
    assert all((batch.sample_weights.numpy() == 1).all() for batch in estimated_from)


def test_training_images_are_prepared_as_in_evaluation(source):
    estimated_from = batches(source, precise_bn=64, image_size_schedule=('16@0',))
    images = np.concatenate([batch.images for batch in estimated_from])
    assert images.shape == (64, 32, 32, 3)
    train = source.splits['train']
    known = {image.tobytes() for image in train.images}
    chosen = {image.tobytes() for image in images}
    assert chosen <= known and len(chosen) > 60  # a few may be drawn twice alike
    assert len(set(np.concatenate([batch.labels for batch in estimated_from]))) == 10


def test_the_same_each_time(source):
    one, other = (batches(source, precise_bn=32, seed=3) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
