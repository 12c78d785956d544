"""TensorFlow Lite files in ai-edge-litert."""

import errno
import importlib.util
import os

import numpy as np
import pytest
import tensorflow as tf

from vision.errors import UserError
from vision.export import FORMATS
from vision.export.checking import compare
from vision.layers import ConvBlock, LocalResponseNorm
from vision.layers.normalization import CHANNEL_SUM_SCOPE
from vision.models import Network, Outputs

Interpreter = pytest.importorskip('ai_edge_litert.interpreter').Interpreter


@pytest.fixture(scope='module')
def bundle(make_bundle):
    return make_bundle(filters=(4, 8), temperature=2.0)


def convert(name, bundle, folder, sample):
    target = folder / FORMATS.load(name).path
    FORMATS.load(name).convert(bundle, folder, target, sample)
    return target


@pytest.mark.parametrize(
    'name', ['tflite_float32', 'tflite_float16', 'tflite_dynamic', 'tflite_int8']
)
def test_predicts_what_the_model_predicts(name, bundle, expected_of, images, tmp_path):
    target = convert(name, bundle, tmp_path, images[10:])
    predictions = FORMATS.load(name).run(target, images)
    comparison = compare(FORMATS.load(name), predictions, expected_of(bundle, images))
    assert comparison.failures == ()
    assert predictions.probabilities.dtype == np.float32


def test_int8_quantizes_pixels_exactly(bundle, images, tmp_path):
    target = convert('tflite_int8', bundle, tmp_path, images // 2)
    model = Interpreter(str(target))
    (taken,) = model.get_input_details()
    (given,) = model.get_output_details()
    assert (taken['dtype'], given['dtype']) == (np.uint8, np.float32)
    # Whatever the sample, each value of a pixel keeps a step of its own; 1/255 went
    # into the weights of the convolution.
    details = {tensor['name']: tensor for tensor in model.get_tensor_details()}
    assert details['tfl.quantize']['dtype'] == np.int8
    assert details['tfl.quantize']['quantization'] == (1.0, -128)


def test_int8_keeps_local_response_norm_in_float(make_bundle, images, tmp_path):
    stages = {'conv': ConvBlock(3, 8, 3, stride=2), 'norm': LocalResponseNorm()}
    network = Network(
        stages,
        8,
        16,
        classes=5,
        image_size=32,
        min_image_size=8,
        normalization='caffe',
        dropout=0.0,
    )
    bundle = make_bundle(filters=(4, 8))._replace(network=network)
    target = convert('tflite_int8', bundle, tmp_path, images[:2])
    details = Interpreter(str(target)).get_tensor_details()
    sums = [d for d in details if CHANNEL_SUM_SCOPE in d['name']]
    assert sums
    assert {d['dtype'] for d in sums} == {np.float32}


@pytest.mark.parametrize('name', ['tflite_float32', 'tflite_int8'])
def test_an_error_of_writing_is_no_error_of_the_converter(
    name, bundle, images, tmp_path
):
    with pytest.raises(FileNotFoundError):
        convert(name, bundle, tmp_path / 'nothing', images[:2])


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match="pip install 'ai-edge-litert>=2.1,<3'"):
        FORMATS.load('tflite_int8').check_available()


def test_a_damaged_file_is_refused(bundle, images, tmp_path):
    target = convert('tflite_float32', bundle, tmp_path, images)
    target.write_bytes(target.read_bytes()[:100])
    with pytest.raises(UserError, match='Expected tflite to run model_float32.tflite'):
        FORMATS.load('tflite_float32').run(target, images)


class Strings(tf.Module):
    """Computes with operations that TensorFlow Lite does not have."""

    def __call__(self, images: tf.Tensor) -> Outputs:
        lengths = tf.strings.length(tf.as_string(images[:, 0, 0]))
        return Outputs(tf.cast(lengths, tf.float32))


def test_what_cannot_be_converted_is_explained(make_bundle, images, tmp_path):
    bundle = make_bundle(filters=(4, 8))._replace(network=Strings())
    with pytest.raises(
        UserError, match='Leave tflite_float32 out of the formats'
    ) as error:
        convert('tflite_float32', bundle, tmp_path, images)
    assert error.value.parameters == ('formats',)
    assert not list(tmp_path.iterdir())


def test_no_room_for_temporary_files(bundle, images, tmp_path, monkeypatch):
    target = convert('tflite_float32', bundle, tmp_path, images)

    def full(file, array):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, 'save', full)
    with pytest.raises(UserError, match='No space left on device. Free .* TMPDIR to'):
        FORMATS.load('tflite_float32').run(target, images)
