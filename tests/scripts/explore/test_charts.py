"""The charts show the numbers of a survey."""

import numpy as np
import pytest

from scripts.explore.charts import classes, colours
from vision.data import SPLITS, ArraySplit, Source
from vision.survey.survey import survey


@pytest.mark.parametrize('panel', ['brightness', 'contrast'])
def test_histograms_of_splits_of_any_size_are_shares(panel):
    rng = np.random.default_rng(0)
    splits = {
        name: ArraySplit(
            np.arange(count, dtype=np.int32) % 2,
            [f'{name}/{index}' for index in range(count)],
            rng.integers(0, 256, [count, 8, 8, 3], np.uint8),
        )
        for name, count in zip(SPLITS, (12, 5, 2))
    }
    figure = colours(survey(Source('noise', ('a', 'b'), splits, 8, fixed_size=True)))
    axes = figure.axes[['brightness', 'contrast'].index(panel)]
    assert axes.get_xlabel().startswith(panel)
    outlines = {patch.get_label(): patch.get_xy() for patch in axes.patches}
    assert list(outlines) == list(SPLITS)
    for outline in outlines.values():
        # Each bin has two corners, between the ends on the axis.
        assert outline[1:-1:2, 1].sum() == pytest.approx(100)


@pytest.mark.parametrize('number', [3, 41])
def test_bars_of_classes_are_stacked_by_split(number):
    """Few classes in the order of the dataset, many by their images in train."""
    labels = {
        'train': np.repeat(np.arange(number), np.arange(number) % 3),
        'validation': np.arange(number),
        'test': np.arange(1),
    }
    splits = {
        name: ArraySplit(
            of_split.astype(np.int32),
            [f'{name}/{index}' for index in range(len(of_split))],
            np.zeros([len(of_split), 8, 8, 3], np.uint8),
        )
        for name, of_split in labels.items()
    }
    names = tuple(f'class {label}' for label in range(number))
    figure = classes(survey(Source('blank', names, splits, 8, fixed_size=True)))
    (axes,) = figure.axes
    counts = np.array([np.bincount(labels[name], minlength=number) for name in SPLITS])
    if number == 3:
        bars = [list(container) for container in axes.containers]
        starts = np.array([[bar.get_x() for bar in row] for row in bars])
        lengths = np.array([[bar.get_width() for bar in row] for row in bars])
        assert [label.get_text() for label in axes.get_yticklabels()] == list(names)
    else:
        order = np.argsort(-counts[0], kind='stable')
        counts = counts[:, order]
        drawn = [patch.get_data() for patch in axes.patches]
        starts = np.array([data.baseline for data in drawn])
        lengths = np.array([data.values for data in drawn]) - starts
        for data in drawn:
            np.testing.assert_array_equal(data.edges, np.arange(number + 1) - 0.5)
    np.testing.assert_array_equal(lengths, counts)
    np.testing.assert_array_equal(starts, np.cumsum(counts, 0) - counts)
    low, high = axes.get_ylim()
    assert low >= number - 0.5 and high <= -0.5  # The first class stands at the top.
