"""What came out of an evaluation, in a screen of a terminal."""

import math
import shlex
import textwrap
from pathlib import Path

from scripts.common.formatting import counted, percent, printable, short, table
from scripts.common.names import class_name
from scripts.evaluate.report import cautions, interval, percent2, worst
from scripts.evaluate.results import pairs
from trainers.evaluation.evaluation import TOP, Evaluation, HeadMetrics
from trainers.settings.config import Config

_WIDTH = 88
_SHOWN = 5
_BAD = 3


def report(evaluation: Evaluation, config: Config) -> str:
    """Lines of at most 88 columns."""
    sections = [_overview(evaluation, config), _classes(evaluation)]
    if evaluation.bad_files:
        sections.append(_bad(evaluation))
    return '\n\n'.join('\n'.join(lines) for lines in sections)


def titled(title: str, text: str) -> str:
    """'Model       text', continued below the text."""
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f'{title:<12}',
        subsequent_indent=' ' * 12,
        break_on_hyphens=False,
    )


def images(evaluation: Evaluation) -> str:
    """'shapes, test: 500 images, 10 classes'."""
    classes = counted(len(evaluation.source.classes), 'class', 'classes')
    views = evaluation.views_per_image
    more = f'; {views} views of each' if views > 1 else ''
    return (
        f'{printable(evaluation.source.name)}, {evaluation.split_name}: '
        f'{counted(len(evaluation), "image")}, {classes}{more}'
    )


def farewell(evaluation: Evaluation, folder: Path, stored: Path | None) -> str:
    """Where everything is, and what can be done next.

    Args:
        evaluation: what was reported on.
        folder: where to.
        stored: the file of the temperature, where it was stored.
    """
    run = evaluation.classifier.run
    lines = [
        '',
        titled(
            'Report',
            f'{printable(str(folder / "report.md"))}, with '
            'MODEL_CARD.md, every number and all predictions beside it',
        ),
    ]
    if stored is not None:
        lines.append(
            titled(
                'Temperature',
                f'in {printable(str(stored))}, for whoever '
                'uses these weights from now on',
            )
        )
    elif run is not None and evaluation.temperature.value == 1:
        lines.append(
            titled(
                'Next',
                'python -m scripts.evaluate --calibrate '
                f'--run_dir={printable(shlex.quote(str(run.directory.path)))}'
                ', for probabilities that can be taken by their word',
            )
        )
    return '\n'.join(lines)


def _overview(evaluation: Evaluation, config: Config) -> list[str]:
    main = evaluation.heads['main']
    lines = [
        titled('Model', printable(evaluation.classifier.origin)),
        titled('Images', images(evaluation)),
        titled('Accuracy', _accuracy(evaluation, main)),
        titled('Loss', f'{main.loss:.4f}'),
        titled('Calibration', _calibration(evaluation)),
    ]
    for name, figures in list(evaluation.heads.items())[1:]:
        lines.append(
            titled(name, f'{_accuracy(evaluation, figures)}; loss {figures.loss:.4f}')
        )
    lines += [titled('Mind', caution) for caution in cautions(evaluation, config)]
    return lines


def _accuracy(evaluation: Evaluation, figures: HeadMetrics) -> str:
    text = f'top-1 {percent2(figures.top1)} ({interval(figures.top1_interval)})'
    if len(evaluation.classes) > TOP:
        text += (
            f', top-{TOP} {percent2(figures.top5)} ({interval(figures.top5_interval)})'
        )
    return text


def _calibration(evaluation: Evaluation) -> str:
    """How far probabilities are off, with and without the temperature."""
    error, temperature = evaluation.reliability.error, evaluation.temperature
    if temperature.value == 1:
        return f'expected error {percent2(error)}'
    before = evaluation.uncalibrated_reliability.error
    return (
        f'expected error {percent2(error)} at temperature {temperature.value:.3f}, '
        f'{percent2(before)} without; loss {evaluation.calibrated_losses.mean():.4f}, '
        f'{evaluation.heads["main"].loss:.4f} without'
    )


def _classes(evaluation: Evaluation) -> list[str]:
    """The most confused pairs beside the classes of which least is found."""
    names = evaluation.classes
    confused = pairs(evaluation)[:_SHOWN]
    if not confused:
        return ['No mistakes.']
    left = [['Most confused', '']]
    left += [
        [f'{class_name(names[label])} → {class_name(names[predicted])}', f'{count:,}']
        for label, predicted, count in confused
    ]
    right = [['Worst classes', 'recall', 'precision', 'images']]
    figures = evaluation.by_class
    for label in worst(evaluation, _SHOWN):
        precision = figures.precision[label]
        right.append(
            [
                class_name(names[label]),
                percent(figures.recall[label]),
                '–' if math.isnan(precision) else percent(precision),
                f'{figures.support[label]:,}',
            ]
        )
    return [*table(left), '', *table(right)]


def _bad(evaluation: Evaluation) -> list[str]:
    bad = evaluation.bad_files
    lines = [
        f'{counted(len(bad), "image")} could not be decoded and '
        f'{"is" if len(bad) == 1 else "are"} in none of these figures:'
    ]
    for file in bad[:_BAD]:
        lines.append(f'  {short(file.name, 50)}: {printable(file.reason)[:60]}')
    if len(bad) > _BAD:
        lines.append(f'  and {len(bad) - _BAD:,} more; results.json lists them')
    return lines
