"""Grids of images that a network predicts wrongly, at the size that it takes."""

import math
from collections.abc import Sequence

import numpy as np

from scripts.common.formatting import class_name
from scripts.common.images import png
from scripts.evaluate import content
from trainers.evaluation.evaluation import Evaluation
from trainers.reporting.plots import image_grid
from vision import data

ERRORS = 20
_SIDE = 192  # Pixels that leave room for two names above an image.
_COLUMNS = 4
_NAME = 14


def most_confident(evaluation: Evaluation, chosen: np.ndarray, count: int) -> list[int]:
    """Places of the images of the highest confidence, the highest first.

    Args:
        evaluation: its images.
        chosen: bool `[N]`, of which of them.
        count: of places, at most.
    """
    places = np.flatnonzero(chosen)
    order = np.argsort(-evaluation.confidence[places], kind='stable')
    return places[order[:count]].tolist()


def draw_errors(evaluation: Evaluation) -> bytes:
    """The most confident errors below their predictions and labels, as a PNG."""
    places = most_confident(evaluation, ~evaluation.correct, ERRORS)
    titles = [
        f'{_brief(evaluation, evaluation.predicted[i])} '
        f'{evaluation.confidence[i]:.0%}, is {_brief(evaluation, evaluation.labels[i])}'
        for i in places
    ]
    return draw(evaluation, places, titles)


def draw_pairs(evaluation: Evaluation) -> bytes:
    """The most confident error of each of the most confused pairs, as a PNG."""
    pairs = content.most_confused(evaluation)
    titles = [
        f'{count:,} × {_brief(evaluation, label)} → {_brief(evaluation, predicted)}'
        for label, predicted, count in pairs
    ]
    return draw(evaluation, [example(evaluation, *pair[:2]) for pair in pairs], titles)


def example(evaluation: Evaluation, label: int, predicted: int) -> int:
    """Place of the image of the highest confidence with that label and prediction."""
    of_pair = (evaluation.labels == label) & (evaluation.predicted == predicted)
    return most_confident(evaluation, of_pair, 1)[0]


def draw(
    evaluation: Evaluation,
    places: Sequence[int],
    titles: Sequence[str],
    correct: Sequence[bool] | None = None,
) -> bytes:
    """Images of an evaluation after the preprocessing of the network, as a PNG.

    Args:
        evaluation: its images.
        places: which of its images.
        titles: a line above each image.
        correct: colours each line green or red.
    """
    split = data.take(evaluation.split, evaluation.indices[list(places)])
    batches = data.eval_batches(
        split, batch_size=len(split), image_size=evaluation.classifier.image_size
    )
    images = next(iter(batches)).images.numpy()
    scale = math.ceil(_SIDE / images.shape[1])
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    return png(image_grid(images, titles, columns=_COLUMNS, correct=correct))


def _brief(evaluation: Evaluation, label: int) -> str:
    return class_name(evaluation.classes[label], _NAME)
