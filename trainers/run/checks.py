"""Checks of the first batch and the initial loss, for the most frequent mistakes."""

import logging
import math

import numpy as np

from vision.data import Batch
from vision.errors import UserError

_log = logging.getLogger(__name__)


def check_batch(batch: Batch, classes: int) -> None:
    """Checks the first training batch.

    Raises:
        UserError: no image of it could be read, a label is out of range, or all
            images are of one colour.
    """
    sample_weights, labels = np.asarray(batch.sample_weights), np.asarray(batch.labels)
    if not sample_weights.any():
        raise UserError(
            'Expected images in the first batch, but none of its '
            f'{len(sample_weights)} files could be decoded: see bad_files.csv.'
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise UserError(
            f'Expected labels in 0..{classes - 1}, received '
            f'{labels.min()}..{labels.max()}: check the dataset.'
        )
    images = np.asarray(batch.images)[sample_weights > 0]
    if images.min() == images.max():
        raise UserError(
            'Expected images, but every pixel of the first batch is '
            f'{images.min()}: check the images in samples/ and --augment.'
        )


def check_initial_loss(loss: float, classes: int, random: bool = True) -> None:
    """Compares the loss before the first step with that of guessing, ln(classes).

    Args:
        loss: of the first batch, in nats.
        classes: number of classes.
        random: whether the weights are random.

    Raises:
        UserError: the loss is not finite.
    """
    expected = math.log(classes)
    if not math.isfinite(loss):
        raise UserError(
            f'Expected a loss near {expected:.2f} before the first step, '
            f'received {loss}: check --normalization and --precision.'
        )
    if random and not 0.5 * expected <= loss <= 2 * expected + 1:
        _log.warning(
            'The loss before the first step is %.2f; guessing among %d classes has '
            '%.2f. Check --normalization and the labels.',
            loss,
            classes,
            expected,
        )
