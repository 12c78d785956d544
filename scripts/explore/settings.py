"""How a dataset is looked at, and which of a run's settings say which dataset."""

import dataclasses

from trainers.settings.config import Config, check, setting

_LOOKING = 'Looking'
_USED = (
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
class Settings:
    """How much is looked at, and where the result goes.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    output: str = setting(
        '',
        _LOOKING,
        'Folder for the page and the images; by default exploration/<dataset>.',
    )
    max_images: int = setting(
        0,
        _LOOKING,
        'Look at no more than so many images, spread evenly over each '
        'split; 0: at all.',
        minimum=0,
    )
    samples: int = setting(
        4, _LOOKING, 'Images shown before and after --augment.', minimum=1, maximum=50
    )
    seed: int = setting(
        0,
        _LOOKING,
        'Seed of the choice of sample images.',
        minimum=0,
        maximum=2**31 - 1,
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))


def config_fields() -> list[dataclasses.Field]:
    """The settings of a run that are flags of this command."""
    return [field for field in dataclasses.fields(Config) if field.name in _USED]
