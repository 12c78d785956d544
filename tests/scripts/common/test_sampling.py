"""Ranks of examples within their class."""

import numpy as np

from scripts.common.sampling import rank_in_class


def test_ranks_count_earlier_examples_of_the_class():
    labels = np.array([7, 2, 7, 7, 2, 0], np.int32)
    assert rank_in_class(labels).tolist() == [0, 0, 1, 2, 1, 0]
    assert rank_in_class(labels[:0]).tolist() == []
