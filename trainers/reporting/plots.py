"""Images of a run: its curves, and grids of images with titles."""

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

from vision import files

# Key in metrics.csv before '_loss' or '_top1' -> (name, colour).
_SERIES = {
    'train': ('train', '#4c78a8'),
    'validation': ('validation', '#f58518'),
    'validation_averaged': ('validation, averaged weights', '#54a24b'),
}
_INK = '#333333'
_GREEN = '#1a7f37'
_RED = '#cf222e'
_STYLE: dict[Any, Any] = {
    'axes.axisbelow': True,
    'axes.edgecolor': '#bbbbbb',
    'axes.grid': True,
    'axes.grid.axis': 'y',
    'axes.labelcolor': _INK,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlecolor': _INK,
    'axes.titlelocation': 'left',
    'axes.titlesize': 11,
    'axes.titleweight': 'bold',
    'grid.color': '#e5e5e5',
    'grid.linewidth': 0.8,
    'legend.fontsize': 9,
    'legend.frameon': False,
    'legend.labelcolor': _INK,
    'xtick.color': _INK,
    'xtick.labelsize': 9,
    'ytick.color': _INK,
    'ytick.labelsize': 9,
}

_CELL = 144  # Pixels that an image in a grid has at least on its longer side.
_GAP = 12
_TITLE = 22
_DPI = 100


