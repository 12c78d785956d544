"""How a trained network is used: settings of the Python API and of the commands."""

import dataclasses
from typing import Any

from trainers.settings.config import PRECISIONS
from trainers.settings.fields import CheckedSettings, setting
from trainers.settings.tables import VIEWS

TRAINED = 'The trained network'
EVALUATION = 'Evaluation'
_PREDICTION = 'Prediction'


def views_setting(group: str) -> Any:
    """The field of test-time augmentation under a heading of `--help`."""
    return setting(
        'none',
        group,
        'Views whose mean is the prediction of an image: the image (none), also its '
        'mirror image (flip), or also crops of 7/8 of its side (crops).',
        choices=VIEWS,
    )


@dataclasses.dataclass(frozen=True)
class LoadSettings(CheckedSettings):
    """Which weights of a run are loaded, and how its network computes.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    weights: str = setting(
        'best', TRAINED, 'Which weights of the run.', choices=('best', 'last')
    )
    temperature: float = setting(
        0.0,
        TRAINED,
        'Temperature of the softmax; 0: the one that scripts.evaluate --calibrate has '
        'stored with the run, or 1.',
        minimum=0,
    )
    precision: str = setting(
        'float32',
        TRAINED,
        'Floating-point type of the computation.',
        choices=PRECISIONS,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationSettings(CheckedSettings):
    """Which images are evaluated, and how.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    split: str = setting(
        'test',
        EVALUATION,
        'Split to evaluate.',
        choices=('test', 'validation', 'train'),
    )
    views: str = views_setting(EVALUATION)
    batch_size: int = setting(64, EVALUATION, 'Images per batch.', minimum=1)


@dataclasses.dataclass(frozen=True)
class PredictionSettings(CheckedSettings):
    """How images are predicted.

    Attributes:
        top: number of classes in a prediction; all, if there are fewer.
        threshold: the probability below which the first class is rejected.
        views: a key of `trainers.inference.VIEWS`.
        batch_size: images per batch; 0: as many as fit into memory, up to 64.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    top: int = setting(5, _PREDICTION, 'Number of classes in a prediction.', minimum=1)
    threshold: float = setting(
        0.0,
        _PREDICTION,
        'Probability below which a prediction is rejected: it is marked as unsure.',
        minimum=0,
        maximum=1,
    )
    views: str = views_setting(_PREDICTION)
    batch_size: int = setting(
        0,
        _PREDICTION,
        'Images per batch; 0: as many as fit into a quarter of the free memory, up to '
        '64.',
        minimum=0,
    )
