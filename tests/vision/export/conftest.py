"""A small network with random weights, and images for it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vision.data import load
from vision.export.formats import Bundle
from vision.export.processes import Predictions
from vision.export.runners import predict
from vision.models import Network
from vision.models.specification import Specification


def _make_bundle(
    model: str = 'cifar_cnn',
    image_size: int = 32,
    normalization: str = 'unit',
    temperature: float = 1.0,
    network: Network | None = None,
    **options,
) -> Bundle:
    names = ('cat', 'dog\udcff', 'hérisson', 'n4', 'n5')
    ids = tuple(f'id{i}' for i in range(len(names)))
    specification = Specification(
        model, names, image_size, normalization, options=options
    )
    tf.random.set_seed(1)
    network = network or specification.build()
    rng = np.random.default_rng(2)
    for variable in network.variables:
        if len(variable.shape) == 1:  # scales, offsets, averages and biases
            variable.assign(variable + rng.uniform(-0.3, 0.3, variable.shape))
    return Bundle(network, specification, ids, temperature)


@pytest.fixture(scope='session')
def make_bundle():
    """Makes a bundle; variables that are initialized to 0 or 1 are random too."""
    return _make_bundle


def _expected_of(bundle: Bundle, images: np.ndarray) -> np.ndarray:
    logits = bundle.network(images).main.numpy().astype(np.float64)
    powers = np.exp((logits - logits.max(-1, keepdims=True)) / bundle.temperature)
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope='session')
def expected_of():
    """Computes the probabilities from the model's logits by the formula."""
    return _expected_of


@pytest.fixture(scope='session')
def images() -> np.ndarray:
    """Built-in images, uint8 [20, 32, 32, 3]."""
    images = load('shapes').splits['validation'].images
    assert images is not None
    return images[:20]


@pytest.fixture
def run_saved_model(tmp_path, capsys) -> Callable[[Path, np.ndarray], Predictions]:
    """Called as `run` of the format: runs the program for exports in this process."""

    def run(target: Path, images: np.ndarray) -> Predictions:
        files = [f'{tmp_path}/images.npy', f'{tmp_path}/predictions']
        np.save(files[0], images)
        predict.main('saved_model', str(target), *files)
        probabilities = np.fromfile(files[1], np.float32)
        printed = json.loads(capsys.readouterr().out)
        return Predictions(probabilities.reshape(len(images), -1), **printed)

    return run
