"""Images and figures of reports: their size, the look of charts, and PNG files."""

import io
import warnings
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from PIL import Image, ImageOps


def _theme(text: str, background: str, line: str) -> dict[str, Any]:
    return {
        'figure.dpi': 110,
        'savefig.dpi': 'figure',
        'figure.constrained_layout.use': True,
        'axes.grid': True,
        'axes.axisbelow': True,
        'axes.spines.top': False,
        'axes.spines.right': False,
        'axes.titlelocation': 'left',
        'axes.titlesize': 11,
        'axes.titleweight': 'bold',
        'grid.linewidth': 0.8,
        'xtick.labelsize': 9,
        'ytick.labelsize': 9,
        'legend.fontsize': 9,
        'legend.frameon': False,
        'text.color': text,
        'axes.labelcolor': text,
        'xtick.color': text,
        'ytick.color': text,
        'figure.facecolor': background,
        'axes.facecolor': background,
        'axes.edgecolor': line,
        'grid.color': line,
    }


# Settings of Matplotlib, used as `style.context(LIGHT)`.
LIGHT = _theme('#333333', '#ffffff', '#dddddd')
DARK = _theme('#d8d8d8', '#1b1e23', '#3a3f47')


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
