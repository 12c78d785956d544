"""The dataset that a survey is tested on."""

import pytest
import tensorflow as tf
from survey_dataset import folder, ranges, seen, source  # noqa: F401


@pytest.fixture(autouse=True)
def plain_graphs():
    """Without the graph optimizer, which takes longer than the tests."""
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
    yield
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})
