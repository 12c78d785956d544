"""PNG files of arrays."""

import io

import numpy as np
from matplotlib.image import imsave


def png(pixels: np.ndarray) -> bytes:
    """uint8 [h, w, 3] as a PNG file."""
    buffer = io.BytesIO()
    imsave(buffer, pixels, format='png')
    return buffer.getvalue()
