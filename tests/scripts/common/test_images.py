"""Thumbnails, tiles, and the PNG files that they become."""

import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from scripts.common.images import figure_png, png, thumbnail, tile


@pytest.mark.parametrize(
    'size, expected', [((3, 5), (3, 5)), ((40, 20), (20, 10)), ((400, 20), (20, 1))]
)
def test_thumbnails_are_never_enlarged(size, expected):
    image = thumbnail(np.zeros([*size, 3], np.uint8), 20)
    assert (image.height, image.width) == expected


def test_tiles_enlarge_by_a_whole_factor():
    pixels = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    square = tile(pixels, 11)
    assert square.shape == (11, 11, 3) and square.dtype == np.uint8
    np.testing.assert_array_equal(square[3:8, :10], pixels.repeat(5, 0).repeat(5, 1))
    assert (square[:3] == 255).all() and (square[8:] == 255).all()


def test_png_files_hold_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, [5, 7, 3], np.uint8)
    with Image.open(io.BytesIO(png(pixels))) as image:
        np.testing.assert_array_equal(np.asarray(image.convert('RGB')), pixels)


def test_figures_show_characters_without_a_glyph(recwarn):
    figure = Figure(figsize=(2, 1), dpi=50)
    figure.text(0, 0, '\U0001f408')
    with Image.open(io.BytesIO(figure_png(figure))) as image:
        assert image.size == (100, 50)
    assert not recwarn.list
