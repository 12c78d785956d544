"""Images and figures of reports: at the size that is shown, and as PNG files."""

import io
import warnings

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
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
    image = ImageOps.scale(image, side // max(image.size), Image.Resampling.NEAREST)
    square = Image.new('RGB', (side, side), 'white')
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return np.asarray(square)


def png(pixels: np.ndarray) -> bytes:
    """An image, uint8 [h, w, 3], as a PNG file."""
    buffer = io.BytesIO()
    imsave(buffer, pixels, format='png')
    return buffer.getvalue()


def figure_png(figure: Figure, tight: bool = False) -> bytes:
    """A figure as a PNG file, with `tight` without the margins around it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # Matplotlib shows a box for a character that its font lacks.
        warnings.filterwarnings('ignore', message='Glyph')
        FigureCanvasAgg(figure).print_figure(
            buffer, format='png', bbox_inches='tight' if tight else None
        )
    return buffer.getvalue()
