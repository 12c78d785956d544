"""Predictions of image files and arrays: `predict('runs/x', 'photos/*.jpg')`."""

import itertools
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from trainers.inference import image_files
from trainers.inference.classifier import Classifier, from_run
from trainers.inference.image_files import ImageFile
from trainers.inference.scoring import score
from trainers.settings.prediction import PredictionSettings
from vision.data import ArraySplit, BadFiles, FileSplit, Split, fits_in_memory
from vision.data.decoding.decode import fit
from vision.errors import UserError

MAX_BATCH = 64  # Larger ones are not faster.
_MAX_CHUNK = 4096  # The logits of 1000 classes are 16 MB then.
_CHUNK_SECONDS = 5.0
# Memory of an image in a batch: up to twice the inputs and outputs of the largest
# operation, and the encoded files of this batch and of about four that are read ahead.
_MAPS, _FILES = 2, 5


class Prediction(NamedTuple):
    """The most probable classes of an image, or why there are none.

    Attributes:
        file: path of the image as given, or as found in a given folder or pattern;
            'array 0' and so on, by position, for arrays.
        classes: names of the most probable classes, the most probable first.
        probabilities: of these classes, calibrated if the classifier is; float32
            values.
        rejected: whether the probability of the first is below the threshold.
        error: why there is no prediction; '' if there is one.
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


def predict(
    classifier: Classifier | str | os.PathLike,
    images: Any,
    *,
    top: int = 5,
    threshold: float = 0.0,
    views: str = 'none',
    batch_size: int = 0,
) -> list[Prediction]:
    """Predicts the classes of images; `predict('runs/x', 'photos/*.jpg', top=3)`.

    Args:
        classifier: the folder of a run, or a classifier, which can be loaded once for
            many calls.
        images: a file, a folder, a pattern, or an array uint8 `[H, W, 3]`, RGB; or an
            iterable of these.
        top, threshold, views, batch_size: as in `PredictionSettings`.

    Returns:
        A prediction of each image, in the order of the images. One that cannot be
        decoded has an `error` instead of classes.

    Raises:
        UserError: there is no such run, an option is out of range, or an array is not
            an image.
    """
    settings = PredictionSettings(top, threshold, views, batch_size)
    listed = list(_images(images))
    if not isinstance(classifier, Classifier):
        classifier = from_run(Path(classifier))
    return list(itertools.chain.from_iterable(stream(classifier, listed, settings)))


def stream(
    classifier: Classifier, images: Iterable[Image], settings: PredictionSettings
) -> Iterator[list[Prediction]]:
    """Yields predictions in the order of the images, in chunks.

    Images are taken from the iterable one chunk at a time, so it may be endless.
    """
    images = iter(images)
    size, start = MAX_BATCH, time.monotonic()
    while chunk := list(itertools.islice(images, size)):
        predictions = _predict(classifier, chunk, settings)
        # Making the input pipeline takes a second, so chunks grow, but not so long that
        # nothing seems to happen; a slow iterable counts, too.
        if time.monotonic() - start < _CHUNK_SECONDS:
            size = min(2 * size, _MAX_CHUNK)
        yield predictions
        start = time.monotonic()


def _images(argument: Any) -> Iterator[Image]:
    """All images that an argument of `predict` stands for."""
    is_one = isinstance(argument, (str, os.PathLike)) or (
        isinstance(argument, np.ndarray) and argument.ndim != 4
    )
    for position, image in enumerate([argument] if is_one else argument):
        if isinstance(image, (str, os.PathLike)):
            yield from image_files.find(image)
            continue
        if not (
            isinstance(image, np.ndarray)
            and image.dtype == np.uint8
            and image.ndim == 3
            and image.shape[2] == 3
            and image.size
        ):
            kind = getattr(image, 'dtype', type(image).__name__)
            raise UserError(
                'Expected each image as a path or as a NumPy array uint8 [H, W, 3] of '
                f'values 0..255, received {kind} {list(np.shape(image))} as array '
                f'{position}.'
            )
        yield Pixels(f'array {position}', image)


def _predict(
    classifier: Classifier, images: list[Image], settings: PredictionSettings
) -> list[Prediction]:
    logits, errors = _score(classifier, images, settings)
    probabilities = classifier.probabilities(logits)
    ranks = np.argsort(-probabilities, axis=1, kind='stable')[:, : settings.top]
    return [
        Prediction(image.name, error=error)
        if error
        else Prediction(
            image.name,
            tuple(classifier.classes[label] for label in rank),
            tuple(row[rank].tolist()),
            float(row[rank[0]]) < settings.threshold,
        )
        for image, row, rank, error in zip(images, probabilities, ranks, errors)
    ]


def _score(
    classifier: Classifier, images: list[Image], settings: PredictionSettings
) -> tuple[np.ndarray, list[str]]:
    """Logits float32 `[N, classes]`, and the error of each image or ''."""
    logits = np.zeros([len(images), len(classifier.classes)], np.float32)
    errors = [getattr(image, 'error', '') for image in images]
    batch_size = settings.batch_size or fitting_batch(classifier, images)
    for split in _splits(images, classifier.image_size):
        scores = score(
            classifier,
            split,
            # A batch of one would be a product of a matrix and a vector, which adds in
            # another order: from two on the bits are those of evaluation.
            batch_size=max(min(batch_size, len(split)), 2),
            views=settings.views,
            bad_files=_Errors(errors),
        )
        finite = np.isfinite(scores.logits['main'])
        logits[split.labels] = np.where(finite, scores.logits['main'], 0)
        for position in split.labels[scores.good & ~finite.all(1)]:
            errors[position] = 'The logits of the network are not finite'
    return logits, errors


def _splits(images: list[Image], side: int) -> Iterator[Split]:
    """Files and arrays in a split each; labels are positions among all images."""
    files = {i: p for i, p in enumerate(images) if isinstance(p, ImageFile) and p.path}
    arrays = {i: p for i, p in enumerate(images) if isinstance(p, Pixels)}
    if files:
        paths = [file.path for file in files.values()]
        yield FileSplit(np.array(list(files), np.int32), paths, paths)
    if arrays:
        yield ArraySplit(
            np.array(list(arrays), np.int32),
            [array.name for array in arrays.values()],
            np.stack([fit(tf.constant(a.pixels), side) for a in arrays.values()]),
        )


class _Errors(BadFiles):
    """Puts why an image cannot be decoded into a list, by label, and logs nothing."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__()
        self.errors = errors

    def record(self, name: str, label: int, reason: str) -> None:
        self.errors[label] = reason


def fitting_batch(classifier: Classifier, images: list[Image]) -> int:
    """The largest power of two up to 64 that takes a quarter of the free memory."""
    sizes = [p.size for p in images if isinstance(p, ImageFile) and p.path]
    image_bytes = _MAPS * classifier.bytes_per_image
    image_bytes += _FILES * int(np.mean(sizes or [0]))
    decoded = 3 * classifier.image_size**2
    batch_size = MAX_BATCH
    while batch_size > 2 and not fits_in_memory(
        batch_size * image_bytes // decoded, classifier.image_size
    ):
        batch_size //= 2
    return batch_size
