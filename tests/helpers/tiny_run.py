"""The settings of the run that the tests share, and of runs beside it."""

from typing import Any

import numpy as np
import pytest

# Convolutions with batch norm and dropout in three stages with variables, trained for
# two epochs of three steps on the built-in images; the weights are averaged.
SETTINGS: dict[str, Any] = {
    'dataset': 'shapes',
    'model': 'cifar_cnn',
    'model_options': ('filters:4-8-8', 'block_dropout:0.1'),
    'dense': ('8',),
    'epochs': 2,
    'batch_size': 8,
    'limit_train_batches': 3,
    'limit_eval_batches': 2,
    'log_every': 2,
    'precision': 'float32',
    'warmup_epochs': 0.0,
    'ema': 0.5,
}


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Makes runs draw nothing, which is a quarter of the time that a tiny one takes."""
    from trainers.reporting import plots

    patch.setattr(plots, 'plot_curves', lambda *arguments: None)
    patch.setattr(
        plots, 'image_grid', lambda *arguments, **options: np.zeros([1, 1, 3], np.uint8)
    )
