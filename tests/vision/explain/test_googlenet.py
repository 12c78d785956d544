"""The maps of a network trained on ImageNet, on real images.

`test_methods.py` asks the same of a small network that is made for it.
"""

import zipfile

import numpy as np
import pytest
import tensorflow as tf

from vision.data.decoding.decode import decode, fit
from vision.explain import METHODS
from vision.explain.grad_cam import grad_cam
from vision.explain.occlusion import occlusion_check
from vision.models import Network, create, pretrained

pytestmark = pytest.mark.slow

CATS = [f'cats/cat.{number}.jpg' for number in range(700, 706)]
DOGS = [f'dogs/dog.{number}.jpg' for number in range(700, 706)]


@pytest.fixture(scope='module')
def network(data_folder) -> Network:
    model = create('googlenet', auxiliary=False)
    pretrained.load(model, data_folder / 'googlenet_bvlc.npz')
    return model


@pytest.fixture(scope='module')
def images(data_folder) -> tf.Tensor:
    """Six cats and six dogs, uint8 [12, 224, 224, 3]."""
    with zipfile.ZipFile(data_folder / 'cats_and_dogs.zip') as archive:
        contents = [
            archive.read(f'cats_and_dogs/validation/{name}') for name in CATS + DOGS
        ]
    return tf.stack([fit(decode(tf.constant(content)), 224) for content in contents])


def probabilities(network: Network, images: tf.Tensor) -> np.ndarray:
    return tf.nn.softmax(network(images).main).numpy()


@pytest.mark.parametrize('method', METHODS)
def test_deleting_what_is_highlighted_costs_more_than_chance(network, images, method):
    images = images[::2]
    classes = probabilities(network, images).argmax(1)

    def score(views: tf.Tensor) -> np.ndarray:
        return probabilities(network, views)[np.arange(6), classes]

    options = {'steps': 8} if method == 'integrated_gradients' else {}
    maps = METHODS.load(method)(network, images, classes, **options)
    check = occlusion_check(score, images, maps, repeats=3)
    assert np.mean(check.random - check.highlighted) > 0.15
    assert np.mean(check.highlighted < check.random) >= 0.75


def test_the_map_of_a_class_highlights_its_animal(network, images):
    # Side by side, the middle half of each.
    cats, dogs = images[:6, :, 56:168], images[6:, :, 56:168]
    both = tf.concat([cats, dogs], 2)
    classes = probabilities(network, images).argmax(1)
    on_left = [
        np.mean(
            [
                heat[:, :3].sum() / heat[:, [0, 1, 2, 4, 5, 6]].sum()
                for heat in grad_cam(network, both, answer).numpy()
                if heat.any()
            ]
        )
        for answer in (classes[:6], classes[6:])
    ]
    assert on_left[0] > 0.6 and on_left[1] < 0.4
