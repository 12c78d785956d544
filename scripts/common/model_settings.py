"""The flags that name a trained network, and the network that they name."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.common import flags
from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import CheckedSettings, setting

if TYPE_CHECKING:
    from trainers.inference.classifier import Classifier

_TRAINED = 'The trained network'
_OTHERS = 'Weights that are not of a run'


@dataclasses.dataclass(frozen=True)
class Trained(CheckedSettings):
    """Which trained network is used.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    run_dir: str = setting(
        '',
        _TRAINED,
        'Folder of a run, which knows all the rest, or of one of its checkpoints.',
    )
    weights: str = setting(
        'best', _TRAINED, 'Which weights of the run.', choices=('best', 'last')
    )
    temperature: float = setting(
        0.0,
        _TRAINED,
        'Temperature of the softmax; 0: what scripts.evaluate '
        '--calibrate has stored with the run, or else 1.',
        minimum=0,
    )
    precision: str = setting(
        'float32',
        _TRAINED,
        'Type of the arithmetic.',
        choices=('float32', 'bfloat16', 'float16'),
    )
    labels: str = setting(
        '',
        _OTHERS,
        'Text file with a class a line for --pretrained; by default the '
        '1000 of ImageNet.',
    )


_OF_OTHERS = (
    'model',
    'model_options',
    'pooling',
    'dense',
    'image_size',
    'pretrained',
    'weights_dir',
    'download',
)


def model_fields() -> list[dataclasses.Field]:
    """The flags that say which network is used."""
    config = {field.name: field for field in dataclasses.fields(Config)}
    return [
        *dataclasses.fields(Trained),
        *(flags.regrouped(config[name], _OTHERS) for name in _OF_OTHERS),
    ]


def trained() -> Trained:
    """The flags of `Trained` that are given by hand.

    Raises:
        ConfigError: a value is not allowed.
    """
    return Trained(**flags.given(dataclasses.fields(Trained)))


def load_classifier() -> 'Classifier':
    """The network that the flags name.

    Raises:
        ConfigError: the flags name none, or two.
        UserError: it cannot be had.
    """
    from trainers.inference import classifier

    chosen = trained()
    config = {field.name: field for field in dataclasses.fields(Config)}
    settings = flags.given([config[name] for name in _OF_OTHERS])
    if chosen.run_dir:
        of_others = [name for name in settings if name != 'download']
        if of_others or chosen.labels:
            raise ConfigError(
                f'Expected no --{of_others[0] if of_others else "labels"} with '
                '--run_dir: a run knows its network. Leave one of them out.'
            )
        return classifier.from_run(
            Path(chosen.run_dir),
            chosen.weights,
            chosen.precision,
            chosen.temperature,
        )
    if 'pretrained' not in settings or 'model' not in settings:
        raise ConfigError(
            'Expected --run_dir=FOLDER, a run that scripts.train made, or '
            '--model=NAME with --pretrained=WEIGHTS.'
        )
    return classifier.from_pretrained(
        Config.from_dict(settings),
        chosen.labels,
        chosen.precision,
        chosen.temperature,
    )
