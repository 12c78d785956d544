"""What is exported, and where it goes."""

import dataclasses

from trainers.config import check, setting

_EXPORT = 'The export'


@dataclasses.dataclass(frozen=True)
class Settings:
    """The flags of the command beside those that name the network.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    formats: tuple[str, ...] = setting(
        ('saved_model',), _EXPORT, 'Formats with commas between, or all: saved_model, '
        'tflite_float32, tflite_float16, tflite_dynamic, tflite_int8, onnx, '
        'tensorflowjs.')
    output: str = setting(
        '', _EXPORT, 'Folder to make; by default export in the folder of the run, or '
        'exports/<model>.')
    overwrite: bool = setting(
        False, _EXPORT, 'Replace an earlier export there as a whole, with all its '
        'formats.')
    pictures: str = setting(
        '', _EXPORT, 'A picture, or a folder or quoted pattern of them, to compare and '
        "to calibrate with; by default the run's own: of its validation split to "
        'compare, of its training split to calibrate.')

    install_converter: bool = setting(
        False, _EXPORT, 'First build what tensorflowjs needs and no other format can '
        'share, in .tapestry/tensorflowjs: 2.7 GB, some minutes, once.')

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))
