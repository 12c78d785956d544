"""Evaluates a trained network: `python -m scripts.evaluate --run_dir=runs/x`.

Writes into its folder, with report.md, MODEL_CARD.md and their figures:

    results.json       every number of the report
    predictions.csv    for each image its class, the predicted class, the probabilities
                       of both, the rank of its class, and the next predictions
    predictions.npz    names, labels and float32 logits of the images, the classes,
                       and the temperature that the logits are divided by
    classes.csv        precision, recall, F1, average precision and support
    confusion.csv      counts by label (row) and prediction (column)
"""

import dataclasses
import os
from typing import Any

from scripts.common import command, flags, model_settings
from scripts.common.dataset_settings import image_fields
from scripts.common.formatting import counted
from scripts.evaluate.settings import Settings
from trainers.settings.config import ConfigError

DESCRIPTION = """
Evaluates a trained network: accuracy with its 95 % interval, metrics of each class,
confusion, the most confident errors, and how well probabilities are calibrated.

  python -m scripts.evaluate --run_dir=runs/x
      The best weights on the test split. Writes runs/x/evaluation/test/report.md and a
      model card in the same folder.
  python -m scripts.evaluate --run_dir=runs/x --calibrate
      The same, with the temperature that fits the validation split best. It is stored
      with the run.
  python -m scripts.evaluate --compare runs/a runs/b
      Whether one run is better than the other on the same images, beyond chance.
  python -m scripts.evaluate --model=googlenet --pretrained=googlenet_bvlc.npz \\
      --dataset=image_folder --data_dir=images
      Weights that are not of a run, on images in one folder for each class.
"""

MODEL = model_settings.model_fields()
# The settings that people change first stand first.
SETTINGS = sorted(
    dataclasses.fields(Settings),
    key=lambda field: field.name in ('batch_size', 'output'),
)
FIELDS = [*SETTINGS, *MODEL, *image_fields()]


def check(arguments: list[str]) -> tuple[list[str], Settings]:
    """Reads the flags.

    Returns:
        The folders of runs to compare, and the settings.

    Raises:
        ConfigError: a value is not allowed, or flags contradict each other.
    """
    settings = Settings(**flags.given(SETTINGS))
    model = flags.given(MODEL)
    if settings.compare:
        _check_comparison(arguments, model)
    elif arguments:
        raise ConfigError(
            f'Did not expect {arguments[0]!r}: give the folder of a run as '
            f'--run_dir={arguments[0]}, or several after --compare.'
        )
    if settings.calibrate and not model.get('run_dir'):
        raise ConfigError(
            'Expected --run_dir with --calibrate, since the temperature is stored with '
            'the run. For other weights, pass a --temperature.'
        )
    if settings.calibrate and model.get('temperature'):
        raise ConfigError(
            'Expected either --temperature or --calibrate, which fits one, not both.'
        )
    return arguments, settings


def _check_comparison(folders: list[str], model: dict[str, Any]) -> None:
    other = [
        name
        for name in model
        if name not in ('weights', 'temperature', 'precision', 'download')
    ]
    if other or len(folders) < 2:
        received = f'--{other[0]}' if other else counted(len(folders), 'folder')
        raise ConfigError(
            'Expected nothing but the folders of two or more runs with --compare, as '
            f'in --compare runs/a runs/b, received {received}.'
        )
    places = [os.path.realpath(folder) for folder in folders]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise ConfigError(
                'Expected different runs with --compare, received '
                f'{folders[index]} twice.'
            )


def work(request: tuple[list[str], Settings]) -> None:
    """Evaluates one network, or compares several."""
    from scripts.evaluate import evaluate

    folders, settings = request
    if settings.compare:
        evaluate.compare_runs(folders, settings)
    else:
        evaluate.evaluate_network(settings)


if __name__ == '__main__':
    command.start(DESCRIPTION, FIELDS, check, work, arguments=True)
