"""The files that an evaluation writes into its folder."""

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from scripts.common.formatting import csv_text
from scripts.common.output_folder import replace
from scripts.evaluate import card, content, figures, report
from trainers.evaluation import metrics
from trainers.evaluation.calibration import Reliability
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
    numbers = results(evaluation, config, environment)
    perfect = evaluation.correct.all()
    files: dict[str, bytes | str | None] = {
        'results.json': as_json(numbers),
        'predictions.npz': _arrays(evaluation),
        'predictions.csv': _predictions(evaluation),
        'classes.csv': csv_text(
            _CLASS_COLUMNS,
            ([row[name] for name in _CLASS_COLUMNS] for row in numbers['classes']),
        ),
        'confusion.csv': _confusion(evaluation),
        'confusion.png': figures.confusion(*content.confusion(evaluation)),
        'reliability.png': figures.reliability(content.reliabilities(evaluation)),
        'precision_recall.png': figures.precision_recall(evaluation),
        'confused.png': None if perfect else figures.confused_pairs(evaluation),
        'errors.png': None if perfect else figures.confident_errors(evaluation),
        'MODEL_CARD.md': card.build(evaluation, config, environment),
        'report.md': report.build(evaluation, config, numbers),
    }
    return replace(folder, files, _NAMES)


def as_json(content: Any) -> str:
    """Values as the text of a JSON file."""
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + '\n'


def results(
    evaluation: Evaluation, config: Config, environment: dict[str, Any]
) -> dict[str, Any]:
    """Every number of an evaluation in JSON values; a quotient by 0 is None."""
    classifier, run = evaluation.classifier, evaluation.classifier.run
    names = evaluation.classes
    return {
        'model': {
            'name': classifier.specification.model,
            'origin': classifier.origin,
            'classes': len(names),
            'image_size': classifier.image_size,
            'run_dir': str(run.directory.path) if run else None,
            'step': run.step if run else None,
            'epoch': run.epoch if run else None,
        },
        'data': {
            'dataset': evaluation.source.name,
            'data_dir': config.data_dir or None,
            'split': evaluation.split_name,
            'images': len(evaluation.split),
            'evaluated': len(evaluation),
            'undecodable': len(evaluation.bad_files),
            'classes': len(evaluation.source.classes),
        },
        'views': evaluation.views,
        'precision': classifier.network.dtype.name,
        **evaluation.heads['main']._asdict(),
        'heads': {name: head._asdict() for name, head in evaluation.heads.items()},
        'macro': metrics.macro_average(evaluation.by_class),
        'mean_average_precision': float(np.nanmean(evaluation.average_precisions)),
        'calibration': _calibration(evaluation),
        'classes': [
            _of_class(evaluation, label)
            for label in sorted(evaluation.dataset_classes.tolist())
        ],
        'most_confused': [
            {'label': names[label], 'predicted': names[predicted], 'images': count}
            for label, predicted, count in content.most_confused(evaluation)
        ],
        'bad_files': [
            {
                'path': file.name,
                'class': evaluation.source.classes[file.label],
                'reason': file.reason,
            }
            for file in evaluation.bad_files
        ],
        'environment': environment,
    }


def _of_class(evaluation: Evaluation, label: int) -> dict[str, Any]:
    by_class = evaluation.by_class
    support = int(by_class.support[label])
    return {
        'label': label,
        'id': evaluation.classifier.ids[label],
        'name': evaluation.classes[label],
        'precision': _number(by_class.precision[label]),
        'recall': _number(by_class.recall[label]),
        'recall_interval': (
            metrics.wilson_interval(int(evaluation.confusion[label, label]), support)
            if support
            else None
        ),
        'f1': _number(by_class.f1[label]),
        'average_precision': _number(evaluation.average_precisions[label]),
        'support': support,
    }


def _calibration(evaluation: Evaluation) -> dict[str, Any]:
    temperature = evaluation.temperature
    return {
        'temperature': temperature.value,
        'fitted_on': temperature.split or None,
        'fitted_on_images': temperature.images or None,
        'before': {
            'loss': evaluation.heads['main'].loss,
            **_reliability(evaluation.uncalibrated_reliability),
        },
        'after': {
            'loss': float(evaluation.calibrated_losses.mean()),
            **_reliability(evaluation.reliability),
        },
    }


def _reliability(reliability: Reliability) -> dict[str, Any]:
    return {
        'expected_calibration_error': reliability.error,
        'images': reliability.counts.tolist(),
        'confidence': [_number(value) for value in reliability.confidence],
        'accuracy': [_number(value) for value in reliability.accuracy],
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


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
    of_labels = metrics.of_labels(evaluation.probabilities, evaluation.labels)
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
