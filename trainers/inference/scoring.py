"""What a classifier says of every image of a split."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainers.inference.classifier import Classifier, softmax
from trainers.step.metrics import head_names
from vision import data
from vision.data import BadFiles, Split
from vision.data.decoding.decode import resize

Progress = Callable[[int, int], None]  # (images done, images in all)


class Scores(NamedTuple):
    """The logits of N images, in the order of their split.

    Attributes:
        logits: float32 `[N, classes]` of each head: 'main', then 'aux1' for the
            shallowest auxiliary one. Zeros where an image is not good.
        good: bool `[N]`, whether the image could be decoded.
    """

    logits: dict[str, np.ndarray]
    good: np.ndarray


def _as_it_is(images: tf.Tensor) -> list[tf.Tensor]:
    return [images]


def _flipped(images: tf.Tensor) -> list[tf.Tensor]:
    return [images, images[:, :, ::-1]]


def _cropped(images: tf.Tensor) -> list[tf.Tensor]:
    """The whole, the centre and the corners, 7/8 of the side, and their mirrors."""
    side = images.shape[1]
    crop = max(side * 7 // 8, 1)
    rest = side - crop
    places = [(0, 0), (0, rest), (rest, 0), (rest, rest), (rest // 2, rest // 2)]
    crops = [
        resize(images[:, top : top + crop, left : left + crop], side)
        for top, left in places
    ]
    return [view for image in (images, *crops) for view in _flipped(image)]


# What is looked at of each image, each as uint8 [B, S, S, 3] -> several such.
VIEWS: dict[str, Callable[[tf.Tensor], list[tf.Tensor]]] = {
    'none': _as_it_is,
    'flip': _flipped,
    'crops': _cropped,
}


def score(
    classifier: Classifier,
    split: Split,
    *,
    batch_size: int = 64,
    views: str = 'none',
    bad_files: BadFiles | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Looks at every image of a split once, or at several views of each.

    Of several views the probabilities are averaged; what is returned as logits are
    then the logarithms of that.

    Args:
        classifier: what looks.
        split: the images; its labels are not looked at.
        batch_size: images at a time.
        views: a key of `VIEWS`.
        bad_files: where images that cannot be decoded are recorded.
        progress: told after each batch.
    """
    size = len(split)
    names = head_names(1 + len(classifier.network.heads))
    shape = (size, len(classifier.classes))
    logits = {name: np.zeros(shape, np.float32) for name in names}
    good = np.zeros(size, bool)
    batches = data.eval_batches(
        split,
        batch_size=batch_size,
        image_size=classifier.image_size,
        bad_files=bad_files,
    )
    for start, batch in zip(range(0, size, batch_size), batches):
        end = min(start + batch_size, size)
        found = _look(classifier, VIEWS[views](batch.images))
        for name, values in zip(names, found):
            logits[name][start:end] = values[: end - start]
        good[start:end] = batch.sample_weights.numpy()[: end - start] > 0
        if progress is not None:
            progress(end, size)
    for values in logits.values():
        values[~good] = 0
    return Scores(logits, good)


def _look(classifier: Classifier, views: list[tf.Tensor]) -> list[np.ndarray]:
    """Logits of each head, of one view or of the mean of several."""
    seen = [classifier.logits(view) for view in views]
    heads = list(zip(*([outputs.main, *outputs.aux] for outputs in seen)))
    if len(views) == 1:
        return [values.numpy() for (values,) in heads]
    return [
        np.log(np.maximum(np.mean([softmax(v.numpy()) for v in values], 0), 1e-30))
        for values in heads
    ]
