"""Properties of every method: shapes, locations and errors."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from short_models import short

from vision.errors import UserError
from vision.explain import BASELINES, METHODS
from vision.explain.endpoints import default_endpoint, endpoint_shapes
from vision.explain.integrated_gradients import integrated_gradients
from vision.explain.occlusion import occlusion_check
from vision.layers import ConvBlock
from vision.models import MODELS, Network, create

EACH_METHOD = pytest.mark.parametrize('method', METHODS)


def make_images(size: int, count: int = 2) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [count, size, size, 3], np.uint8)


@pytest.fixture(scope='module', params=MODELS)
def network(request) -> Network:
    tf.random.set_seed(0)
    return short(request.param, classes=3, image_size=32)


@pytest.mark.slow
def test_every_model_has_maps_by_every_method(network):
    shapes = endpoint_shapes(network)
    assert list(shapes) == list(network.stages)
    images = make_images(32)
    middle = list(shapes)[len(shapes) // 2]
    for endpoint in (middle, default_endpoint(network)):
        side = shapes[endpoint][:2]
        for name in METHODS:
            options = {'steps': 2} if name == 'integrated_gradients' else {}
            maps = METHODS.load(name)(network, images, [2, 0], endpoint, **options)
            assert maps.dtype == tf.float32 and np.isfinite(maps).all(), name
            assert maps.shape == (2, *((32, 32) if name == 'guided' else side)), name
            # Of weights at random, a sum without any positive evidence can come out.
            assert np.any(maps) or name == 'grad_cam_plus_plus', name
    assert tuple(network.until(middle, images).shape[1:]) == shapes[middle]
    maps = integrated_gradients(network, images, [2, 0], steps=2)
    assert maps.shape == (2, 32, 32) and np.isfinite(maps).all() and np.any(maps)


class Quadrant(tf.Module):
    """Keeps a quarter of a map."""

    def __init__(self, row: int, column: int):
        super().__init__()
        self.corner = row, column

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return x * mask(x.shape[1], *self.corner)[..., None]


def mask(side: int, row: int, column: int) -> np.ndarray:
    quarter = np.zeros([side, side], np.float32)
    half = side // 2
    quarter[row * half : (row + 1) * half, column * half : (column + 1) * half] = 1
    return quarter


@functools.cache
def looking_at(row: int, column: int) -> Network:
    """A network whose output depends on a quarter of its images.

    One of its two classes has something that speaks for it: they are opposite.
    """
    tf.random.set_seed(0)
    stages = {
        'conv1': ConvBlock(3, 6, 1),
        'quadrant': Quadrant(row, column),
        'conv2': ConvBlock(6, 6, 1),
    }
    network = Network(
        stages, 6, 16, classes=2, image_size=16, min_image_size=4, normalization='unit'
    )
    kernel = network.head.classifier.kernel
    kernel.assign(tf.stack([kernel[:, 0], -kernel[:, 0]], 1))
    return network


@EACH_METHOD
@pytest.mark.parametrize('row, column', [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_a_map_points_at_what_the_network_sees(method, row, column):
    network = looking_at(row, column)
    images = np.repeat(make_images(16), 2, 0)
    maps = np.maximum(METHODS.load(method)(network, images, [0, 1, 0, 1], None), 0)
    assert np.all(maps.max((1, 2)).reshape(2, 2).max(1) > 0)
    np.testing.assert_array_equal(maps * (1 - mask(16, row, column)), 0)


@EACH_METHOD
def test_deleting_what_is_highlighted_costs_more_than_chance(method):
    network, images = looking_at(1, 0), make_images(16, 6)
    classes = network(images).main.numpy().argmax(1)

    def score(views: tf.Tensor) -> np.ndarray:
        return network(views).main.numpy()[np.arange(6), classes]

    maps = METHODS.load(method)(network, images, classes)
    check = occlusion_check(score, tf.constant(images), maps, repeats=3)
    assert np.all(
        check.before - check.highlighted > 1.3 * (check.before - check.random)
    )
    assert np.mean(check.random - check.highlighted) > 0.3 * np.mean(check.before)


def test_pixels_that_the_network_does_not_see_contribute_nothing():
    maps = integrated_gradients(
        looking_at(1, 0), make_images(16), [0, 1], steps=2
    ).numpy()
    assert maps.shape == (2, 16, 16) and np.isfinite(maps).all() and np.any(maps)
    np.testing.assert_array_equal(maps * (1 - mask(16, 1, 0)), 0)


@EACH_METHOD
def test_the_map_of_an_image_does_not_depend_on_the_batch(method):
    network = looking_at(0, 0)
    images, classes = make_images(16, 3), np.array([0, 1, 1])
    together = METHODS.load(method)(network, images, classes)
    for place in range(3):
        alone = METHODS.load(method)(
            network,
            images[place : place + 1].astype(np.float32),
            tf.constant(classes[place : place + 1]),
        )
        np.testing.assert_allclose(alone[0], together[place], rtol=1e-4, atol=1e-6)


@EACH_METHOD
def test_unknown_endpoint(method):
    with pytest.raises(ValueError, match="received 'conv3'. Did you mean conv"):
        METHODS.load(method)(looking_at(0, 0), make_images(16), [0, 1], 'conv3')


@EACH_METHOD
def test_low_precision_ends_in_float32(method):
    network = create(
        'cifar_cnn', classes=2, image_size=16, filters=(4, 8), dtype=tf.bfloat16
    )
    maps = METHODS.load(method)(network, make_images(16), [0, 1], 'conv1_1')
    assert maps.dtype == tf.float32 and np.isfinite(maps).all() and np.any(maps)


@pytest.mark.parametrize('endpoint', [None, 'conv1_1', 'dropout2'])
@pytest.mark.parametrize('baseline', BASELINES)
def test_contributions_add_up(baseline, endpoint):
    tf.random.set_seed(0)
    network = create('cifar_cnn', classes=3, image_size=16, filters=(8, 8), dense=(8,))
    images, classes = make_images(16, 4), np.array([0, 1, 2, 0])
    start = BASELINES.load(baseline)(tf.cast(images, tf.float32))
    before, after = (
        tf.gather(network(x).main, classes, batch_dims=1) for x in (start, images)
    )
    gaps = []
    for steps in (4, 100):
        maps = integrated_gradients(
            network, images, classes, endpoint, baseline=baseline, steps=steps
        )
        gaps.append(np.abs(tf.reduce_sum(maps, [1, 2]) - (after - before)).max())
    assert gaps[1] < 0.01 * np.abs(after - before).max()
    assert gaps[1] <= gaps[0] + 1e-6


def test_an_image_of_one_color_has_no_contributions_with_the_mean_baseline():
    network = looking_at(0, 0)
    grey = np.full([1, 16, 16, 3], 90, np.uint8)
    maps = integrated_gradients(network, grey, [0], baseline='mean')
    np.testing.assert_array_equal(maps, 0)


@pytest.mark.parametrize(
    'options, error, message',
    [
        (
            {'baseline': 'white'},
            UserError,
            "Expected a baseline of black, mean; received 'white'",
        ),
        ({'steps': 0}, ValueError, 'Expected at least 1 step, received 0'),
    ],
)
def test_options_out_of_range(options, error, message):
    with pytest.raises(error, match=message):
        integrated_gradients(looking_at(0, 0), make_images(16), [0, 1], **options)
