"""The files that an evaluation writes into its folder."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.common.csv_text import csv_text
from scripts.common.output_folder import replace
from scripts.evaluate import card, content, figures, grids, report
from scripts.evaluate.results import results
from trainers.evaluation import metrics
from trainers.evaluation.evaluation import TOP, Evaluation
from trainers.settings.config import Config

_NAMES = (
    'report.md',
    'MODEL_CARD.md',
    'results.json',
    'predictions.csv',
    'predictions.npz',
    'classes.csv',
    'confusion.csv',
    'confusion.png',
    'confused.png',
    'errors.png',
    'reliability.png',
    'precision_recall.png',
)
_CLASS_COLUMNS = (
    'label',
    'id',
    'name',
    'precision',
    'recall',
    'f1',
    'average_precision',
    'support',
)


def write(
    evaluation: Evaluation, folder: Path, config: Config, environment: dict[str, Any]
) -> list[Path]:
    """Replaces the files of an evaluation in the folder, and leaves all others.

    Args:
        evaluation: what is written.
        folder: an existing folder.
        config: the settings that name its images.
        environment: the machine and versions that it ran on.

    Returns:
        The files that were written.

    Raises:
        OutputError: a file cannot be written.
    """
    return replace(folder, dict(_contents(evaluation, config, environment)), _NAMES)


def as_json(content: Any) -> str:
    """Values as the text of a JSON file."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'


def _contents(
    evaluation: Evaluation, config: Config, environment: dict[str, Any]
) -> Iterator[tuple[str, bytes | str]]:
    """The names of the files with their contents."""
    numbers = results(evaluation, config, environment)
    yield 'results.json', as_json(numbers)
    yield 'predictions.npz', _arrays(evaluation)
    yield 'predictions.csv', _predictions(evaluation)
    rows = ([row[name] for name in _CLASS_COLUMNS] for row in numbers['classes'])
    yield 'classes.csv', csv_text(_CLASS_COLUMNS, rows)
    yield 'confusion.csv', _confusion(evaluation)
    yield 'confusion.png', figures.confusion(*content.confusion(evaluation))
    yield 'reliability.png', figures.reliability(content.reliabilities(evaluation))
    yield 'precision_recall.png', figures.precision_recall(evaluation)
    if not evaluation.correct.all():
        pairs, errors = (
            content.most_confused(evaluation),
            grids.most_confident_errors(evaluation),
        )
        yield 'confused.png', grids.draw_pairs(evaluation, pairs)
        yield 'errors.png', grids.draw_errors(evaluation, errors)
    yield 'MODEL_CARD.md', card.build(evaluation, config, environment)
    yield 'report.md', report.build(evaluation, config, numbers)


def _arrays(evaluation: Evaluation) -> bytes:
    """All that metrics can be computed from, as an .npz without pickles."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        names=np.array(evaluation.names),
        labels=evaluation.labels,
        logits=evaluation.main,
        classes=np.array(evaluation.classes),
        indices=evaluation.indices,
        temperature=np.float64(evaluation.temperature.value),
    )
    return buffer.getvalue()


def _predictions(evaluation: Evaluation) -> str:
    """A row for each image that could be decoded, in the order of the split."""
    names = np.array(evaluation.classes, object)
    count = min(TOP, len(names))
    top = metrics.top_classes(evaluation.main, count)
    of_labels = evaluation.probabilities[np.arange(len(evaluation)), evaluation.labels]
    columns = {
        'path': evaluation.names,
        'label': names[evaluation.labels],
        'predicted': names[evaluation.predicted],
        'probability': map(repr, evaluation.confidence.tolist()),
        'label_probability': map(repr, of_labels.tolist()),
        'label_rank': (1 + evaluation.ranks).tolist(),
        **{f'top_{place + 1}': names[top[:, place]] for place in range(1, count)},
    }
    return csv_text(columns, zip(*columns.values()))


def _confusion(evaluation: Evaluation) -> str:
    """Counts by label and prediction, of all classes that are one or the other."""
    labels = np.union1d(evaluation.dataset_classes, evaluation.predicted).tolist()
    names = [evaluation.classes[label] for label in labels]
    rows = evaluation.confusion[np.ix_(labels, labels)].tolist()
    return csv_text(['label', *names], ([name, *row] for name, row in zip(names, rows)))
