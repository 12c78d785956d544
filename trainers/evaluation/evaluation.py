"""What a network says of every image of a split, and what follows from it."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from trainers.evaluation import calibration, metrics
from trainers.evaluation.calibration import Reliability
from trainers.evaluation.classes import match_classes
from trainers.evaluation.metrics import ClassMetrics, Interval
from trainers.inference import scoring
from trainers.inference.classifier import Classifier, Temperature, softmax
from vision.data import BadFile, BadFiles, DatasetError, Source, Split
from vision.errors import UserError

TOP = 5


@dataclasses.dataclass(frozen=True)
class HeadMetrics:
    """How good a head is: its shares with their 95 % intervals, its loss in nats."""

    top1: float
    top1_interval: Interval
    top5: float
    top5_interval: Interval
    loss: float


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """The N images of a split that could be decoded, and the logits of each.

    What follows is computed when it is first asked for.

    Attributes:
        classifier: what looked.
        source: the dataset.
        split_name: a key of its splits.
        views: the key of `scoring.VIEWS` that it was looked at by.
        dataset_classes: int32 `[source classes]`, the label in the network of each
            class of the dataset.
        indices: int64 `[N]`, the places of the images in their split.
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
        """How many views of each image were looked at."""
        image = tf.zeros([1, 8, 8, 3], tf.uint8)
        return len(scoring.VIEWS[self.views](image))

    @functools.cached_property
    def names(self) -> list[str]:
        """The N images' names."""
        return [self.split.names[i] for i in self.indices.tolist()]

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """Of the main head, by the temperature; float32 `[N, C]`."""
        return self._softmax(self.temperature.value)

    @functools.cached_property
    def predicted(self) -> np.ndarray:
        """The class that each image is named, int64 `[N]`."""
        return self.main.argmax(1)

    @functools.cached_property
    def correct(self) -> np.ndarray:
        """Whether that is right, bool `[N]`."""
        return self.predicted == self.labels

    @functools.cached_property
    def confidence(self) -> np.ndarray:
        """The probability of the class that is named, float32 `[N]`."""
        return self.probabilities[np.arange(len(self)), self.predicted]

    @functools.cached_property
    def ranks(self) -> np.ndarray:
        """How many classes are ahead of the right one, int64 `[N]`."""
        return metrics.ranks(self.main, self.labels)

    @functools.cached_property
    def losses(self) -> np.ndarray:
        """Cross-entropy of each image as the network was trained for, `[N]`."""
        return metrics.losses(self.main, self.labels)

    @functools.cached_property
    def calibrated_losses(self) -> np.ndarray:
        """The same of the probabilities by the temperature, `[N]`."""
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
        """Figures of each head."""
        return {name: self._figures(name) for name in self.logits}

    @functools.cached_property
    def reliability(self) -> Reliability:
        """By the temperature."""
        return calibration.reliability(self.confidence, self.correct)

    @functools.cached_property
    def uncalibrated_reliability(self) -> Reliability:
        """As the network was trained."""
        if self.temperature.value == 1:
            return self.reliability
        confidence = self._softmax(1.0).max(1)
        return calibration.reliability(confidence, self.correct)

    @functools.cached_property
    def average_precisions(self) -> np.ndarray:
        """Of each class against all others, float64 `[C]`; NaN without images."""
        found = np.full(len(self.classes), np.nan)
        for label in np.unique(self.labels):
            found[label] = metrics.class_curve(
                self.probabilities, self.labels, label
            ).average
        return found

    def _softmax(self, temperature: float) -> np.ndarray:
        found = np.empty_like(self.main)
        for rows in metrics.blocks(len(self)):  # in float64 meanwhile
            found[rows] = softmax(self.main[rows].astype(np.float64) / temperature)
        return found

    def _figures(self, head: str) -> HeadMetrics:
        main, count = head == 'main', len(self)
        logits = self.logits[head]
        ranks = self.ranks if main else metrics.ranks(logits, self.labels)
        losses = self.losses if main else metrics.losses(logits, self.labels)
        first, five = int((ranks == 0).sum()), int((ranks < TOP).sum())
        return HeadMetrics(
            first / count,
            metrics.wilson_interval(first, count),
            five / count,
            metrics.wilson_interval(five, count),
            float(losses.mean()),
        )


def evaluate(
    classifier: Classifier,
    source: Source,
    split_name: str,
    *,
    batch_size: int = 64,
    views: str = 'none',
    max_bad_fraction: float = 0.01,
    progress: scoring.Progress | None = None,
) -> Evaluation:
    """Looks at every image of a split once.

    Args:
        classifier: what looks.
        source: the dataset; its classes may be some of the network's.
        split_name: a key of its splits.
        batch_size: images at a time.
        views: a key of `scoring.VIEWS`.
        max_bad_fraction: share of all images of the dataset that may be undecodable.
        progress: told after each batch.

    Raises:
        DatasetError: the network does not know a class, or too many images cannot be
            decoded.
        UserError: an answer of the network is not finite.
    """
    known = match_classes(source, classifier)
    split, bad_files = source.splits[split_name], BadFiles()
    scores = scoring.score(
        classifier,
        split,
        batch_size=batch_size,
        views=views,
        bad_files=bad_files,
        progress=progress,
    )
    bad_files.check(sum(map(len, source.splits.values())), max_bad_fraction)
    if not scores.good.any():
        raise DatasetError(
            f'{source.name}: expected images in {split_name}, but none '
            f'of its {len(split):,} could be decoded.'
        )
    indices = np.flatnonzero(scores.good)
    logits = {head: _moved_up(rows, indices) for head, rows in scores.logits.items()}
    _check_finite(logits, split, indices)
    return Evaluation(
        classifier,
        source,
        split_name,
        views,
        known,
        indices,
        known[split.labels[indices]],
        logits,
        classifier.temperature,
        bad_files.items(),
    )


def _moved_up(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The rows at those rising places, in the memory of the array and over its own."""
    if len(places) < len(values):
        for rows in metrics.blocks(len(places)):
            values[rows] = values[places[rows]]
    return values[: len(places)]


def fit_temperature(evaluation: Evaluation) -> Temperature:
    """The temperature of the smallest loss on those images.

    Raises:
        CalibrationError: there is none.
    """
    value = calibration.fit_temperature(evaluation.main, evaluation.labels)
    return Temperature(value, evaluation.split_name, len(evaluation))


def _check_finite(
    logits: dict[str, np.ndarray], split: Split, indices: np.ndarray
) -> None:
    for head, values in logits.items():
        lost = np.flatnonzero(~np.isfinite(values).all(1))
        if len(lost):
            raise UserError(
                f'Expected finite answers, but those of the {head} head are not for '
                f'{len(lost):,} of {len(values):,} images, such as '
                f'{split.names[indices[lost[0]]]}. Pass --precision=float32; if that '
                'does not help, the weights are broken.'
            )
