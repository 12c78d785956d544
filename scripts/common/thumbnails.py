"""Images at the size at which reports show them."""

import numpy as np
from PIL import Image, ImageOps


def thumbnail(pixels: np.ndarray, side: int) -> Image.Image:
    """The whole image, shrunk to fit a square of this side, never enlarged.

    Args:
        pixels: uint8 [h, w, 3].
        side: of the square in pixels.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
    return image


def tile(pixels: np.ndarray, side: int) -> np.ndarray:
    """The whole image at the centre of a white square, uint8 [side, side, 3].

    Small images are enlarged by a whole factor, so that their pixels stay sharp.

    Args:
        pixels: uint8 [h, w, 3].
        side: of the square in pixels.
    """
    image = thumbnail(pixels, side)
    factor = side // max(image.size)
    image = ImageOps.scale(image, factor, Image.Resampling.NEAREST)
    square = Image.new('RGB', (side, side), 'white')
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square)
