"""Heat maps over images."""

import math

import numpy as np
from matplotlib import colormaps
from PIL import Image

_COLOURS = colormaps['inferno']
_SMALLEST, _LARGEST = 224, 1600  # Pixels on the longer side of what is shown.


def shown(pixels: np.ndarray) -> np.ndarray:
    """An image at the size to show, uint8 `[h, w, 3]`.

    Small ones are magnified by whole numbers, those of cameras shrunk.
    """
    longest = max(pixels.shape[:2])
    factor = math.ceil(_SMALLEST / longest)
    if longest > _LARGEST:
        image = Image.fromarray(pixels)
        image.thumbnail((_LARGEST, _LARGEST), Image.Resampling.LANCZOS, reducing_gap=3)
        return np.asarray(image)
    return pixels.repeat(factor, 0).repeat(factor, 1)


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Colours what speaks for a class, the more the brighter; uint8 `[h, w, 3]`.

    Args:
        pixels: uint8 `[h, w, 3]`, the whole image; its largest centred square is what
            the network saw.
        heat: float32 `[h', w']` of that square; what is not above 0 is dark.
    """
    height, width, _ = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    strength = np.zeros([height, width], np.float32)
    strength[top : top + side, left : left + side] = _enlarged(heat, side)
    colours = 255 * _COLOURS(strength)[..., :3]
    opacity = (0.35 + 0.35 * strength)[..., None]
    return np.round((1 - opacity) * pixels + opacity * colours).astype(np.uint8)


def _enlarged(heat: np.ndarray, side: int) -> np.ndarray:
    """The positive part in 0..1, as 0 to 99 % of its values are; `[side, side]`."""
    image = Image.fromarray(np.maximum(heat, 0).astype(np.float32))
    values = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    most = np.percentile(values, 99) or values.max() or 1
    return np.clip(values / most, 0, 1)


def tile(pixels: np.ndarray, side: int = _SMALLEST) -> np.ndarray:
    """The whole image in the middle of a white square, uint8 `[side, side, 3]`."""
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    square = np.full([side, side, 3], 255, np.uint8)
    top, left = (side - image.height) // 2, (side - image.width) // 2
    square[top : top + image.height, left : left + image.width] = np.asarray(image)
    return square
