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


def test_training_follows_the_settings(source):
    settings = {'batch_size': 8, 'seed': 3, 'limit_train_batches': 2}
    config = Config(augment=('flip',), image_size_schedule=('16@0',), **settings)
    made = Batches(config, 32, source, dict, BadFiles())
    expected = data.train_batches(
        source.splits['train'],
        batch_size=8,
        image_size=16,
        seed=3,
        augment=config.augment,
        start_step=1,
        end_step=4,
        limit=2,
    )
    for one, other in zip(made.train(config, 1, 4, 16), expected, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    first = next(iter(made.train(config, 0, 1, 16)))
    np.testing.assert_array_equal(made.first().images, first.images)


def test_evaluation_is_limited_and_some_images_are_shown(source):
    config = Config(batch_size=8, limit_eval_batches=2, image_size_schedule=('16@0',))
    made = Batches(config, 24, source, dict, BadFiles())
    for split in ('validation', 'test'):
        given = source.splits[split]
        labels = [batch.labels for batch in made.evaluation(config, split)]
        np.testing.assert_array_equal(np.concatenate(labels), given.labels[:16])
    shown = made.shown
    assert shown.images.shape == (20, 24, 24, 3) and made.shown is shown


def test_features_take_the_place_of_images(source):
    config = Config(
        batch_size=2,
        seed=3,
        limit_train_batches=2,
        limit_eval_batches=1,
        freeze=('backbone',),
        features='cached',
    )
    features = {
        name: data.Features(
            np.arange(14, dtype=np.float32).reshape(7, 2) + place,
            np.arange(7, dtype=np.int32),
            np.ones(7, np.float32),
        )
        for place, name in enumerate(data.SPLITS)
    }
    asked: list[dict] = []
    made = Batches(
        config, 32, source, lambda: asked.append(features) or features, BadFiles()
    )
    expected = data.feature_train_batches(
        features['train'], batch_size=2, seed=3, start_step=1, end_step=4, limit=2
    )
    for one, other in zip(made.train(config, 1, 4, 32), expected, strict=True):
        np.testing.assert_array_equal(one.images, other.images)
        np.testing.assert_array_equal(one.labels, other.labels)
    for split in ('validation', 'test'):
        (batch,) = made.evaluation(config, split)
        np.testing.assert_array_equal(batch.images, features[split].values[:2])
    assert len(asked) == 1


def test_the_same_each_time(source):
    one, other = (batches(source, precise_bn=32, seed=3) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
