"""The charts show the numbers of a survey."""

import numpy as np
import pytest

from scripts.explore.charts import colours
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
