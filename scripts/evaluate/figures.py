"""Figures of an evaluation as PNGs."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from scripts.common.formatting import short
from scripts.common.names import class_name
from scripts.common.png import figure_png
from trainers.evaluation import metrics
from trainers.evaluation.calibration import BINS, Reliability
from trainers.evaluation.evaluation import Evaluation

_INK = '#333333'
_BLUE = '#4c78a8'
_ORANGE = '#f58518'
_LINE = '#e5e5e5'
_DPI = 110
_WITH_NUMBERS = 20  # Classes up to which cells have room for their counts,
_WITH_NAMES = 60  # and up to which rows have room for their names.
_CURVES = 10
# White at 0, so that a single mistake among thousands can be seen beside it.
_SHARES = LinearSegmentedColormap.from_list(
    'shares', [(0.0, '#ffffff'), (1e-4, '#eaf0f6'), (0.25, '#a9c3de'), (1.0, '#23527c')]
)


def confusion(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> bytes:
    """The confusion matrix, each row in shares of its class; a PNG.

    Args:
        counts: int `[rows, columns]`, images by their class and by what they are
            named.
        rows, columns: names of the classes.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(counts.shape)
    inches = (
        1.2 + 0.55 * size
        if size <= _WITH_NUMBERS
        else 1.2 + 0.22 * size
        if size <= _WITH_NAMES
        else 9.0
    )
    figure = Figure(
        figsize=(max(inches, 3.0) + 2, max(inches, 3.0) + 1),
        dpi=_DPI,
        layout='compressed',
    )
    axes = figure.subplots()
    image = axes.imshow(shares, _SHARES, vmin=0, vmax=1, interpolation='nearest')
    if size <= _WITH_NUMBERS:
        _write_counts(axes, counts, shares)
    if size <= _WITH_NAMES:
        _name_cells(axes, rows, columns, 9 if size <= _WITH_NUMBERS else 7)
    else:
        _count_cells(axes)
    axes.spines[:].set_color('#bbbbbb')
    _title(axes, 'Confusion matrix')
    bar = figure.colorbar(image, shrink=0.7, format=PercentFormatter(1.0))
    bar.set_label('share of the class', color=_INK)
    bar.ax.tick_params(colors=_INK, labelsize=8)
    return figure_png(figure, tight=True)


def _name_cells(
    axes: Axes, rows: Sequence[str], columns: Sequence[str], size: int
) -> None:
    style: dict[str, Any] = {'fontsize': size, 'parse_math': False}
    longest = max(map(len, columns))
    axes.set_xticks(
        range(len(columns)),
        [class_name(name) for name in columns],
        rotation=90 if len(columns) > 4 or longest > 8 else 0,
        **style,
    )
    axes.set_yticks(range(len(rows)), [class_name(name) for name in rows], **style)
    axes.tick_params(colors=_INK, length=0)
    axes.set_xlabel('named', color=_INK)
    axes.set_ylabel('is', color=_INK)


def _count_cells(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=_INK)
    axes.set_xlabel('named (rows of classes.csv, counted from 0)', color=_INK)
    axes.set_ylabel('is', color=_INK)


