"""Images that a network is wrong about, as it sees them, in grids."""

import math
from collections.abc import Sequence

import numpy as np

from scripts.common.names import class_name
from scripts.common.png import png
from trainers.evaluation.evaluation import Evaluation
from trainers.reporting.plots import image_grid
from vision import data

MISTAKES = 20
_SIDE = 192  # Pixels that leave room for two names above an image.
_COLUMNS = 4
_NAME = 14


def mistakes(evaluation: Evaluation) -> list[int]:
    """Places of the mistakes that the network is surest of, the surest first."""
    wrong = np.flatnonzero(~evaluation.correct)
    order = np.argsort(-evaluation.confidence[wrong], kind='stable')
    return wrong[order[:MISTAKES]].tolist()


def example(evaluation: Evaluation, label: int, predicted: int) -> int:
    """Place of the surest among the images of one class that are named another."""
    found = np.flatnonzero(
        (evaluation.labels == label) & (evaluation.predicted == predicted)
    )
    return int(found[np.argmax(evaluation.confidence[found])])


def draw_mistakes(evaluation: Evaluation, chosen: Sequence[int]) -> bytes:
    """Those images below what they are named and what they are; a PNG."""
    titles = [
        f'{_brief(evaluation, evaluation.predicted[i])} '
        f'{evaluation.confidence[i]:.0%}, is {_brief(evaluation, label)}'
        for i, label in zip(chosen, evaluation.labels[list(chosen)].tolist())
    ]
    return draw(evaluation, chosen, titles)


def draw_pairs(evaluation: Evaluation, pairs: Sequence[tuple[int, int, int]]) -> bytes:
    """An image of each of the most confused pairs; a PNG."""
    titles = [
        f'{count:,} × {_brief(evaluation, label)} → {_brief(evaluation, predicted)}'
        for label, predicted, count in pairs
    ]
    chosen = [example(evaluation, *pair[:2]) for pair in pairs]
    return draw(evaluation, chosen, titles)


def draw(
    evaluation: Evaluation,
    chosen: Sequence[int],
    titles: Sequence[str],
    correct: Sequence[bool] | None = None,
) -> bytes:
    """Images of an evaluation by their places, as the network sees them; a PNG.

    Args:
        evaluation: where they are from.
        chosen: their places among its images.
        titles: a line above each.
        correct: colours each line green or red.
    """
    few = data.take(evaluation.split, evaluation.indices[list(chosen)])
    batches = data.eval_batches(
        few, batch_size=len(few), image_size=evaluation.classifier.image_size
    )
    images = next(iter(batches)).images.numpy()
    scale = math.ceil(_SIDE / images.shape[1])
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    grid = image_grid(images, titles, columns=_COLUMNS, correct=correct)
    return png(grid)


def _brief(evaluation: Evaluation, label: int) -> str:
    return class_name(evaluation.classes[label], _NAME)
