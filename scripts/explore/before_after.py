"""Training images before and after augmentation, by the pipeline of a run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from trainers.reporting.plots import image_grid
from vision.data import Source, Split, take, train_batches
from vision.data.augment import AUGMENTATIONS

_AFTER = 6  # Versions of an image.
_ALL = ('all',)  # Stands for each of the registered augmentations, one at a time.


class Row(NamedTuple):
    """An image, uint8 [S, S, 3], and some augmented versions of it."""

    augment: str
    before: np.ndarray
    after: list[np.ndarray]


def rows(
    source: Source, augment: tuple[str, ...], image_size: int, samples: int, seed: int
) -> list[Row]:
    """A row for each of some training images, or for each augmentation there is.

    augment: as in a run; none gives no rows, 'all' one for each augmentation.
    image_size: side in pixels; 0: the dataset's own.

    Raises DatasetError where an augmentation cannot be read.
    """
    size = image_size or source.image_size
    train = source.splits['train']
    # Two for each row: one is shown, the other may be mixed into it.
    pairs = np.random.default_rng(seed).choice(len(train), [samples, 2])
    if augment == _ALL:
        return [_row(train, pairs[0], (name,), size) for name in AUGMENTATIONS]
    return [_row(train, pair, augment, size) for pair in pairs if augment]


def _row(split: Split, pair: np.ndarray, augment: tuple[str, ...], size: int) -> Row:
    two = take(split, pair)

    def versions(augment: tuple[str, ...], count: int) -> list[np.ndarray]:
        # An epoch of one batch for each version.
        batches = train_batches(
            two,
            batch_size=2,
            image_size=size,
            seed=0,
            end_step=count,
            augment=augment,
            shuffle=False,
        )
        return [batch.images[1].numpy() for batch in batches]

    return Row(','.join(augment), versions((), 1)[0], versions(augment, _AFTER))


def draw(shown: Sequence[Row]) -> np.ndarray:
    """The rows as a grid, uint8 [rows, columns, 3] in pixels."""
    images = [image for row in shown for image in (row.before, *row.after)]
    titles = [
        title
        for row in shown
        for title in ('before', row.augment, *[''] * (len(row.after) - 1))
    ]
    return image_grid(np.stack(images), titles, columns=1 + _AFTER)
