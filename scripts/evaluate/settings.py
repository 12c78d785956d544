"""How a network is evaluated, and checks of the images on which."""

import dataclasses
import os

from scripts.common.dataset_settings import SPLIT_SETTINGS
from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import setting
from trainers.settings.prediction import EVALUATION, EvaluationSettings


@dataclasses.dataclass(frozen=True)
class Settings(EvaluationSettings):
    """How a network is evaluated, and where the report goes.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    calibrate: bool = setting(
        False,
        EVALUATION,
        'First fit the temperature of the softmax to the validation split, and store '
        'it with the run.',
    )
    compare: bool = setting(
        False,
        EVALUATION,
        'Compare the runs whose folders follow, on the same images.',
    )
    output: str = setting(
        '',
        EVALUATION,
        'Folder for the report; by default <run>/evaluation/<split>, for other data '
        '<run>/evaluation/<data>-<split>, and evaluation/... for weights that are not '
        'of a run and for comparisons.',
    )

    def __post_init__(self):
        super().__post_init__()
        if self.calibrate and (self.compare or self.views != 'none'):
            other = 'compare' if self.compare else f'views={self.views}'
            raise ConfigError(
                f'Expected no --{other} with --calibrate, which fits the temperature '
                'of one run without test-time augmentation. Calibrate first, then pass '
                'the other.'
            )


def same_data(first: Config, second: Config) -> bool:
    """Whether both settings name the same dataset in the same place."""
    places = [
        os.path.realpath(config.data_dir) if config.data_dir else ''
        for config in (first, second)
    ]
    return first.dataset == second.dataset and places[0] == places[1]


def check_splits(run: Config, config: Config) -> None:
    """Makes sure that the images of a run are split as when it was trained.

    Args:
        run: the settings of the run.
        config: those by which it is evaluated.

    Raises:
        ConfigError: it would be evaluated on images that it was trained on.
    """
    if not same_data(run, config):
        return
    for name in SPLIT_SETTINGS:
        trained, given = getattr(run, name), getattr(config, name)
        if given != trained:
            raise ConfigError(
                f'Expected the --{name}={trained} that the run was trained with, '
                f'received {given}: it would be evaluated on images that it was '
                f'trained on. Leave --{name} out, or name other images with --dataset '
                'or --data_dir.'
            )


def check_calibration(run: Config, config: Config) -> None:
    """Makes sure that a temperature is fitted to the images of the run.

    Args:
        run: the settings of the run.
        config: those by which it is evaluated.

    Raises:
        ConfigError: the settings name other images.
    """
    if same_data(run, config):
        return
    expected, received = (
        f'{data.dataset} {data.data_dir}'.strip() for data in (run, config)
    )
    raise ConfigError(
        f'Expected the images of the run with --calibrate, {expected}, received '
        f'{received}: the temperature is stored with the run as fitted to its own '
        'validation split. Calibrate without --dataset and --data_dir, then evaluate '
        'on the other images; where the images of the run have moved, put a link to '
        f'them at {run.data_dir or expected}.'
    )
