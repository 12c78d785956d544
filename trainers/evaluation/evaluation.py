"""Evaluation of a network on a split: logits of every image, and metrics of them."""

import dataclasses
import functools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainers.evaluation import calibration, metrics
from trainers.evaluation.calibration import Reliability
from trainers.evaluation.classes import match_classes
from trainers.evaluation.metrics import ClassMetrics, Interval
from trainers.inference import scoring
from trainers.inference.classifier import Classifier, Temperature, from_run, softmax
from trainers.run.source import load_source
from trainers.settings.config import CUSTOM, Config
from trainers.settings.prediction import EvaluationSettings
from trainers.settings.tables import VIEWS
from vision.data import BadFile, BadFiles, DatasetError, Source, Split
from vision.errors import UserError

TOP = 5


class HeadMetrics(NamedTuple):
    """Mean loss of a head in nats, and its accuracies with their 95 % intervals."""

    loss: float
    top1: float
    top1_interval: Interval
    top5: float
    top5_interval: Interval


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The N images of a split that could be decoded, and the logits of each.

    Metrics are computed when they are first read.

    Attributes:
        classifier: the network.
        source: the dataset.
        split_name: a key of its splits.
        views: a key of `VIEWS`.
        dataset_classes: int32 `[source classes]`, the label in the network of each
            class of the dataset.
        indices: int64 `[N]`, the positions of the images in the split.
        labels: int32 `[N]`, labels of the network.
        logits: float32 `[N, C]` of each head, 'main' first.
        temperature: of the softmax.
        bad_files: the images that could not be decoded.
    """

    classifier: Classifier
    source: Source
    split_name: str
    views: str
    dataset_classes: np.ndarray
    indices: np.ndarray
    labels: np.ndarray
    logits: dict[str, np.ndarray]
    temperature: Temperature
    bad_files: tuple[BadFile, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the network's classes."""
        return self.classifier.classes

    @property
    def split(self) -> Split:
        """All images of the split, bad ones included."""
        return self.source.splits[self.split_name]

    @property
    def main(self) -> np.ndarray:
        """Logits of the main head, float32 `[N, C]`."""
        return self.logits['main']

    @functools.cached_property
    def views_per_image(self) -> int:
        """Number of views of each image."""
        return len(VIEWS.load(self.views)(tf.zeros([1, 8, 8, 3], tf.uint8)))

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the N images."""
        return [self.split.names[i] for i in self.indices.tolist()]

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """Of the main head at the temperature, float32 `[N, C]`."""
        return self._softmax(self.temperature.value)

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """The predicted label of each image, int64 `[N]`."""
        return self.main.argmax(1)

    @functools.cached_property
    def correct(self) -> np.ndarray:
        """Whether the prediction is correct, bool `[N]`."""
        return self.predicted == self.labels

    @functools.cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the predicted class, float32 `[N]`."""
        return metrics.of_labels(self.probabilities, self.predicted)

    @functools.cached_property
    def ranks(self) -> np.ndarray:
        """The number of classes with a higher logit than the label, int64 `[N]`."""
        return metrics.ranks(self.main, self.labels)

    @functools.cached_property
    def losses(self) -> np.ndarray:
        """Cross-entropy of each image at temperature 1 in nats, float64 `[N]`."""
        return metrics.losses(self.main, self.labels)

    @functools.cached_property
    def calibrated_losses(self) -> np.ndarray:
        """Cross-entropy of each image at the temperature in nats, float64 `[N]`."""
        return metrics.losses(self.main, self.labels, self.temperature.value)

    @functools.cached_property
    def confusion(self) -> np.ndarray:
        """Counts of images by label and prediction, int64 `[C, C]`."""
        return metrics.confusion_matrix(self.labels, self.predicted, len(self.classes))

    @functools.cached_property
    def by_class(self) -> ClassMetrics:
        """Precision, recall, F1 and support of each class."""
        return metrics.class_metrics(self.confusion)

    @functools.cached_property
    def heads(self) -> dict[str, HeadMetrics]:
        """Metrics of each head."""
        others = {
            name: _head_metrics(
                metrics.ranks(logits, self.labels), metrics.losses(logits, self.labels)
            )
            for name, logits in self.logits.items()
            if name != 'main'
        }
        return {'main': _head_metrics(self.ranks, self.losses), **others}

    @functools.cached_property
    def reliability(self) -> Reliability:
        """At the temperature."""
        return calibration.reliability(self.confidence, self.correct)

    @functools.cached_property
    def uncalibrated_reliability(self) -> Reliability:
        """At temperature 1."""
        if self.temperature.value == 1:
            return self.reliability
        return calibration.reliability(self._softmax(1.0).max(1), self.correct)

    @functools.cached_property
    def average_precisions(self) -> np.ndarray:
        """Of each class against all others, float64 `[C]`; NaN without images."""
        return np.array(
            [
                metrics.class_curve(self.probabilities, self.labels, label).average
                for label in range(len(self.classes))
            ]
        )

    def _softmax(self, temperature: float) -> np.ndarray:
        probabilities = np.empty_like(self.main)
        for rows in metrics.blocks(len(self)):  # In float64 for the moment.
            probabilities[rows] = softmax(
                self.main[rows].astype(np.float64) / temperature
            )
        return probabilities