def _write_counts(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    digits = len(str(counts.max(initial=0)))
    size = min(10, 26 / max(digits, 1))
    for (row, column), count in np.ndenumerate(counts):
        if count:
            colour = 'white' if shares[row, column] > 0.5 else _INK
            axes.text(
                column,
                row,
                str(count),
                ha='center',
                va='center',
                color=colour,
                fontsize=size,
            )


def reliability(drawn: dict[str, Reliability]) -> bytes:
    """Accuracy by confidence, and how many images have it; a PNG.

    Args:
        drawn: the reliability by its title; one panel each.
    """
    figure = Figure(figsize=(4.9 * len(drawn), 5.2), dpi=_DPI, layout='constrained')
    panels = figure.subplots(
        2, len(drawn), sharex=True, squeeze=False, height_ratios=[3, 1]
    )
    edges = np.linspace(0, 1, BINS + 1)
    middles, width = (edges[1:] + edges[:-1]) / 2, 1 / BINS
    for place, (title, found) in enumerate(drawn.items()):
        upper, lower = panels[:, place]
        used = found.counts > 0
        upper.bar(
            middles[used],
            found.accuracy[used],
            width,
            color=_BLUE,
            edgecolor='white',
            linewidth=0.8,
            label='accuracy',
        )
        gap = found.confidence[used] - found.accuracy[used]
        upper.bar(
            middles[used],
            gap,
            width,
            found.accuracy[used],
            color='none',
            edgecolor=_ORANGE,
            linewidth=1.2,
            hatch='///',
            label='gap to mean confidence',
        )
        upper.plot([0, 1], [0, 1], color=_INK, linewidth=0.9, linestyle='--')
        upper.set_xlim(0, 1)
        upper.set_ylim(0, 1)
        upper.yaxis.set_major_formatter(PercentFormatter(1.0))
        _dress(upper, f'{title}: error {100 * found.error:.2f} %')
        lower.bar(
            middles,
            found.counts,
            width,
            color='#9d9d9d',
            edgecolor='white',
            linewidth=0.8,
        )
        lower.xaxis.set_major_formatter(PercentFormatter(1.0))
        lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        lower.set_xlabel('confidence', color=_INK)
        _dress(lower, '')
        if place == 0:
            upper.set_ylabel('accuracy', color=_INK)
            lower.set_ylabel('images', color=_INK)
            figure.legend(
                *upper.get_legend_handles_labels(),
                loc='outside upper right',
                ncols=2,
                frameon=False,
                fontsize=9,
                labelcolor=_INK,
            )
    return figure_png(figure)


def precision_recall(evaluation: Evaluation) -> bytes:
    """Curves of all classes together and of some alone; a PNG."""
    figure = Figure(figsize=(9.6, 5.2), dpi=_DPI, layout='constrained')
    axes = figure.subplots()
    micro = metrics.micro_average(evaluation.probabilities, evaluation.labels)
    _curve(
        axes,
        micro,
        f'all, micro average ({micro.average:.3f})',
        color=_INK,
        linewidth=2.2,
        zorder=5,
    )
    chosen = curve_classes(evaluation.average_precisions)
    colours = _colours(len(chosen))
    for label, colour in zip(chosen, colours):
        curve = metrics.class_curve(evaluation.probabilities, evaluation.labels, label)
        name = class_name(evaluation.classes[label])
        _curve(
            axes, curve, f'{name} ({curve.average:.3f})', color=colour, linewidth=1.2
        )
    axes.set_xlim(0, 1.005)
    axes.set_ylim(_floor(axes), 1.01)
    axes.set_xlabel('recall', color=_INK)
    axes.set_ylabel('precision', color=_INK)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    _dress(axes, 'Precision and recall')
    several = np.isfinite(evaluation.average_precisions).sum() > len(chosen)
    legend = figure.legend(
        loc='outside right upper',
        frameon=False,
        fontsize=9,
        labelcolor=_INK,
        title_fontsize=9,
        title='Average precision' + (',\nthe worst and the best' if several else ''),
    )
    legend.get_title().set_color(_INK)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure_png(figure)


def _floor(axes: Axes) -> float:
    """Where to begin the axis: the curves of a good network lie close to the top."""
    lowest = min(np.min(line.get_ydata()) for line in axes.lines)
    return math.floor(10 * max(lowest - 0.05, 0)) / 10


def curve_classes(averages: np.ndarray) -> list[int]:
    """Labels of the classes to draw: up to ten, else the five worst and five best."""
    there = np.flatnonzero(np.isfinite(averages))
    if len(there) <= _CURVES:
        return there.tolist()
    ranked = there[np.argsort(averages[there], kind='stable')]
    half = _CURVES // 2
    return [*ranked[:half].tolist(), *ranked[-half:].tolist()]


def intervals(
    rows: Sequence[tuple[str, float, float, float]], title: str, zero: bool
) -> bytes:
    """Figures in percent with their intervals, one below the other; a PNG.

    Args:
        rows: name, value, low and high each.
        title: of the figure.
        zero: whether a line marks 0, where differences change sides.
    """
    figure = Figure(
        figsize=(7.6, 1.3 + 0.42 * len(rows)), dpi=_DPI, layout='constrained'
    )
    axes = figure.subplots()
    values = 100 * np.array([row[1:] for row in rows])
    places = np.arange(len(rows))
    axes.errorbar(
        values[:, 0],
        places,
        fmt='o',
        color=_BLUE,
        capsize=4,
        xerr=np.abs(values[:, 1:] - values[:, :1]).T,
    )
    if zero:
        axes.axvline(0, color=_INK, linewidth=0.9, linestyle='--')
    axes.set_yticks(places, [short(row[0], 44) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.set_major_formatter('{x:g} %')
    _dress(axes, title, grid='x')
    return figure_png(figure)


def _curve(axes: Axes, curve: metrics.Curve, label: str, **style: Any) -> None:
    # From a recall of 0 on, as precise as the most confident are.
    recall = np.concatenate([[0], curve.recall])
    precision = np.concatenate([curve.precision[:1], curve.precision])
    if len(recall) > 2000:  # more points than pixels
        kept = np.unique(np.linspace(0, len(recall) - 1, 2000).astype(int))
        recall, precision = recall[kept], precision[kept]
    axes.step(recall, precision, where='pre', label=label, **style)


def _colours(count: int) -> list[str]:
    """Colours to tell lines apart; of ten, the same as of the worst and the best."""
    every = [
        '#4c78a8',
        '#f58518',
        '#e45756',
        '#72b7b2',
        '#54a24b',
        '#eeca3b',
        '#b279a2',
        '#ff9da6',
        '#9d755d',
        '#8c8c8c',
    ]
    return every[:count]


def _dress(axes: Axes, title: str, grid: str = 'y') -> None:
    if title:
        _title(axes, title)
    axes.grid(axis=grid, color=_LINE, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color('#bbbbbb')
    axes.tick_params(colors=_INK, labelsize=9)


def _title(axes: Axes, title: str) -> None:
    axes.set_title(title, loc='left', fontsize=11, fontweight='bold', color=_INK)
