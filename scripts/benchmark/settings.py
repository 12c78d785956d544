"""How a benchmark is carried out, and which of a run's settings it uses."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import CheckedSettings, setting

_MEASUREMENT = 'Measurement'
_NETWORK = ('recipe', 'model', 'image_size', 'batch_size', 'precision')
_STEP = (*_NETWORK, 'optimizer', 'xla')
_DATA = ('dataset', 'data_dir', 'augment', 'cache')
_INPUT = ('recipe', *_DATA, 'image_size', 'batch_size')


class Mode(NamedTuple):
    """A mode of the benchmark.

    Attributes:
        function: its name in `scripts.benchmark.modes`, which imports TensorFlow.
        used: the settings of a run that it uses; --recipe may change any of them.
        synthetic: whether it uses synthetic images and needs --classes.
    """

    function: str
    used: tuple[str, ...]
    synthetic: bool = False


MODES = {
    'step': Mode('step', _STEP, synthetic=True),
    'input': Mode('input_pipeline', _INPUT),
    'end_to_end': Mode('end_to_end', (*_STEP, *_DATA)),
    'peers': Mode('peers', _NETWORK, synthetic=True),
    'input_peers': Mode('input_peers', _INPUT),
}


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    """What is measured, and how often.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    mode: str = setting(
        'step',
        _MEASUREMENT,
        'What to measure: training steps on synthetic images (step); the input '
        'pipeline (input); the training loop and its steps alone (end_to_end); the '
        'network and the same one in Keras (peers); the input pipeline and those of '
        'Keras (input_peers).',
        choices=tuple(MODES),
    )
    json: str = setting('', _MEASUREMENT, 'File to write everything to as JSON.')
    classes: int = setting(
        200,
        _MEASUREMENT,
        'Classes of the synthetic images of step and peers.',
        minimum=2,
        maximum=100_000,
    )
    repeats: int = setting(10, _MEASUREMENT, 'Turns of each workload.', minimum=1)
    steps: int = setting(
        0,
        _MEASUREMENT,
        'Steps in a turn; 0: as many as take about a second, five seconds in '
        'end_to_end, and a single one in peers.',
        minimum=0,
    )
    warmup_steps: int = setting(
        2,
        _MEASUREMENT,
        'Steps of each workload before its first turn that are not counted, after the '
        'one that traces it.',
        minimum=1,
    )

    def __post_init__(self):
        super().__post_init__()
        path = Path(self.json)
        if self.json and (path.is_dir() or not path.parent.is_dir()):
            problem = (
                'is a folder' if path.is_dir() else f'needs a folder {path.parent}'
            )
            raise ConfigError(
                'Expected --json to be a file in a folder that exists; '
                f'{path} {problem}.'
            )


def config_fields() -> list[dataclasses.Field]:
    """The settings of a run that are flags of the benchmark."""
    used = {name for mode in MODES.values() for name in mode.used}
    return [field for field in dataclasses.fields(Config) if field.name in used]


def unused(mode: str, given: list[str]) -> list[str]:
    """Those of the flags on the command line that this mode does not use."""
    used = {field.name for field in dataclasses.fields(Settings)} | {*MODES[mode].used}
    if not MODES[mode].synthetic:
        used.remove('classes')
    return [name for name in given if name not in used]
