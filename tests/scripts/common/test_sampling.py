"""Ranks of examples within their class, and samples of all classes."""

import numpy as np

from scripts.common.sampling import balanced, rank_in_class
from vision.data import ArraySplit, load


def test_ranks_count_earlier_examples_of_the_class():
    labels = np.array([7, 2, 7, 7, 2, 0], np.int32)
    assert rank_in_class(labels).tolist() == [0, 0, 1, 2, 1, 0]
    assert rank_in_class(labels[:0]).tolist() == []


def test_a_sample_is_of_as_many_classes_as_possible():
    split = load('shapes').splits['validation']
    thirty = balanced(split, 30)
    assert np.bincount(thirty.labels).tolist() == [3] * 10
    rare = ArraySplit(
        np.array([0] * 8 + [1], np.int32),
        [str(i) for i in range(9)],
        images=np.zeros([9, 4, 4, 3], np.uint8),
    )
    assert np.bincount(balanced(rare, 4).labels).tolist() == [3, 1]
