"""What is evaluated, how, and which images those are."""

import dataclasses
import os

from scripts.common.dataset_settings import SPLIT_SETTINGS
from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import CheckedSettings, setting

_EVALUATION = 'Evaluation'


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """How a network is evaluated, and where the result goes.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    split: str = setting(
        'test', _EVALUATION, 'Which images.', choices=('test', 'validation', 'train')
    )
    views: str = setting(
        'none',
        _EVALUATION,
        'Test-time augmentation: the mean of what is said of the '
        'image and its mirror image (flip), or also of crops at its corners and in '
        'its middle (crops).',
        choices=('none', 'flip', 'crops'),
    )
    calibrate: bool = setting(
        False,
        _EVALUATION,
        'First fit the temperature of the softmax to the validation '
        'images, and store it with the run.',
    )
    compare: bool = setting(
        False,
        _EVALUATION,
        'Compare the runs whose folders follow, on the same images.',
    )
    batch_size: int = setting(64, _EVALUATION, 'Images at a time.', minimum=1)
    output: str = setting(
        '',
        _EVALUATION,
        'Folder for the report; by default <run>/evaluation/<split>, '
        'of other data <run>/evaluation/<data>-<split>, and evaluation/... for what is '
        'not one run.',
    )

    def __post_init__(self):
        super().__post_init__()
        if self.calibrate and (self.compare or self.views != 'none'):
            other = 'compare' if self.compare else f'views={self.views}'
            raise ConfigError(
                f'Expected no --{other} with --calibrate: a temperature belongs to one '
                'run as it is. Calibrate first, then pass the other.'
            )


def same_data(first: Config, second: Config) -> bool:
    """Whether both settings name the same dataset in the same place."""
    places = [
        os.path.realpath(config.data_dir) if config.data_dir else ''
        for config in (first, second)
    ]
    return first.dataset == second.dataset and places[0] == places[1]


def check_splits(own: Config, config: Config) -> None:
    """Makes sure that the images of a run are split as when it was trained.

    Args:
        own: the settings of the run.
        config: those by which it is evaluated.

    Raises:
        ConfigError: images that it was trained on would be tested on.
    """
    if not same_data(own, config):
        return
    for name in SPLIT_SETTINGS:
        trained, given = getattr(own, name), getattr(config, name)
        if given != trained:
            raise ConfigError(
                f'Expected the --{name}={trained} that the run was trained with, '
                f'received {given}: its images would be split anew, and those that '
                f'it has learned be tested on. Leave --{name} out, or name other '
                'images with --dataset or --data_dir.'
            )


def check_calibration(own: Config, config: Config) -> None:
    """Makes sure that a temperature is fitted to the images of the run.

    Args:
        own: the settings of the run.
        config: those by which it is evaluated.

    Raises:
        ConfigError: the settings name other images.
    """
    if same_data(own, config):
        return
    mine, other = (f'{each.dataset} {each.data_dir}'.strip() for each in (own, config))
    raise ConfigError(
        f'Expected the images of the run with --calibrate, {mine}, received {other}: '
        'the temperature is stored with the run as that of its own validation split. '
        'Calibrate without --dataset and --data_dir, then evaluate on the others; '
        f'where its images have moved, put a link to them at {own.data_dir or mine}.'
    )
