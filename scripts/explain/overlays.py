"""Attribution maps drawn over images."""

import math

import numpy as np
from matplotlib import colormaps
from PIL import Image

from scripts.common.images import thumbnail

SMALLEST, _LARGEST = 224, 1600  # Pixels on the longer side of an overlay.
_COLOURS = colormaps['inferno']


def shown(pixels: np.ndarray) -> np.ndarray:
    """An image at the size of its overlay, uint8 [h, w, 3].

    Small images are enlarged by a whole factor, large ones are shrunk.
    """
    longest = max(pixels.shape[:2])
    if longest > _LARGEST:
        return np.asarray(thumbnail(pixels, _LARGEST))
    factor = math.ceil(SMALLEST / longest)
    return pixels.repeat(factor, 0).repeat(factor, 1)


def overlay(pixels: np.ndarray, attribution: np.ndarray) -> np.ndarray:
    """An image with its attribution map over it, bright where evidence is positive.

    Args:
        pixels: uint8 [h, w, 3], the whole image; the network takes its largest
            centred square.
        attribution: float32 [h', w'], the map of that square; negative values are
            drawn as 0.

    Returns:
        uint8 [h, w, 3].
    """
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    evidence = Image.fromarray(np.maximum(attribution, 0).astype(np.float32))
    square = np.asarray(evidence.resize((side, side), Image.Resampling.BILINEAR))
    largest = np.percentile(square, 99) or square.max() or 1
    strength = np.zeros([height, width], np.float32)
    strength[top : top + side, left : left + side] = np.minimum(square / largest, 1)
    colours = 255 * _COLOURS(strength)[..., :3]
    opacity = (0.35 + 0.35 * strength)[..., None]
    return np.round((1 - opacity) * pixels + opacity * colours).astype(np.uint8)
