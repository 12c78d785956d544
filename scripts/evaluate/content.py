"""What the terminal, the report and the model card of an evaluation share."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from scripts.common.formatting import counted, percent, printable
from scripts.evaluate.settings import same_data
from trainers.evaluation import metrics
from trainers.evaluation.calibration import Reliability
from trainers.evaluation.evaluation import TOP, Evaluation, HeadMetrics
from trainers.evaluation.metrics import Interval
from trainers.settings import parsing
from trainers.settings.config import Config

PAIRS = 12  # The most confused ones, listed and shown.


def images(evaluation: Evaluation) -> str:
    """'shapes, test: 500 images, 10 classes'."""
    views = evaluation.views_per_image
    return (
        f'{printable(evaluation.source.name)}, {evaluation.split_name}: '
        f'{counted(len(evaluation), "image")}, '
        f'{counted(len(evaluation.source.classes), "class", "classes")}'
        + (f'; {views} views of each' if views > 1 else '')
    )


def interval(bounds: Sequence[float] | None) -> str:
    """'94.0–98.1 %'; '–' where there is none."""
    return '–' if bounds is None else f'{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f} %'


def accuracies(
    evaluation: Evaluation, head: HeadMetrics
) -> list[tuple[str, float, Interval]]:
    """Name, value and 95 % interval of top-1 and, of enough classes, top-5."""
    top5 = (f'top-{TOP}', head.top5, head.top5_interval)
    return [
        ('top-1', head.top1, head.top1_interval),
        *([top5] if len(evaluation.classes) > TOP else []),
    ]


def calibration(evaluation: Evaluation) -> list[list[str]]:
    """Calibration error and loss as trained and, if not 1, with the temperature."""
    temperature = evaluation.temperature
    calibrated = [
        f'fitted to {counted(temperature.images, "image")} of {temperature.split}'
        if temperature.split
        else 'given',
        f'{temperature.value:.4f}',
        percent(evaluation.reliability.error, 2),
        f'{evaluation.calibrated_losses.mean():.4f}',
    ]
    return [
        ['', 'temperature', 'expected calibration error', 'loss'],
        [
            'as trained',
            '1',
            percent(evaluation.uncalibrated_reliability.error, 2),
            f'{evaluation.heads["main"].loss:.4f}',
        ],
        *([calibrated] if temperature.value != 1 else []),
    ]


def reliabilities(evaluation: Evaluation) -> dict[str, Reliability]:
    """By title: as trained and, if it is not 1, with the temperature."""
    if evaluation.temperature.value == 1:
        return {'Calibration': evaluation.reliability}
    return {
        'As trained': evaluation.uncalibrated_reliability,
        f'Temperature {evaluation.temperature.value:.3f}': evaluation.reliability,
    }


def confusion(evaluation: Evaluation) -> tuple[np.ndarray, list[str], list[str]]:
    """Counts by label (row) and prediction (column), and the names of both.

    Predictions of classes that the dataset does not have are in a last column.
    """
    labels = np.sort(evaluation.dataset_classes)
    names = [evaluation.classes[label] for label in labels]
    rows = evaluation.confusion[labels]
    others = rows.sum(1, keepdims=True) - rows[:, labels].sum(1, keepdims=True)
    if not others.any():
        return rows[:, labels], names, names
    return np.concatenate([rows[:, labels], others], 1), names, [*names, 'any other']


def most_confused(evaluation: Evaluation) -> list[tuple[int, int, int]]:
    """The most confused pairs of classes: (label, predicted, images)."""
    return metrics.most_confused(evaluation.confusion, PAIRS)


def worst_classes(evaluation: Evaluation, count: int) -> list[int]:
    """Labels of the classes with images of the lowest recall, the lowest first."""
    order = np.argsort(evaluation.by_class.recall, kind='stable')
    return order[evaluation.by_class.support[order] > 0][:count].tolist()


def warnings(evaluation: Evaluation, config: Config) -> Iterator[str]:
    """Why metrics may be better than on new images, or not as good as possible."""
    run, temperature = evaluation.classifier.run, evaluation.temperature
    split = evaluation.split_name
    of_run = run is not None and same_data(config, run.config)
    best = run and run.directory.checkpoints_best / f'step-{run.step:09d}'
    if split == 'train':
        yield (
            'These images are from the train split, which the network was trained on. '
            'Metrics on new images are likely to be worse.'
        )
    # Its weights were chosen by validation, and are not those of the end.
    if split == 'validation' and of_run and best and best.is_dir():
        yield (
            'These images are from the validation split, by which the best weights '
            'were chosen. Metrics on new images may be slightly worse.'
        )
    if of_run and temperature.split == split:
        yield (
            f'The temperature was fitted to this same split, {split}. Calibration on '
            'new images may be slightly worse.'
        )
    if temperature.split and evaluation.views != 'none':
        yield (
            'The temperature was fitted without test-time augmentation and may not be '
            'the best one with it.'
        )


def written(value: Any) -> str:
    """The value of a setting as it is given on the command line."""
    if isinstance(value, (tuple, list)):
        return ','.join(map(str, value)) or 'none'
    return parsing.written(value) if isinstance(value, float) else str(value)


def command_line(environment: dict[str, Any]) -> str:
    """The command line that an environment records, as it is typed."""
    script, *arguments = environment['command']
    _, separator, module = f'/{script}'.rpartition('/scripts/')
    if separator and module.endswith('.py'):
        module = module.removesuffix('.py').removesuffix('/__main__')
        script = f'python -m scripts.{module.replace("/", ".")}'
    return ' '.join([script, *map(shlex.quote, arguments)])
