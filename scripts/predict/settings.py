"""How images are predicted, and how and where predictions are written."""

import dataclasses
import os

from trainers.settings.fields import setting
from trainers.settings.prediction import PredictionSettings

_OUTPUT = 'Output'


@dataclasses.dataclass(frozen=True)
class Settings(PredictionSettings):
    """How images are predicted, and how and where predictions are written.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    format: str | None = setting(
        None,
        _OUTPUT,
        'Format of the output; by default that of the suffix of --output, or a table.',
        choices=('table', 'csv', 'jsonl'),
    )
    output: str = setting(
        '',
        _OUTPUT,
        'File to write once all images are predicted; by default standard output, as '
        'predictions are made.',
    )

    @property
    def written_format(self) -> str:
        """The format given, or that of the suffix of the output."""
        suffix = os.path.splitext(self.output)[1].lower().removeprefix('.')
        return self.format or (suffix if suffix in ('csv', 'jsonl') else 'table')
