"""Every number of an evaluation, as results.json holds it."""

import math
from typing import Any

import numpy as np

from scripts.evaluate import content
from trainers.evaluation import metrics
from trainers.evaluation.calibration import Reliability
from trainers.evaluation.evaluation import TOP, Evaluation, HeadMetrics
from trainers.settings.config import Config


def results(
    evaluation: Evaluation, config: Config, environment: dict[str, Any]
) -> dict[str, Any]:
    """In JSON values; a quotient by 0 is None."""
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
        **_head(evaluation.heads['main']),
        'heads': {name: _head(head) for name, head in evaluation.heads.items()},
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
    hits = int(evaluation.confusion[label, label])
    return {
        'label': label,
        'id': evaluation.classifier.ids[label],
        'name': evaluation.classes[label],
        'precision': _number(by_class.precision[label]),
        'recall': _number(by_class.recall[label]),
        'recall_interval': (
            list(metrics.wilson_interval(hits, support)) if support else None
        ),
        'f1': _number(by_class.f1[label]),
        'average_precision': _number(evaluation.average_precisions[label]),
        'support': support,
    }


def _head(head: HeadMetrics) -> dict[str, Any]:
    return {
        'loss': head.loss,
        'top1': head.top1,
        'top1_interval': list(head.top1_interval),
        f'top{TOP}': head.top5,
        f'top{TOP}_interval': list(head.top5_interval),
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
