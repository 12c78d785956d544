"""Every number of an evaluation, as results.json has it."""

import math
from typing import Any

import numpy as np

from trainers.evaluation import metrics
from trainers.evaluation.calibration import Reliability
from trainers.evaluation.evaluation import TOP, Evaluation, HeadMetrics
from trainers.settings.config import Config

PAIRS = 12  # The most confused ones that are listed and shown.


def results(
    evaluation: Evaluation, config: Config, environment: dict[str, Any]
) -> dict[str, Any]:
    """In JSON values; what cannot be divided, such as 0 / 0, is None."""
    return {
        'model': _model(evaluation),
        'data': _data(evaluation, config),
        'views': evaluation.views,
        'precision': evaluation.classifier.network.dtype.name,
        **_head(evaluation.heads['main']),
        'heads': {name: _head(figures) for name, figures in evaluation.heads.items()},
        'macro': metrics.macro_average(evaluation.by_class),
        'mean_average_precision': float(np.nanmean(evaluation.average_precisions)),
        'calibration': _calibration(evaluation),
        'classes': by_class(evaluation),
        'most_confused': [
            {
                'class': evaluation.classes[label],
                'named': evaluation.classes[predicted],
                'images': count,
            }
            for label, predicted, count in pairs(evaluation)
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


def pairs(evaluation: Evaluation) -> list[tuple[int, int, int]]:
    """The most confused pairs, as (label, predicted, images)."""
    return metrics.most_confused(evaluation.confusion, PAIRS)


def by_class(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The figures of each class of the dataset, in label order."""
    figures = evaluation.by_class
    rows = []
    for label in sorted(evaluation.dataset_classes.tolist()):
        support = int(figures.support[label])
        interval = (
            list(
                metrics.wilson_interval(
                    int(evaluation.confusion[label, label]), support
                )
            )
            if support
            else None
        )
        rows.append(
            {
                'label': label,
                'id': evaluation.classifier.ids[label],
                'name': evaluation.classes[label],
                'precision': _number(figures.precision[label]),
                'recall': _number(figures.recall[label]),
                'recall_interval': interval,
                'f1': _number(figures.f1[label]),
                'average_precision': _number(evaluation.average_precisions[label]),
                'support': support,
            }
        )
    return rows


def _model(evaluation: Evaluation) -> dict[str, Any]:
    classifier = evaluation.classifier
    run = classifier.run
    return {
        'name': classifier.specification.model,
        'origin': classifier.origin,
        'classes': len(classifier.classes),
        'image_size': classifier.image_size,
        'run_dir': str(run.directory.path) if run else None,
        'step': run.step if run else None,
        'epoch': run.epoch if run else None,
    }


def _data(evaluation: Evaluation, config: Config) -> dict[str, Any]:
    return {
        'dataset': evaluation.source.name,
        'data_dir': config.data_dir or None,
        'split': evaluation.split_name,
        'images': len(evaluation.split),
        'evaluated': len(evaluation),
        'undecodable': len(evaluation.bad_files),
        'classes': len(evaluation.source.classes),
    }


def _head(figures: HeadMetrics) -> dict[str, Any]:
    return {
        'loss': figures.loss,
        'top1': figures.top1,
        'top1_interval': list(figures.top1_interval),
        f'top{TOP}': figures.top5,
        f'top{TOP}_interval': list(figures.top5_interval),
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


def _reliability(found: Reliability) -> dict[str, Any]:
    return {
        'expected_calibration_error': found.error,
        'images': found.counts.tolist(),
        'confidence': [_number(value) for value in found.confidence],
        'accuracy': [_number(value) for value in found.accuracy],
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
