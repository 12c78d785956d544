"""The settings of an exploration, and those of a run that it uses."""

import dataclasses

from trainers.settings.fields import CheckedSettings, setting

_EXPLORATION = 'Exploration'
USED = (
    'dataset',
    'data_dir',
    'download',
    'image_size',
    'augment',
    'validation_fraction',
    'test_fraction',
    'split_seed',
)


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """How many images are read, and where the results are written.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    output: str = setting(
        '',
        _EXPLORATION,
        'Folder for the HTML page, charts and tables; by default '
        'exploration/<dataset>.',
    )
    max_images: int = setting(
        0,
        _EXPLORATION,
        'Largest number of images to survey, evenly spaced in each split; '
        '0: all images.',
        minimum=0,
    )
    samples: int = setting(
        4,
        _EXPLORATION,
        'Training images to show before and after --augment.',
        minimum=1,
        maximum=50,
    )
    seed: int = setting(
        0,
        _EXPLORATION,
        'Seed of the choice of sample images.',
        minimum=0,
        maximum=2**31 - 1,
    )
