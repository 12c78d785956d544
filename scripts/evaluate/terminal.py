"""The result of an evaluation on one screen of a terminal."""

import shlex
from pathlib import Path

from scripts.common.formatting import (
    class_name,
    counted,
    percent,
    printable,
    short,
    table,
    titled,
)
from scripts.evaluate import content
from trainers.evaluation.evaluation import Evaluation, HeadMetrics
from trainers.settings.config import Config

_SHOWN = 5
_BAD = 3


def report(evaluation: Evaluation, config: Config) -> str:
    """Lines of at most 88 columns."""
    sections = [_overview(evaluation, config), _classes(evaluation)]
    bad = evaluation.bad_files
    if bad:
        more = len(bad) - _BAD
        sections.append(
            [
                f'{counted(len(bad), "image")} could not be decoded and not evaluated:',
                *(
                    f'  {short(file.name, 50)}: {printable(file.reason)[:60]}'
                    for file in bad[:_BAD]
                ),
                *([f'  and {more:,} more, listed in results.json'] if more > 0 else []),
            ]
        )
    return '\n\n'.join('\n'.join(lines) for lines in sections)


def farewell(evaluation: Evaluation, folder: Path, stored: Path | None) -> str:
    """Where the files are, and what can be done next.

    Args:
        evaluation: what was reported on.
        folder: of the report.
        stored: the file of the temperature, where it was stored.
    """
    run = evaluation.classifier.run
    lines = {
        'Report': f'{printable(str(folder / "report.md"))}, with MODEL_CARD.md, all '
        'metrics and all predictions in the same folder'
    }
    if stored is not None:
        lines['Temperature'] = (
            f'stored in {printable(str(stored))}, used with these weights from now on'
        )
    elif run is not None and evaluation.temperature.value == 1:
        lines['Next'] = (
            'python -m scripts.evaluate --calibrate --run_dir='
            f'{printable(shlex.quote(str(run.directory.path)))}, '
            'for calibrated probabilities'
        )
    return '\n'.join(['', *(titled(*line) for line in lines.items())])


def _overview(evaluation: Evaluation, config: Config) -> list[str]:
    (_, main), *others = evaluation.heads.items()
    return [
        titled('Model', printable(evaluation.classifier.origin)),
        titled('Images', content.images(evaluation)),
        titled('Accuracy', _accuracy(evaluation, main)),
        titled('Loss', f'{main.loss:.4f}'),
        titled('Calibration', _calibration(evaluation)),
        *(
            titled(name, f'{_accuracy(evaluation, head)}; loss {head.loss:.4f}')
            for name, head in others
        ),
        *(titled('Warning', text) for text in content.warnings(evaluation, config)),
    ]


def _accuracy(evaluation: Evaluation, head: HeadMetrics) -> str:
    return ', '.join(
        f'{name} {percent(value, 2)} ({content.interval(bounds)})'
        for name, value, bounds in content.accuracies(evaluation, head)
    )


def _calibration(evaluation: Evaluation) -> str:
    _, as_trained, *fitted = content.calibration(evaluation)
    if not fitted:
        return f'expected error {as_trained[2]}'
    _, temperature, error, loss = fitted[0]
    return (
        f'expected error {error}, loss {loss} at temperature {temperature}; '
        f'expected error {as_trained[2]}, loss {as_trained[3]} as trained'
    )


def _classes(evaluation: Evaluation) -> list[str]:
    """The most confused pairs, then the classes of the lowest recall."""
    names = [class_name(name) for name in evaluation.classes]
    confused = content.most_confused(evaluation)[:_SHOWN]
    if not confused:
        return ['No errors.']
    pairs = [
        [f'{names[label]} → {names[predicted]}', f'{count:,}']
        for label, predicted, count in confused
    ]
    by_class = evaluation.by_class
    worst = [
        [
            names[label],
            percent(by_class.recall[label]),
            percent(by_class.precision[label]),
            f'{by_class.support[label]:,}',
        ]
        for label in content.worst_classes(evaluation, _SHOWN)
    ]
    return [
        *table([['Most confused', ''], *pairs]),
        '',
        *table([['Lowest recall', 'recall', 'precision', 'images'], *worst]),
    ]