def plot_curves(
    rows: Sequence[dict[str, float | int]],
    path: Path,
    best_epoch: int = 0,
    phase_began: int = 0,
) -> None:
    """Draws loss, accuracy and learning rate by epoch into a PNG.

    Top-5 accuracy is left out where it is 100 % throughout, as among five classes.

    Args:
        rows: of metrics.csv, at least one; accuracies as fractions. Missing keys and
            values that are not finite are left out.
        path: of the PNG.
        best_epoch: the epoch to mark, counted from 1; 0: none.
        phase_began: epochs before the current phase; 0 in the first one.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError('Expected at least one epoch to plot, got none.')
    figure = Figure(
        figsize=(12.8, 4.2),
        dpi=_DPI,
        layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.08, wspace=0.03),
    )
    with matplotlib.rc_context(_STYLE), files.replacing(path) as file:
        _draw_curves(figure, rows, best_epoch, phase_began)
        figure.savefig(file, format='png')


def _draw_curves(
    figure: Figure,
    rows: Sequence[dict[str, float | int]],
    best_epoch: int,
    phase_began: int,
) -> None:
    loss, accuracy, rate = figure.subplots(1, 3)
    for axes, title in (
        (loss, 'Loss'),
        (accuracy, 'Accuracy'),
        (rate, 'Learning rate'),
    ):
        axes.set(title=title, xlabel='epoch')
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if phase_began:
            axes.axvspan(phase_began + 0.5, len(rows), color='#f3f3f3', zorder=0)
    top5 = any(
        value < 1
        for name in _SERIES
        for value in _points(rows, f'{name}_top5').values()
    )
    for name, (label, colour) in _SERIES.items():
        _draw(loss, rows, f'{name}_loss', label, colour)
        _draw(accuracy, rows, f'{name}_top1', label, colour)
        if top5:
            _draw(accuracy, rows, f'{name}_top5', label, colour, dashed=True)
    _draw(rate, rows, 'learning_rate', 'learning rate', '#b279a2')
    accuracy.set_ylim(bottom=0)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0))
    rate.set_ylim(bottom=0)
    rate.yaxis.set_major_formatter(StrMethodFormatter('{x:g}'))
    top1 = _points(rows, 'validation_averaged_top1') or _points(rows, 'validation_top1')
    if best_epoch in top1:
        for axes in (loss, accuracy):
            axes.axvline(best_epoch, color=_INK, linewidth=0.8, linestyle=':', zorder=1)
        _mark(accuracy, best_epoch, top1[best_epoch])
    _explain(loss, accuracy)


def image_grid(
    images: np.ndarray,
    titles: Sequence[str],
    path: Path | None = None,
    columns: int = 5,
    correct: Sequence[bool] | None = None,
) -> np.ndarray:
    """Arranges images in a grid, each below its title; small ones are magnified.

    Args:
        images: uint8 [N, H, W, 3], at least one.
        titles: N lines; a line that does not fit is shortened.
        path: of a PNG to write, if any.
        correct: colours each title green or red.

    Returns:
        The grid, uint8 [rows, columns, 3] in pixels.

    Raises:
        ValueError: the images are not uint8, or the lengths differ.
    """
    _check_images(images, titles, correct)
    scale = math.ceil(_CELL / max(images.shape[1:3]))
    # Whole pixels are repeated, so that small images are not blurred.
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    count, height, width, _ = images.shape
    columns = min(columns, count)
    step_x, step_y = max(width, _CELL) + _GAP, height + _TITLE + _GAP
    total_x, total_y = columns * step_x + _GAP, -(-count // columns) * step_y + _GAP
    figure = Figure(figsize=(total_x / _DPI, total_y / _DPI), dpi=_DPI)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        # A class name in a script that the font lacks is shown as boxes.
        warnings.filterwarnings('ignore', message='Glyph')
        for index, (image, title) in enumerate(zip(images, titles)):
            left = _GAP + index % columns * step_x
            top = total_y - _GAP - index // columns * step_y
            colour = _INK if correct is None else _GREEN if correct[index] else _RED
            _write_title(figure, canvas, title, left, top - 16, step_x - _GAP, colour)
            figure.figimage(image, left, top - _TITLE - height, origin='upper')
        canvas.draw()
    grid = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    if path is not None:
        with files.replacing(path) as file:
            imsave(file, grid, format='png')
    return grid


def _points(rows: Sequence[dict[str, float | int]], key: str) -> dict[float, float]:
    """The finite values of a column of metrics.csv, by epoch."""
    return {
        row['epoch']: row[key] for row in rows if math.isfinite(row.get(key, math.nan))
    }


def _draw(
    axes: Axes,
    rows: Sequence[dict[str, float | int]],
    key: str,
    label: str,
    colour: str,
    dashed: bool = False,
) -> None:
    if points := _points(rows, key):
        axes.plot(
            *zip(*points.items()),
            color=colour,
            label=label,
            linewidth=1.1 if dashed else 1.8,
            linestyle='--' if dashed else '-',
            # One epoch gives no line.
            marker='o' if len(points) <= 12 else None,
            markersize=3.5,
            markerfacecolor='white' if dashed else colour,
        )


def _mark(axes: Axes, epoch: float, value: float) -> None:
    axes.plot(
        epoch,
        value,
        marker='*',
        markersize=14,
        color=_INK,
        markeredgecolor='white',
        zorder=5,
        clip_on=False,
    )
    axes.set_title(
        f'best top-1 {value:.2%} in epoch {epoch}',
        loc='right',
        fontsize=9,
        fontweight='normal',
    )


def _explain(loss: Axes, accuracy: Axes) -> None:
    """Adds legends: of colours to the losses, of dashes to the accuracies."""
    if loss.get_legend_handles_labels()[1]:
        loss.legend(loc='best')
    if any(line.get_linestyle() == '--' for line in accuracy.lines):
        accuracy.legend(
            [Line2D([], [], color=_INK), Line2D([], [], color=_INK, linestyle='--')],
            ['top-1', 'top-5'],
            loc='best',
        )


def _write_title(
    figure: Figure,
    canvas: FigureCanvasAgg,
    title: str,
    left: int,
    bottom: int,
    width: int,
    colour: str,
) -> None:
    """Writes one line at a position in pixels, shortened with … to the width."""
    text = figure.text(
        left / figure.bbox.width,
        bottom / figure.bbox.height,
        title,
        color=colour,
        fontsize=9,
        parse_math=False,
    )
    renderer: Any = canvas.get_renderer()
    while title and text.get_window_extent(renderer).width > width:
        title = title[:-1]
        text.set_text(title.rstrip() + '…')


def _check_images(
    images: np.ndarray, titles: Sequence[str], correct: Sequence[bool] | None
) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
        raise ValueError(
            f'Expected images as uint8 [N, H, W, 3], got {images.dtype} '
            f'{list(images.shape)}.'
        )
    lengths = {len(images), len(titles), len(titles if correct is None else correct)}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f'Expected as many titles (and marks) as images, and at least one, got '
            f'{len(images)} images, {len(titles)} titles and '
            f'{"no" if correct is None else len(correct)} marks.'
        )
