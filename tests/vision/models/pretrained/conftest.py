"""Fixtures for the tests of pretrained weights."""

from collections.abc import Mapping

import numpy as np
import pytest

from vision.models.pretrained import PretrainedError, load


@pytest.fixture(scope='session')
def assert_refused():
    """(model, weights, *messages): all are in the error, and no variable changes."""

    def check(model, weights, *messages):
        before = [variable.numpy() for variable in model.variables]
        with pytest.raises(PretrainedError) as error:
            load(model, weights)
        given = 'the given weights' if isinstance(weights, Mapping) else str(weights)
        for message in (given, *messages):
            assert message in str(error.value)
        for variable, old in zip(model.variables, before):
            assert np.array_equal(variable, old), variable.name

    return check
