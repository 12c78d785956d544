"""Networks with random weights, and images for them."""

import numpy as np
import pytest

from trainers.inference.classifier import Classifier
from vision.data import ArraySplit, Source
from vision.layers import AuxiliaryHead, ConvBlock
from vision.models import Network
from vision.models.specification import Specification


def with_heads(classes: int, image_size: int) -> Network:
    """Two convolutions, and an auxiliary head behind each."""
    side = image_size // 4
    return Network(
        {'conv1': ConvBlock(3, 8, 5, stride=4), 'conv2': ConvBlock(8, 8, 3)},
        8,
        side,
        classes=classes,
        image_size=image_size,
        min_image_size=4,
        normalization='unit',
        heads={n: AuxiliaryHead(8, side, classes) for n in ('conv1', 'conv2')},
    )


@pytest.fixture(scope='session')
def make_classifier():
    """Called with the classes' names; a small network with random weights."""

    def make(classes, image_size=8, auxiliary=False, ids=()):
        name, options = (
            ('custom', {}) if auxiliary else ('small_cnn', {'filters': (4,)})
        )
        specification = Specification(
            name, tuple(classes), image_size, 'unit', options=options
        )
        network = (
            with_heads(len(classes), image_size) if auxiliary else specification.build()
        )
        return Classifier(network, specification, 'random weights', ids=tuple(ids))

    return make


@pytest.fixture(scope='session')
def make_source():
    """Called with the classes and how many images each split has."""

    def make(classes, count=20, image_size=8, ids=(), seed=0):
        rng = np.random.default_rng(seed)
        splits = {}
        for name in ('train', 'validation', 'test'):
            splits[name] = ArraySplit(
                rng.integers(len(classes), size=count).astype(np.int32),
                [f'{name}/{i}' for i in range(count)],
                rng.integers(0, 256, [count, image_size, image_size, 3], np.uint8),
            )
        return Source('noise', tuple(classes), splits, image_size, True, tuple(ids))

    return make
