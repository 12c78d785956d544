"""Fixtures of the tests of training."""

import numpy as np
import pytest

from trainers.reporting import plots


@pytest.fixture
def no_drawings(monkeypatch) -> None:
    """Runs draw nothing, which is a quarter of the time that a tiny one takes."""
    monkeypatch.setattr(plots, 'plot_curves', lambda *arguments: None)
    monkeypatch.setattr(
        plots, 'image_grid', lambda *arguments, **options: np.zeros([1, 1, 3], np.uint8)
    )
