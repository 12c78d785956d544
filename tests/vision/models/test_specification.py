import json

import numpy as np
import pytest
import tensorflow as tf

from vision.errors import UserError
from vision.models.specification import Specification

SPECIFICATION = Specification(
    model='inception_v1_compact',
    classes=('cat', 'dog', 'été'),
    image_size=40,
    normalization='center',
)


def test_survives_json():
    text = json.dumps(SPECIFICATION.to_dict())
    assert Specification.from_dict(json.loads(text)) == SPECIFICATION


def test_builds_the_model_that_it_describes():
    model = SPECIFICATION.build(dtype=tf.bfloat16)
    assert model.name == 'inception_v1_compact'
    assert (model.classes, model.image_size, model.normalization) == (3, 40, 'center')
    assert model.dtype == tf.bfloat16


def test_the_model_applies_the_normalization_itself():
    image = np.random.default_rng(1).integers(0, 200, [1, 40, 40, 3], np.uint8)
    model = SPECIFICATION.build()
    # Each image's own mean is taken away, so a brighter one gives the same answer.
    np.testing.assert_allclose(model(image).main, model(image + 55).main, rtol=1e-3)


def test_unknown_fields_are_refused():
    with pytest.raises(TypeError, match='colour'):
        Specification.from_dict({**SPECIFICATION.to_dict(), 'colour': 'RGB'})


def test_an_unknown_model():
    values = {**SPECIFICATION.to_dict(), 'model': 'inception'}
    with pytest.raises(UserError, match="received 'inception'"):
        Specification.from_dict(values).build()
