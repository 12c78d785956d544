"""The flags that name a trained network, and the network that they name."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.common import flags
from trainers.settings.config import PRECISIONS, Config, ConfigError
from trainers.settings.fields import CheckedSettings, setting

if TYPE_CHECKING:
    from trainers.inference.classifier import Classifier

_TRAINED = 'The trained network'
_PRETRAINED = 'Weights that are not of a run'


@dataclasses.dataclass(frozen=True)
class Trained(CheckedSettings):
    """The trained network that a command uses.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    run_dir: str = setting(
        '',
        _TRAINED,
        'Folder of a run, or of one of its checkpoints.',
    )
    weights: str = setting(
        'best', _TRAINED, 'Which weights of the run.', choices=('best', 'last')
    )
    temperature: float = setting(
        0.0,
        _TRAINED,
        'Temperature of the softmax; 0: the one that scripts.evaluate --calibrate has '
        'stored with the run, or 1.',
        minimum=0,
    )
    precision: str = setting(
        'float32',
        _TRAINED,
        'Floating-point type of the computation.',
        choices=PRECISIONS,
    )
    labels: str = setting(
        '',
        _PRETRAINED,
        'Text file with one class on each line, for --pretrained; by default the 1000 '
        'classes of ImageNet.',
    )


_PRETRAINED_SETTINGS = (
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
    """The flags that name a trained network."""
    config = {field.name: field for field in dataclasses.fields(Config)}
    return [
        *dataclasses.fields(Trained),
        *(flags.regrouped(config[name], _PRETRAINED) for name in _PRETRAINED_SETTINGS),
    ]


def trained() -> Trained:
    """The flags of `Trained` on the command line.

    Raises:
        ConfigError: a value is not allowed.
    """
    return Trained(**flags.given(dataclasses.fields(Trained)))


def load_classifier() -> 'Classifier':
    """The network that the flags name.

    Raises:
        ConfigError: the flags name no network, or two.
        UserError: the network cannot be loaded.
    """
    from trainers.inference import classifier

    chosen = trained()
    given = flags.given(dataclasses.fields(Config))
    # Published weights are in a folder in `data_dir` by default.
    settings = {
        name: given[name]
        for name in (*_PRETRAINED_SETTINGS, 'data_dir')
        if name in given
    }
    if chosen.run_dir:
        unexpected = [name for name in settings if name not in ('download', 'data_dir')]
        if unexpected or chosen.labels:
            raise ConfigError(
                f'Expected no --{unexpected[0] if unexpected else "labels"} with '
                '--run_dir, since a run records its network. Leave one of them out.'
            )
        return classifier.from_run(
            Path(chosen.run_dir),
            chosen.weights,
            chosen.precision,
            chosen.temperature,
        )
    if 'pretrained' not in settings or 'model' not in settings:
        raise ConfigError(
            'Expected --run_dir=FOLDER, the folder of a run, or --model=NAME with '
            '--pretrained=WEIGHTS.'
        )
    return classifier.from_pretrained(
        Config.from_dict(settings),
        chosen.labels,
        chosen.precision,
        chosen.temperature,
    )
