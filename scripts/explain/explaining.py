"""Maps of images with their predictions, and a test of what the maps mean."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from scripts.explain.choosing import Chosen
from scripts.explain.settings import Settings
from trainers.inference.classifier import Classifier
from vision import data
from vision.data import BadFiles
from vision.explain import METHODS
from vision.explain.occlusion import highlighted, occlusion_check

_BATCH_SIZE = 8


class Evidence(NamedTuple):
    """What a method says.

    Attributes:
        endpoint: the stage that it looked at; '' for the image itself.
        map: float32 `[h, w]`.
        highlighted: the probability of the class without what the map highlights; NaN
            where that is nothing.
        random: the mean of those without as much at random places; NaN likewise.
    """

    endpoint: str
    map: np.ndarray
    highlighted: float
    random: float


class Explanation(NamedTuple):
    """Why an image is taken for a class.

    Attributes:
        place: of the image among those chosen.
        name: its path.
        label: what it is, where that is known.
        prediction: what it is taken for.
        certainty: the probability of that.
        target: the class that is explained.
        probability: the probability of that one.
        evidence: of each method.
    """

    place: int
    name: str
    label: int | None
    prediction: int
    certainty: float
    target: int
    probability: float
    evidence: dict[str, Evidence]


def explain(
    classifier: Classifier,
    chosen: Chosen,
    settings: Settings,
    endpoint: str,
    target: int | None,
) -> Iterator[list[Explanation]]:
    """Yields explanations in the order of the images, some at a time.

    Images that cannot be decoded are left out and added to `chosen.errors`.

    Args:
        classifier: what is explained.
        chosen: the images.
        settings: the methods and their options.
        endpoint: the stage that is looked at unless the settings name one.
        target: the class to explain; None: the predicted one, and that of the label.
    """
    split, bad_files = chosen.split, BadFiles()
    if split is None:
        return
    batches = data.eval_batches(
        split,
        batch_size=min(_BATCH_SIZE, len(split)),
        image_size=classifier.image_size,
        bad_files=bad_files,
    )
    for start, batch in zip(range(0, len(split), _BATCH_SIZE), batches):
        logits = classifier.logits(batch.images).main.numpy()
        questions = []
        for row in np.flatnonzero(batch.sample_weights.numpy() > 0).tolist():
            if np.isfinite(logits[row]).all():
                label = int(split.labels[start + row]) if chosen.labelled else None
                questions += _questions(row, label, int(logits[row].argmax()), target)
            else:
                chosen.errors[split.names[start + row]] = (
                    'The network answers with numbers that are not finite'
                )
        if questions:
            images = tf.gather(batch.images, [each.row for each in questions])
            targets = np.array([each.target for each in questions])
            evidence = _evidence(classifier, images, targets, settings, endpoint)
            probabilities = classifier.probabilities(logits)
            yield [
                Explanation(
                    start + row,
                    split.names[start + row],
                    label,
                    prediction,
                    float(probabilities[row, prediction]),
                    asked,
                    float(probabilities[row, asked]),
                    found,
                )
                for (row, label, prediction, asked), found in zip(questions, evidence)
            ]
        chosen.errors.update({file.name: file.reason for file in bad_files.items()})


class _Question(NamedTuple):
    """What is asked of a row of a batch; as in `Explanation`."""

    row: int
    label: int | None
    prediction: int
    target: int


def _questions(
    row: int, label: int | None, prediction: int, target: int | None
) -> list[_Question]:
    """One for the class to explain, or for what was predicted and what is right."""
    targets = [prediction, label] if target is None else [target]
    return [
        _Question(row, label, prediction, each)
        for each in dict.fromkeys(targets)
        if each is not None
    ]


def _evidence(
    classifier: Classifier,
    images: tf.Tensor,
    targets: np.ndarray,
    settings: Settings,
    endpoint: str,
) -> list[dict[str, Evidence]]:
    """What each method says of each image."""
    found: list[dict[str, Evidence]] = [{} for _ in targets]

    def score(images: tf.Tensor) -> np.ndarray:
        logits = classifier.logits(images).main.numpy()
        return classifier.probabilities(logits)[np.arange(len(targets)), targets]

    for name in settings.methods:
        looked_at, options = endpoint, {}
        if name == 'integrated_gradients':
            looked_at = settings.endpoint
            options = {'baseline': settings.baseline, 'steps': settings.steps}
        maps = METHODS.load(name)(
            classifier.network, images, targets, looked_at or None, **options
        )
        maps = tf.where(tf.math.is_finite(maps), maps, 0)  # of float16, overflown
        check = occlusion_check(score, images, maps, seed=settings.seed)
        # Single pixels can be positive where no region is.
        empty = np.logical_not(highlighted(maps, images.shape[1:3]).any((1, 2)))
        for place, each in enumerate(maps.numpy()):
            rest = (
                [np.nan, np.nan]
                if empty[place]
                else [float(check.highlighted[place]), float(check.random[place])]
            )
            found[place][name] = Evidence(looked_at, each, *rest)
    return found
