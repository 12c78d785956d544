"""How a benchmark is carried out, and which of a run's settings it looks at."""

import dataclasses
from pathlib import Path

from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import CheckedSettings, setting

_MEASUREMENT = 'Measurement'

# The settings of a run that each mode looks at; --recipe may change any of them.
USED: dict[str, tuple[str, ...]] = {
    'step': (
        'recipe',
        'model',
        'image_size',
        'batch_size',
        'optimizer',
        'precision',
        'xla',
    ),
    'input': (
        'recipe',
        'dataset',
        'data_dir',
        'image_size',
        'augment',
        'cache',
        'batch_size',
    ),
    'end_to_end': (
        'recipe',
        'model',
        'dataset',
        'data_dir',
        'image_size',
        'augment',
        'cache',
        'batch_size',
        'optimizer',
        'precision',
        'xla',
    ),
    'peers': ('recipe', 'model', 'image_size', 'batch_size', 'precision'),
    'input_peers': (
        'recipe',
        'dataset',
        'data_dir',
        'image_size',
        'augment',
        'cache',
        'batch_size',
    ),
}
SYNTHETIC = ('step', 'peers')  # These make their images up and need --classes.


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """What is measured, and how often.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    mode: str = setting(
        'step',
        _MEASUREMENT,
        'What to measure: training steps on made-up images; the '
        'input pipeline; the whole training loop beside such steps; '
        'the network beside the same one in Keras; or the input pipeline beside '
        "Keras' own.",
        choices=tuple(USED),
    )
    json: str = setting('', _MEASUREMENT, 'File to write everything to as JSON.')
    classes: int = setting(
        200,
        _MEASUREMENT,
        'Classes of the made-up images of step and peers.',
        minimum=2,
        maximum=100_000,
    )
    repeats: int = setting(10, _MEASUREMENT, 'Turns of each contestant.', minimum=1)
    steps: int = setting(
        0,
        _MEASUREMENT,
        'Steps in a turn; 0: as many as take about a second, five in '
        'end_to_end, and a single one in peers.',
        minimum=0,
    )
    warmup_steps: int = setting(
        2,
        _MEASUREMENT,
        'Steps of each contestant before its first turn that '
        'are not counted, after the one that traces it.',
        minimum=1,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.json:
            _check_writable(Path(self.json))


def config_fields() -> list[dataclasses.Field]:
    """The settings of a run that are flags of the benchmark."""
    used = {name for names in USED.values() for name in names}
    return [field for field in dataclasses.fields(Config) if field.name in used]


def unused(mode: str, given: list[str]) -> list[str]:
    """Those of the flags given by hand that this mode does not look at."""
    used = {field.name for field in dataclasses.fields(Settings)} | {*USED[mode]}
    if mode not in SYNTHETIC:
        used.remove('classes')
    return [name for name in given if name not in used]


def _check_writable(path: Path) -> None:
    """A wrong path shows before the measuring, not after it."""
    if path.is_dir() or not path.parent.is_dir():
        found = 'is a folder' if path.is_dir() else f'needs a folder {path.parent}'
        raise ConfigError(
            f'Expected --json to be a file in a folder that exists; {path} {found}.'
        )