def _head_metrics(ranks: np.ndarray, losses: np.ndarray) -> HeadMetrics:
    count = len(ranks)
    first, five = int((ranks == 0).sum()), int((ranks < TOP).sum())
    return HeadMetrics(
        float(losses.mean()),
        first / count,
        metrics.wilson_interval(first, count),
        five / count,
        metrics.wilson_interval(five, count),
    )


def evaluate(
    classifier: Classifier | str | os.PathLike,
    split: str = 'test',
    *,
    source: Source | None = None,
    batch_size: int = 64,
    views: str = 'none',
    max_bad_fraction: float | None = None,
    progress: scoring.Progress | None = None,
) -> Evaluation:
    """Evaluates every image of a split once; `evaluate('runs/x').heads['main'].top1`.

    Args:
        classifier: the folder of a run, or a classifier.
        split: 'train', 'validation' or 'test'.
        source: the dataset, whose classes may be some of the network's; by default the
            one that the run was trained on.
        batch_size: images per batch.
        views: a key of `VIEWS`.
        max_bad_fraction: share of all images of the dataset that may be undecodable;
            by default as in the training of the run, or 0.01.
        progress: called after each batch.

    Raises:
        DatasetError: the network does not have a class of the dataset, or too many
            images cannot be decoded.
        UserError: there is no such run, an option is out of range, or logits are not
            finite.
    """
    EvaluationSettings(split, views, batch_size)
    if max_bad_fraction is not None:
        Config(max_bad_fraction=max_bad_fraction)
    if not isinstance(classifier, Classifier):
        classifier = from_run(Path(classifier))
    if source is None:
        source = _source_of_run(classifier)
    dataset_classes = match_classes(source, classifier)
    images, bad_files = source.splits[split], BadFiles()
    scores = scoring.score(
        classifier,
        images,
        batch_size=batch_size,
        views=views,
        bad_files=bad_files,
        progress=progress,
    )
    if max_bad_fraction is None:
        config = classifier.run.config if classifier.run else Config()
        max_bad_fraction = config.max_bad_fraction
    bad_files.check(sum(map(len, source.splits.values())), max_bad_fraction)
    if not scores.good.any():
        raise DatasetError(
            f'{source.name}: expected images in {split}, but none '
            f'of its {len(images):,} could be decoded.'
        )
    indices = np.flatnonzero(scores.good)
    logits = {
        head: metrics.keep_rows(rows, indices) for head, rows in scores.logits.items()
    }
    _check_finite(logits, images, indices)
    return Evaluation(
        classifier,
        source,
        split,
        views,
        dataset_classes,
        indices,
        dataset_classes[images.labels[indices]],
        logits,
        classifier.temperature,
        bad_files.items(),
    )


def _source_of_run(classifier: Classifier) -> Source:
    """All images that a run was trained on; nothing is downloaded."""
    if classifier.run is None or classifier.run.config.dataset == CUSTOM:
        raise UserError(
            f'Expected source=... with {classifier.origin}: its dataset is not '
            'recorded by a name.'
        )
    return load_source(
        dataclasses.replace(classifier.run.config, download=False, overfit_batches=0)
    )


def fit_temperature(evaluation: Evaluation) -> Temperature:
    """Fits the temperature of the smallest loss on the images of an evaluation.

    Raises:
        UserError: there is no such temperature.
    """
    return Temperature(
        calibration.fit_temperature(evaluation.main, evaluation.labels),
        evaluation.split_name,
        len(evaluation),
    )


def _check_finite(
    logits: dict[str, np.ndarray], split: Split, indices: np.ndarray
) -> None:
    for head, values in logits.items():
        bad = np.flatnonzero(~np.isfinite(values).all(1))
        if len(bad):
            raise UserError(
                f'Expected finite logits, but those of the {head} head are not for '
                f'{len(bad):,} of {len(values):,} images, such as '
                f'{split.names[indices[bad[0]]]}. Pass --precision=float32; if that '
                'does not help, the weights are damaged.'
            )
