"""Every kind of block of the models, and every normalization, exported."""

import functools

import numpy as np
import pytest
from short_models import short

from vision.export import FORMATS
from vision.export.checking import SUM_TOLERANCE, compare
from vision.models import MODELS, NORMALIZATIONS

QUANTIZED = ('tflite_dynamic', 'tflite_int8')
PLAIN = [name for name in FORMATS if name != 'tensorflowjs']
# Those with operations of their own; the others store the weights otherwise.
DIFFERENT = ['saved_model', 'tflite_float32', 'tflite_int8', 'onnx']


@pytest.fixture
def check(expected_of, run_saved_model, images, tmp_path):
    return functools.partial(_check, expected_of, run_saved_model, images, tmp_path)


def _check(expected_of, run_saved_model, images, folder, bundle, names):
    # Logits of weights at random may be of any size: probabilities are not to be all 0
    # or 1.
    spread = bundle.network(images).main.numpy().std()
    bundle = bundle._replace(temperature=float(spread))
    expected = expected_of(bundle, images)
    for name in names:
        form = FORMATS.load(name)
        form.convert(bundle, folder / 'saved_model', folder / form.path, images[10:])
        run = run_saved_model if name == 'saved_model' else form.run
        comparison = compare(form, run(folder / form.path, images), expected)
        if name in QUANTIZED:  # classes that nobody has learned lie close together
            assert comparison.difference <= form.tolerance, name
            assert comparison.total == pytest.approx(1, abs=SUM_TOLERANCE), name
        else:
            # One that gives the same answer to all images would not pass.
            assert np.ptp(expected, 0).max() > form.tolerance
            assert comparison.failures == (), name


@pytest.mark.slow
@pytest.mark.parametrize('model', MODELS)
def test_every_model(model, make_bundle, check):
    network = short(model, classes=5, image_size=32)
    bundle = make_bundle(normalization=network.normalization, network=network)
    check(bundle, PLAIN if model == 'cifar_cnn' else DIFFERENT)


@pytest.mark.slow
@pytest.mark.parametrize('normalization', NORMALIZATIONS)
def test_every_normalization(normalization, make_bundle, check):
    bundle = make_bundle(normalization=normalization, filters=(4, 8))
    check(bundle, DIFFERENT[1:])
