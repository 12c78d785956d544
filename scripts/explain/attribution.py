"""Attribution maps of images, with the deletion test of each map."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from scripts.explain.images import Images
from scripts.explain.settings import Settings
from trainers.inference.classifier import Classifier
from vision import data
from vision.data import BadFiles
from vision.explain import METHODS
from vision.explain.occlusion import highlighted, occlusion_check

_BATCH_SIZE = 8


class Attribution(NamedTuple):
    """The map of one method and its deletion test.

    Attributes:
        endpoint: the stage that the map is computed from; '' for the image itself.
        map: float32 [h, w]; positive values are evidence for the class.
        highlighted: the probability of the class after the highlighted region is
            deleted; NaN where the map highlights nothing.
        random: the mean probability after a region of the same size is deleted at
            random places; NaN where the map highlights nothing.
    """

    endpoint: str
    map: np.ndarray
    highlighted: float
    random: float


class Explanation(NamedTuple):
    """The attributions of one class in one image.

    Attributes:
        position: of the image among the images to explain.
        name: the path of the image.
        label: the label of the image, None where it is unknown.
        prediction: the predicted class.
        confidence: the probability of the predicted class.
        target: the class that is explained.
        probability: the probability of the class that is explained.
        attributions: by method.
    """

    position: int
    name: str
    label: int | None
    prediction: int
    confidence: float
    target: int
    probability: float
    attributions: dict[str, Attribution]


def explain(
    classifier: Classifier,
    images: Images,
    settings: Settings,
    endpoint: str,
    target: int | None,
) -> Iterator[list[Explanation]]:
    """Explains images in their order.

    Args:
        classifier: the network.
        images: what is explained; images that cannot be decoded are added to their
            errors.
        settings: the methods and their options.
        endpoint: the stage whose map is explained.
        target: the class to explain; None for the prediction and the label.

    Yields:
        The explanations of a batch.
    """
    split, bad_files = images.split, BadFiles()
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
        finite = np.isfinite(logits).all(1)
        probabilities = classifier.probabilities(np.where(finite[:, None], logits, 0))
        explanations = []
        for row in np.flatnonzero(batch.sample_weights.numpy() > 0).tolist():
            name = split.names[start + row]
            if not finite[row]:
                images.errors[name] = 'The logits of the network are not finite'
                continue
            label = int(split.labels[start + row]) if images.labelled else None
            prediction = int(logits[row].argmax())
            explained = [prediction, label] if target is None else [target]
            explanations += [
                Explanation(
                    start + row,
                    name,
                    label,
                    prediction,
                    float(probabilities[row, prediction]),
                    class_,
                    float(probabilities[row, class_]),
                    {},
                )
                for class_ in dict.fromkeys(explained)
                if class_ is not None
            ]
        if explanations:
            pixels = tf.gather(
                batch.images,
                [explanation.position - start for explanation in explanations],
            )
            _attribute(classifier, pixels, explanations, settings, endpoint)
            yield explanations
        images.errors.update({file.name: file.reason for file in bad_files.items()})


def _attribute(
    classifier: Classifier,
    images: tf.Tensor,
    explanations: list[Explanation],
    settings: Settings,
    endpoint: str,
) -> None:
    """Adds the attributions of every method to the explanations."""
    targets = np.array([explanation.target for explanation in explanations])

    def score(images: tf.Tensor) -> np.ndarray:
        logits = classifier.logits(images).main.numpy()
        return classifier.probabilities(logits)[np.arange(len(targets)), targets]

    for method in settings.methods:
        stage, options = endpoint, {}
        if method == 'integrated_gradients':
            stage = settings.endpoint
            options = {'baseline': settings.baseline, 'steps': settings.steps}
        maps = METHODS.load(method)(
            classifier.network, images, targets, stage or None, **options
        )
        maps = tf.where(tf.math.is_finite(maps), maps, 0)  # float16 overflows
        check = occlusion_check(score, images, maps, seed=settings.seed)
        # Single pixels can be positive where no region is.
        some = highlighted(maps, images.shape[1:3]).any((1, 2))
        tests = np.where(some, [check.highlighted, check.random], np.nan).T.tolist()
        for explanation, map_, test in zip(explanations, maps.numpy(), tests):
            explanation.attributions[method] = Attribution(stage, map_, *test)
