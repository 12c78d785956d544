"""How a benchmark is carried out, and the settings that each mode uses."""

import dataclasses
from pathlib import Path

from trainers.settings.config import ConfigError
from trainers.settings.fields import CheckedSettings, setting

_MEASUREMENT = 'Measurement'
_NETWORK = ('recipe', 'model', 'image_size', 'batch_size', 'precision')
_STEP = (*_NETWORK, 'optimizer', 'xla')
_DATA = ('dataset', 'data_dir', 'augment', 'cache')
_INPUT = ('recipe', *_DATA, 'image_size', 'batch_size')
_TURNS = ('repeats', 'steps', 'warmup_steps')

# The settings that each mode uses, of a run and of the benchmark; --recipe may change
# any of a run's.
MODES = {
    'step': (*_STEP, 'classes', *_TURNS),
    'input': (*_INPUT, *_TURNS),
    'end_to_end': (*_STEP, *_DATA, *_TURNS),
    'peers': (*_NETWORK, 'classes', *_TURNS),
    'input_peers': (*_INPUT, *_TURNS),
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


def unused(mode: str, given: list[str]) -> list[str]:
    """Those of the flags on the command line that this mode does not use."""
    return [name for name in given if name not in ('mode', 'json', *MODES[mode])]
