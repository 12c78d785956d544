"""Logits of every image of a split, and of several views of each."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from scripts.evaluate.settings import Settings
from trainers.inference import scoring
from trainers.inference.classifier import Classifier, softmax
from trainers.settings.tables import VIEWS
from vision.data import ArraySplit
from vision.data.decoding.decode import resize
from vision.models.specification import Specification


@pytest.fixture(scope='module')
def classifier():
    specification = Specification(
        'small_cnn', ('a', 'b', 'c'), 16, 'unit', options={'filters': (4,)}
    )
    return Classifier(specification.build(), specification, 'random weights')


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(0).integers(0, 256, [11, 16, 16, 3], np.uint8)


def score(classifier, images, views='none', batch_size=4):
    split = ArraySplit(
        np.zeros(len(images), np.int32), list(map(str, range(len(images)))), images
    )
    scores = scoring.score(classifier, split, views=views, batch_size=batch_size)
    assert scores.good.all() and list(scores.logits) == ['main']
    return scores.logits['main']


def test_commands_offer_the_views_that_there_are():
    for views in VIEWS:
        assert Settings(views=views).views == views
    choices = Settings.__dataclass_fields__['views'].metadata['choices']
    assert set(choices) == set(VIEWS)


@pytest.mark.parametrize('batch_size', [1, 4, 11, 64])
def test_logits_are_in_the_order_of_the_images(classifier, images, batch_size):
    logits = score(classifier, images, batch_size=batch_size)
    assert logits.dtype == np.float32 and logits.shape == (11, 3)
    for image, row in zip(images, logits):
        alone = classifier.logits(image[None]).main.numpy()[0]
        np.testing.assert_allclose(row, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('views, count', [('none', 1), ('flip', 2), ('crops', 12)])
def test_several_views_are_averaged_as_probabilities(classifier, images, views, count):
    logits = score(classifier, images, views)
    several = VIEWS.load(views)(tf.constant(images))
    assert len(several) == count
    expected = np.mean(
        [softmax(classifier.logits(view).main.numpy()) for view in several], 0
    )
    np.testing.assert_allclose(softmax(logits), expected, rtol=1e-4)
    if count > 1:  # logarithms of probabilities, which a softmax leaves as they are
        np.testing.assert_allclose(np.exp(logits).sum(1), 1, rtol=1e-5)


def test_crops_have_seven_eighths_of_the_side_at_the_corners_and_the_centre(images):
    whole, *crops = VIEWS.load('crops')(tf.constant(images[:1]))[::2]
    np.testing.assert_array_equal(whole, images[:1])
    places = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    for crop, (top, left) in zip(crops, places, strict=True):
        part = images[:1, top : top + 14, left : left + 14]
        np.testing.assert_array_equal(crop, resize(tf.constant(part), 16))


@pytest.mark.parametrize('views', ['none', 'flip'])
def test_an_image_that_cannot_be_decoded_has_zeros(classifier, images, views):
    split = ArraySplit(np.zeros(11, np.int32), list(map(str, range(11))), images)
    weights = np.arange(11) % 3 > 0
    split = dataclasses.replace(split, sample_weights=weights.astype(np.float32))
    scores = scoring.score(classifier, split, views=views, batch_size=4)
    np.testing.assert_array_equal(scores.good, weights)
    np.testing.assert_array_equal((scores.logits['main'] == 0).all(1), ~weights)


def test_a_probability_of_0_has_a_finite_logarithm(images):
    specification = Specification(
        'small_cnn', ('a', 'b'), 16, 'unit', options={'filters': (4,)}
    )
    network = specification.build()
    network.head.classifier.bias.assign([1000.0, -1000.0])
    certain = Classifier(network, specification, '')
    logits = score(certain, images[:2], 'flip')
    assert np.isfinite(logits).all() and (logits[:, 1] < -60).all()


@pytest.mark.parametrize('views', ['flip', 'crops'])
def test_a_mirror_image_is_the_same_to_mirrored_views(classifier, images, views):
    plain, mirrored = (
        score(classifier, batch) for batch in (images, images[:, :, ::-1])
    )
    assert np.abs(plain - mirrored).max() > 1e-3
    np.testing.assert_allclose(
        score(classifier, images, views),
        score(classifier, images[:, :, ::-1], views),
        rtol=1e-4,
        atol=1e-5,
    )


def test_names_of_views_need_no_tensorflow():
    code = (
        'import sys; from trainers.settings.tables import VIEWS; print(*VIEWS); '
        'sys.exit("tensorflow" in sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'none flip crops\n'), done.stderr
