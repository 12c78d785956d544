"""What a trained network takes images for: `predict('runs/x', 'photos/*.jpg')`."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from trainers.inference import classifier as classifiers
from trainers.inference import image_files
from trainers.inference.classifier import Classifier
from trainers.inference.image_files import ImageFile
from trainers.inference.scoring import VIEWS, score
from vision.data import BadFiles, Split, fits_in_memory
from vision.data.decoding.decode import fit
from vision.errors import UserError, suggestion

MAX_BATCH = 64  # Larger ones are not faster.
_MAX_CHUNK = 4096  # The logits of 1000 classes are 16 MB then.
_CHUNK_SECONDS = 5.0
# An image's share of what a batch takes: up to twice what the largest operation reads
# and writes, and the encoded files of this and of some four batches read ahead.
_MAPS, _FILES = 2, 5


class Prediction(NamedTuple):
    """What a network takes an image for, or why there is no telling.

    Attributes:
        file: the image's path as it was given or found; 'array 0' and so on, by
            their places, of arrays.
        classes: names of the most probable classes, the first one first.
        probabilities: theirs, calibrated where the classifier is; float32 values.
        rejected: whether the first is less probable than the threshold.
        error: why the image could not be looked at; '' where it was.
    """

    file: str
    classes: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    rejected: bool = False
    error: str = ''


class Pixels(NamedTuple):
    """An image in memory, uint8 `[H, W, 3]`."""

    name: str
    pixels: np.ndarray


Image = ImageFile | Pixels


class Options(NamedTuple):
    """How images are looked at.

    Attributes:
        top: how many classes to name; all, where there are fewer.
        threshold: the probability below which the first class is rejected.
        views: a key of `scoring.VIEWS`: what is looked at of each image.
        batch_size: images at a time; 0: as many as fit the memory, up to 64.
    """

    top: int = 5
    threshold: float = 0.0
    views: str = 'none'
    batch_size: int = 0


def predict(
    classifier: Classifier | str | os.PathLike,
    images: Any,
    *,
    top: int = 5,
    threshold: float = 0.0,
    views: str = 'none',
    batch_size: int = 0,
) -> list[Prediction]:
    """Names the classes of images; `predict('runs/x', 'photos/*.jpg', top=3)`.

    Args:
        classifier: the folder of a run, or what `classifier.from_run` or
            `from_pretrained` returned: that is loaded once for many calls.
        images: a file, a folder, a pattern, or an array uint8 `[H, W, 3]`, RGB; or
            any number of these.
        top, threshold, views, batch_size: as in `Options`.

    Returns:
        A prediction for each image, in their order. One that cannot be looked at has
        an `error` instead of classes.

    Raises:
        UserError: there is no such run, an option is out of range, or an array is none
            of an image.
    """
    options = Options(top, threshold, views, batch_size)
    _check(options)
    found = list(_images(images))
    if not isinstance(classifier, Classifier):
        classifier = classifiers.from_run(Path(classifier))
    return list(itertools.chain.from_iterable(stream(classifier, found, options)))


def stream(
    classifier: Classifier, images: Iterable[Image], options: Options
) -> Iterator[list[Prediction]]:
    """Yields predictions in the order of the images, some at a time.

    No more images are asked for than are looked at next, so there may be any number.
    """
    images = iter(images)
    size, start = MAX_BATCH, time.monotonic()
    while chunk := list(itertools.islice(images, size)):
        predictions = _predict(classifier, chunk, options)
        # Making the input pipeline takes a second, so chunks grow, but not so long that
        # nothing seems to happen; a slow list counts, too.
        if time.monotonic() - start < _CHUNK_SECONDS:
            size = min(2 * size, _MAX_CHUNK)
        yield predictions
        start = time.monotonic()


def _check(options: Options) -> None:
    """Raises UserError where an option is out of range."""
    for name, least, most in (
        ('top', 1, np.inf),
        ('threshold', 0, 1),
        ('batch_size', 0, np.inf),
    ):
        value = getattr(options, name)
        if not least <= value <= most:
            bounds = f'at least {least}' if most == np.inf else f'{least} to {most}'
            raise UserError(f'Expected {name} to be {bounds}, received {value!r}.')
    if options.views not in VIEWS:
        raise UserError(
            f'Expected views to be one of {", ".join(VIEWS)}; received '
            f'{options.views!r}.{suggestion(options.views, VIEWS)}'
        )


def _images(what: Any) -> Iterator[Image]:
    """All images that an argument of `predict` stands for."""
    is_array = isinstance(what, np.ndarray) and what.ndim != 4
    is_one = is_array or isinstance(what, (str, os.PathLike))
    for place, each in enumerate([what] if is_one else what):
        if isinstance(each, (str, os.PathLike)):
            yield from image_files.find(each)
        else:
            yield _pixels(f'array {place}', each)


def _pixels(name: str, array: Any) -> Pixels:
    shape = np.shape(array)
    if not (
        isinstance(array, np.ndarray)
        and array.dtype == np.uint8
        and len(shape) == 3
        and shape[2] == 3
        and min(shape) > 0
    ):
        kind = getattr(array, 'dtype', type(array).__name__)
        raise UserError(
            f'Expected each image as a path or as a NumPy array uint8 '
            f'[H, W, 3] of values 0..255, received {kind} {list(shape)} '
            f'as {name}.'
        )
    return Pixels(name, array)


def _predict(
    classifier: Classifier, images: list[Image], options: Options
) -> list[Prediction]:
    logits, errors = _look(classifier, images, options)
    probabilities = classifier.probabilities(logits)
    ranks = np.argsort(-probabilities, axis=1, kind='stable')[:, : options.top]
    predictions = []
    for image, each, rank, error in zip(images, probabilities, ranks, errors):
        if error:
            predictions.append(Prediction(image.name, error=error))
            continue
        predictions.append(
            Prediction(
                image.name,
                tuple(classifier.classes[label] for label in rank),
                tuple(each[rank].tolist()),
                bool(each[rank[0]] < options.threshold),
            )
        )
    return predictions


def _look(
    classifier: Classifier, images: list[Image], options: Options
) -> tuple[np.ndarray, list[str]]:
    """Logits float32 `[N, classes]`, and what was wrong with each image or ''."""
    logits = np.zeros([len(images), len(classifier.classes)], np.float32)
    errors = [getattr(image, 'error', '') for image in images]
    batch_size = options.batch_size or _fitting_batch(classifier, images)
    for places, split in _splits(images, classifier.image_size):
        # A batch of one would pass through a product of a matrix and a vector, which
        # adds in another order: from two on the bits are those of evaluation.
        size = max(min(batch_size, len(split)), 2)
        reasons = _Reasons()
        scores = score(
            classifier, split, batch_size=size, views=options.views, bad_files=reasons
        )
        found = scores.logits['main']
        logits[places] = np.where(np.isfinite(found), found, 0)
        for place, good, finite in zip(places, scores.good, np.isfinite(found).all(1)):
            if good and not finite:
                errors[place] = 'The network answers with numbers that are not finite'
        for label, reason in reasons.by_label.items():
            errors[places[label]] = reason
    return logits, errors


def _splits(images: list[Image], side: int) -> Iterator[tuple[np.ndarray, Split]]:
    """Files and arrays apart, each with their places; labels count from 0."""
    files = [i for i, p in enumerate(images) if isinstance(p, ImageFile) and p.path]
    arrays = [i for i, p in enumerate(images) if isinstance(p, Pixels)]
    if files:
        paths = [images[i].path for i in files]  # type: ignore[union-attr]
        yield np.array(files), Split(_labels(files), paths, paths=paths)
    if arrays:
        pixels = [images[i].pixels for i in arrays]  # type: ignore[union-attr]
        fitted = np.stack([fit(tf.constant(each), side).numpy() for each in pixels])
        names = [images[i].name for i in arrays]
        yield np.array(arrays), Split(_labels(arrays), names, images=fitted)


def _labels(places: list[int]) -> np.ndarray:
    return np.arange(len(places), dtype=np.int32)


class _Reasons(BadFiles):
    """Keeps why images could not be decoded, by their labels, and logs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.by_label: dict[int, str] = {}

    def record(self, name: str, label: int, reason: str) -> None:
        self.by_label[label] = reason


def _fitting_batch(classifier: Classifier, images: list[Image]) -> int:
    """The largest power of two up to 64 that takes a quarter of the free memory."""
    sizes = [p.size for p in images if isinstance(p, ImageFile) and p.path]
    each = _MAPS * classifier.bytes_per_image + _FILES * int(np.mean(sizes or [0]))
    decoded = 3 * classifier.image_size**2
    batch_size = MAX_BATCH
    while batch_size > 2 and not fits_in_memory(
        batch_size * each // decoded, classifier.image_size
    ):
        batch_size //= 2
    return batch_size
