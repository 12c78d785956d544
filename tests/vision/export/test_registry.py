"""Every registered model and every normalization, exported."""

import numpy as np
import pytest

from vision.export import FORMATS
from vision.export.checking import SUM_TOLERANCE, compare
from vision.models import MODELS, NORMALIZATIONS, defaults

# The smallest images that each takes, and few channels where that can be chosen.
SIZES = {
    'inception_v1': 56,
    'inception_v1_compact': 56,
    'inception_v1_bn': 56,
    'googlenet': 64,
    'xception': 71,
}
OPTIONS: dict[str, dict] = {'mobilenet_v2': {'alpha': 0.35}}
QUANTIZED = ('tflite_dynamic', 'tflite_int8')
PLAIN = [name for name in FORMATS if name != 'tensorflowjs']
# Those with operations of their own; the others store the weights otherwise.
DIFFERENT = ['saved_model', 'tflite_float32', 'tflite_int8', 'onnx']


def check(bundle, expected_of, images, folder, names):
    side = bundle.specification.image_size
    repeated = images.repeat(-(-side // 32), 1).repeat(-(-side // 32), 2)
    images = repeated[:, :side, :side]
    # Logits of weights at random may be of any size: probabilities are not to be all 0
    # or 1.
    spread = bundle.network(images).main.numpy().std()
    bundle = bundle._replace(temperature=float(spread))
    expected = expected_of(bundle, images)
    for name in names:
        form = FORMATS.load(name)
        form.convert(bundle, folder / 'saved_model', folder / form.path, images[10:])
        comparison = compare(form, form.run(folder / form.path, images), expected)
        if name in QUANTIZED:  # classes that nobody has learned lie close together
            assert comparison.difference <= form.tolerance, name
            assert comparison.total == pytest.approx(1, abs=SUM_TOLERANCE), name
        else:
            # One that gives the same answer to all images would not pass.
            assert np.ptp(expected, 0).max() > form.tolerance
            assert comparison.failures == (), name


@pytest.mark.slow
@pytest.mark.parametrize('model', MODELS)
def test_every_model(model, make_bundle, expected_of, images, tmp_path):
    bundle = make_bundle(
        model,
        SIZES.get(model, 32),
        defaults(model)['normalization'],
        **OPTIONS.get(model, {}),
    )
    check(
        bundle,
        expected_of,
        images,
        tmp_path,
        PLAIN if model == 'cifar_cnn' else DIFFERENT,
    )


@pytest.mark.slow
@pytest.mark.parametrize('normalization', NORMALIZATIONS)
def test_every_normalization(normalization, make_bundle, expected_of, images, tmp_path):
    bundle = make_bundle(normalization=normalization, filters=(4, 8))
    check(bundle, expected_of, images, tmp_path, DIFFERENT[1:])
