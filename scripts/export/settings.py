"""What is exported, and where it goes."""

import dataclasses

from trainers.settings.config import ConfigError
from trainers.settings.fields import CheckedSettings, setting
from vision.errors import suggestion

# The keys of vision.export.FORMATS, which takes seconds to import.
FORMATS = (
    'saved_model',
    'tflite_float32',
    'tflite_float16',
    'tflite_dynamic',
    'tflite_int8',
    'onnx',
    'tensorflowjs',
)

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
        f'Formats with commas between, or all: {", ".join(FORMATS)}.',
    )
    output: str = setting(
        '',
        _EXPORT,
        'Folder to make; by default export in the folder of the run, or '
        'exports/<model>.',
    )
    overwrite: bool = setting(
        False,
        _EXPORT,
        'Replace an earlier export there as a whole, with all its formats.',
    )
    images: str = setting(
        '',
        _EXPORT,
        'An image, or a folder or quoted pattern of them, to compare and '
        "to calibrate with; by default the run's own: of its validation split to "
        'compare, of its training split to calibrate.',
    )
    install_converter: bool = setting(
        False,
        _EXPORT,
        'First build what tensorflowjs needs and no other format can '
        'share, in .tapestry/tensorflowjs: 2.7 GB, some minutes, once.',
    )

    def __post_init__(self):
        super().__post_init__()
        known = f'Expected --formats to be all, or of {", ".join(FORMATS)}; received'
        if not self.formats:
            raise ConfigError(f'{known} none.')
        for name in self.formats:
            if name not in (*FORMATS, 'all'):
                raise ConfigError(f'{known} {name!r}.{suggestion(name, FORMATS)}')
        if 'all' in self.formats and set(self.formats) != {'all'}:
            raise ConfigError(f'{known} all with others. Leave the others out.')
