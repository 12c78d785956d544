"""What is exported, and where the export is written."""

import dataclasses

from trainers.settings.config import ConfigError
from trainers.settings.fields import CheckedSettings, setting
from vision.export import FORMATS

_EXPORT = 'The export'


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """The flags of the command beside those that name the network.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    formats: tuple[str, ...] = setting(
        ('saved_model',),
        _EXPORT,
        'Formats with commas between.',
        choices=(*FORMATS, 'all'),
    )
    output: str = setting(
        '',
        _EXPORT,
        'Folder to create; by default export in the folder of the run, or '
        'exports/<model>.',
    )
    overwrite: bool = setting(
        False, _EXPORT, 'Replace an earlier export, with all its formats.'
    )
    images: str = setting(
        '',
        _EXPORT,
        'Image, folder or quoted pattern of images for the comparison and the '
        'calibration set; by default validation images of the run for the comparison '
        'and training images for the calibration set.',
    )
    install_converter: bool = setting(
        False,
        _EXPORT,
        'First install the converter for tensorflowjs, which needs an environment of '
        'its own, in .tapestry/tensorflowjs: 2.7 GB, takes minutes.',
    )

    def __post_init__(self):
        super().__post_init__()
        if 'all' in self.formats and set(self.formats) != {'all'}:
            raise ConfigError(
                'Expected --formats to be all or some formats; received all with '
                'others. Leave the others out.'
            )
