"""The files that an evaluation leaves in its folder."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.common.csv_text import csv_text
from scripts.common.output_folder import replace
from scripts.evaluate import card, figures, grids, report
from scripts.evaluate.results import pairs, results
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
    'mistakes.png',
    'reliability.png',
    'precision_recall.png',
)


def write(
    evaluation: Evaluation, folder: Path, config: Config, environment: dict[str, Any]
) -> list[Path]:
    """Replaces our files in the folder and leaves all others; returns what is there.

    Args:
        evaluation: what came out.
        folder: where to.
        config: says which images they were.
        environment: what it ran on.

    Raises OutputError where a file cannot be written.
    """
    return replace(folder, dict(_contents(evaluation, config, environment)), _NAMES)


def as_json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'


def _contents(
    evaluation: Evaluation, config: Config, environment: dict[str, Any]
) -> Iterator[tuple[str, bytes | str]]:
    """The names of the files, and what belongs into them."""
    yield 'predictions.npz', _arrays(evaluation)
    yield 'predictions.csv', _predictions(evaluation)
    found = results(evaluation, config, environment)
    yield (
        'classes.csv',
        csv_text(
            [
                'label',
                'id',
                'name',
                'precision',
                'recall',
                'f1',
                'average_precision',
                'support',
            ],
            (
                [
                    row['label'],
                    row['id'],
                    row['name'],
                    row['precision'],
                    row['recall'],
                    row['f1'],
                    row['average_precision'],
                    row['support'],
                ]
                for row in found['classes']
            ),
        ),
    )
    labels = report.named(evaluation)
    names = [evaluation.classes[label] for label in labels]
    yield (
        'confusion.csv',
        csv_text(
            ['is', *names],
            (
                [name, *evaluation.confusion[label, labels].tolist()]
                for name, label in zip(names, labels)
            ),
        ),
    )
    yield 'confusion.png', figures.confusion(*report.confusion(evaluation))
    yield 'reliability.png', figures.reliability(report.reliabilities(evaluation))
    yield 'precision_recall.png', figures.precision_recall(evaluation)
    if not evaluation.correct.all():
        yield 'confused.png', grids.draw_pairs(evaluation, pairs(evaluation))
        yield (
            'mistakes.png',
            grids.draw_mistakes(evaluation, grids.mistakes(evaluation)),
        )
    yield 'results.json', as_json(found)
    yield 'MODEL_CARD.md', card.build(evaluation, config, environment)
    yield 'report.md', report.build(evaluation, config, found)


def _arrays(evaluation: Evaluation) -> bytes:
    """Everything that figures can be computed of, as an .npz without pickles."""
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
    best = metrics.top_classes(evaluation.main, count)
    probabilities = evaluation.probabilities
    own = probabilities[np.arange(len(evaluation)), evaluation.labels]
    columns = [
        evaluation.names,
        names[evaluation.labels],
        names[evaluation.predicted],
        map(repr, evaluation.confidence.tolist()),
        map(repr, own.tolist()),
        (1 + evaluation.ranks).tolist(),
        *names[best[:, 1:].T],
    ]
    return csv_text(
        [
            'path',
            'label',
            'predicted',
            'probability',
            'label_probability',
            'label_rank',
            *(f'top_{place}' for place in range(2, count + 1)),
        ],
        zip(*columns),
    )
