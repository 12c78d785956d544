"""How images are predicted, and how and where that is written."""

import dataclasses
import os

from trainers.settings.fields import CheckedSettings, setting

_PREDICTING = 'Predicting'
_WRITING = 'Writing'


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """What is said of each image, and in which form.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    top: int = setting(
        5, _PREDICTING, 'How many classes to name of each image.', minimum=1
    )
    threshold: float = setting(
        0.0,
        _PREDICTING,
        'Probability below which the answer is rejected: the image '
        'is listed as unsure.',
        minimum=0,
        maximum=1,
    )
    views: str = setting(
        'none',
        _PREDICTING,
        'Averaged over views of each image: itself (none), its '
        'mirror image, too (flip), or twelve with crops of 7/8 (crops).',
        choices=('none', 'flip', 'crops'),
    )
    batch_size: int = setting(
        0,
        _PREDICTING,
        'Images at a time; 0: as many as a quarter of the free memory takes, up to 64.',
        minimum=0,
    )
    format: str | None = setting(
        None,
        _WRITING,
        'How to write; by default as the suffix of --output says, or else a table.',
        choices=('table', 'csv', 'jsonl'),
    )
    output: str = setting(
        '',
        _WRITING,
        'File to write, as a whole once all is done; by default standard '
        'output, as it comes.',
    )

    @property
    def written_format(self) -> str:
        """The format asked for, or the one that the name of the output stands for."""
        suffix = os.path.splitext(self.output)[1].lower().removeprefix('.')
        return self.format or (suffix if suffix in ('csv', 'jsonl') else 'table')
