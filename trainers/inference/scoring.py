"""The logits of every image of a split."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainers.inference.classifier import Classifier, softmax
from trainers.settings.tables import VIEWS
from trainers.step.metrics import head_names
from vision import data
from vision.data import BadFiles, Split

Progress = Callable[[int, int], None]  # (images done, images in total)


class Scores(NamedTuple):
    """The logits of N images, in the order of their split.

    Attributes:
        logits: float32 `[N, classes]` of each head: 'main', then 'aux1' for the
            shallowest auxiliary one. Zeros where an image could not be decoded.
        good: bool `[N]`, whether the image could be decoded.
    """

    logits: dict[str, np.ndarray]
    good: np.ndarray


def score(
    classifier: Classifier,
    split: Split,
    *,
    batch_size: int = 64,
    views: str = 'none',
    bad_files: BadFiles | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Computes the logits of every image of a split once, or of several views of each.

    The probabilities of several views are averaged; the logits are then the logarithms
    of these means.

    Args:
        classifier: the network.
        split: the images; its labels are not used.
        batch_size: images per batch.
        views: a key of `VIEWS`.
        bad_files: records images that cannot be decoded.
        progress: called after each batch.

    Raises:
        UserError: there are no such views.
    """
    size, make_views = len(split), VIEWS.load(views)
    names = head_names(1 + len(classifier.network.heads))
    logits = {
        name: np.zeros([size, len(classifier.classes)], np.float32) for name in names
    }
    good = np.zeros(size, bool)
    batches = data.eval_batches(
        split,
        batch_size=batch_size,
        image_size=classifier.image_size,
        bad_files=bad_files,
    )
    for start, batch in zip(range(0, size, batch_size), batches):
        end = min(start + batch_size, size)
        heads = _score_views(classifier, make_views(batch.images))
        for name, values in zip(names, heads):
            logits[name][start:end] = values[: end - start]
        good[start:end] = batch.sample_weights.numpy()[: end - start] > 0
        if progress is not None:
            progress(end, size)
    for values in logits.values():
        values[~good] = 0
    return Scores(logits, good)


def _score_views(classifier: Classifier, views: list[tf.Tensor]) -> list[np.ndarray]:
    """Logits of each head, of one view or of the mean of several."""
    outputs = [classifier.logits(view) for view in views]
    heads = list(zip(*([output.main, *output.aux] for output in outputs)))
    if len(views) == 1:
        return [values.numpy() for (values,) in heads]
    return [
        np.log(np.maximum(np.mean([softmax(v.numpy()) for v in values], 0), 1e-30))
        for values in heads
    ]
