"""Training images before and after augmentation, by the pipeline of a run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vision.data import Source, Split, take, train_batches
from vision.data.augment import AUGMENTATIONS, Augmentation

_VERSIONS = 6  # Augmented versions of an image.
ALL = tuple(map(Augmentation, AUGMENTATIONS))  # Shown one at a time.


class Augmented(NamedTuple):
    """An image and some augmented versions of it.

    Attributes:
        augment: the augmentations, as in the setting.
        images: uint8 [S, S, 3] each, the first before augmentation.
    """

    augment: str
    images: list[np.ndarray]


def examples(
    source: Source,
    augment: tuple[Augmentation, ...],
    image_size: int,
    samples: int,
    seed: int,
) -> list[Augmented]:
    """Some training images with augmented versions of each.

    Args:
        source: the dataset.
        augment: as in a run; empty for no examples, `ALL` for one example of each
            augmentation.
        image_size: side in pixels.
        samples: number of examples.
        seed: of the choice of the images.

    Raises:
        UserError: a number of an augmentation is out of its range.
    """
    train = source.splits['train']
    # A pair for each example: its image, and one that may be mixed into it.
    pairs = np.random.default_rng(seed).choice(len(train), [samples, 2])
    if augment == ALL:
        return [_example(train, pairs[0], (one,), image_size) for one in ALL]
    return [_example(train, pair, augment, image_size) for pair in pairs if augment]


def _example(
    split: Split, pair: np.ndarray, augment: tuple[Augmentation, ...], size: int
) -> Augmented:
    def versions(augment: Sequence[Augmentation], count: int) -> list[np.ndarray]:
        # An epoch of one batch for each version.
        batches = train_batches(
            take(split, pair),
            batch_size=2,
            image_size=size,
            seed=0,
            end_step=count,
            augment=augment,
            shuffle=False,
        )
        return [batch.images[1].numpy() for batch in batches]

    return Augmented(
        ','.join(map(str, augment)), [*versions((), 1), *versions(augment, _VERSIONS)]
    )
