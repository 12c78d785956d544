"""ONNX files in onnxruntime."""

import importlib.util
import json

import numpy as np
import pytest

from vision.errors import UserError
from vision.export import FORMATS
from vision.export.checking import compare

onnxruntime = pytest.importorskip('onnxruntime')
pytest.importorskip('tf2onnx')
FORM = FORMATS.load('onnx')


@pytest.fixture(scope='module')
def bundle(make_bundle):
    return make_bundle(filters=(4, 8), normalization='center', temperature=0.7)


@pytest.fixture(scope='module')
def target(bundle, tmp_path_factory):
    target = tmp_path_factory.mktemp('export') / FORM.path
    FORM.convert(bundle, target, target, np.zeros([1, 32, 32, 3], np.uint8))
    return target


def test_predicts_what_the_model_predicts(bundle, target, expected_of, images):
    predictions = FORM.run(target, images)
    assert compare(FORM, predictions, expected_of(bundle, images)).failures == ()


def test_describes_itself(bundle, target):
    session = onnxruntime.InferenceSession(str(target))
    metadata = session.get_modelmeta().custom_metadata_map
    assert {name: json.loads(value) for name, value in metadata.items()} == (
        bundle.describe()
    )
    (taken,) = session.get_inputs()
    (given,) = session.get_outputs()
    assert (taken.name, taken.shape[1:]) == ('images', [32, 32, 3])
    assert isinstance(taken.shape[0], str)  # any number of images
    assert given.name == 'probabilities'


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name: name == 'onnx' or None
    )
    with pytest.raises(UserError, match='pip install onnxruntime tf2onnx'):
        FORM.check_available()
