"""The flags that name a trained network, and the network that they name."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.common import flags
from trainers.settings.config import Config, ConfigError
from trainers.settings.fields import setting
from trainers.settings.prediction import TRAINED, LoadSettings

if TYPE_CHECKING:
    from trainers.inference.classifier import Classifier

_PRETRAINED = 'Weights that are not of a run'


@dataclasses.dataclass(frozen=True)
class Trained(LoadSettings):
    """The trained network that a command uses.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    run_dir: str = setting(
        '',
        TRAINED,
        'Folder of a run, or of one of its checkpoints.',
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
    """The flags that name a trained network, the folder of a run first."""
    config = {field.name: field for field in dataclasses.fields(Config)}
    return [
        *sorted(dataclasses.fields(Trained), key=lambda field: field.name != 'run_dir'),
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
