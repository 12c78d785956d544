"""PNG files of arrays and of figures."""

import io
import warnings

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave


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
