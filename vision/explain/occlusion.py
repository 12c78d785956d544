"""A test of maps: deleting what they highlight should cost more than chance.

Petsiuk et al., 2018: RISE, https://arxiv.org/abs/1806.07421, section 4 (deletion).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Cells per side, of the maps and of the blurred image that replaces deleted pixels.
# Deleting finer structures is noise, which lowers a score at any place.
_CELLS = 8


class OcclusionCheck(NamedTuple):
    """Scores of B images, and of the images with a region deleted.

    Attributes:
        before: float32 `[B]`, of the whole images.
        highlighted: float32 `[B]`, without the region that the map highlights.
        random: float32 `[B]`, the mean over regions of the same shape at random places,
            which may overlap the highlighted one.
    """

    before: np.ndarray
    highlighted: np.ndarray
    random: np.ndarray


def occlusion_check(
    score: Callable[[tf.Tensor], np.ndarray],
    images: tf.Tensor,
    maps: tf.Tensor,
    *,
    share: float = 0.2,
    repeats: int = 5,
    seed: int = 0,
) -> OcclusionCheck:
    """Compares deleting the regions that maps highlight with random regions.

    Args:
        score: returns float32 `[B]` for images like `images`, such as the probabilities
            of the classes that the maps are for.
        images: uint8 `[B, H, W, 3]`.
        maps: float32 `[B, h, w]`, as the methods return them.
        share: as of `highlighted`.
        repeats: random regions for each image.
        seed: of the random regions.
    """
    regions = highlighted(maps, images.shape[1:3], share)
    generator = np.random.default_rng(seed)
    at_random = [
        score(delete(images, _moved(regions, generator))) for _ in range(repeats)
    ]
    return OcclusionCheck(
        np.asarray(score(images)),
        np.asarray(score(delete(images, regions))),
        np.mean(at_random, 0),
    )


def highlighted(
    maps: tf.Tensor, size: tuple[int, int], share: float = 0.2
) -> np.ndarray:
    """The pixels with the largest positive values of a map; bool `[B, H, W]`.

    Args:
        maps: float32 `[B, h, w]`; they are reduced to at most 8×8 cells and enlarged
            bilinearly.
        size: height and width of the images.
        share: of the pixels; fewer if less of the map is positive.
    """
    cells = [min(side, _CELLS) for side in maps.shape[1:]]
    coarse = tf.image.resize(maps[..., None], cells, antialias=True)
    enlarged = tf.image.resize(coarse, size)[..., 0].numpy()
    flat = enlarged.reshape(len(enlarged), -1)
    count = round(share * flat.shape[1])
    regions = np.zeros(flat.shape, bool)
    most = np.argpartition(-flat, count, axis=1)[:, :count]
    np.put_along_axis(regions, most, True, axis=1)
    return (regions & (flat > 0)).reshape(enlarged.shape)


def delete(images: tf.Tensor, regions: np.ndarray) -> tf.Tensor:
    """Images that are strongly blurred in a region; uint8 `[B, H, W, 3]`.

    Args:
        images: uint8 `[B, H, W, 3]`.
        regions: bool `[B, H, W]`.
    """
    small = tf.image.resize(images, [_CELLS, _CELLS], antialias=True)
    blurred = tf.image.resize(small, images.shape[1:3], 'bicubic')
    deleted = tf.where(regions[..., None], blurred, tf.cast(images, tf.float32))
    return tf.saturate_cast(tf.round(deleted), tf.uint8)


def _moved(regions: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The regions, flipped and rolled at random."""
    moved = []
    for region in regions:
        rows, columns = generator.integers(0, region.shape)
        mirrored = region[:: generator.choice([1, -1]), :: generator.choice([1, -1])]
        moved.append(np.roll(mirrored, (rows, columns), (0, 1)))
    return np.stack(moved)
