"""Figures of an evaluation as PNGs: charts, and grids of images."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from scripts.common.formatting import class_name, short
from scripts.common.images import LIGHT, figure_png, png
from scripts.evaluate import content
from trainers.evaluation import metrics
from trainers.evaluation.calibration import BINS, Reliability
from trainers.evaluation.evaluation import Evaluation
from trainers.reporting.plots import image_grid
from vision import data

_INK = LIGHT['text.color']
_BLUE = '#4c78a8'
_WITH_COUNTS = 20  # Classes up to which cells have room for their counts,
_WITH_NAMES = 60  # and up to which rows have room for their names.
_CURVES = 10
_POINTS = 2000  # More than pixels in a curve.
ERRORS = 20
_SIDE = 192  # Pixels that leave room for two names above an image.
# White at 0, so that a single error among thousands can be seen beside it.
_SHARES = LinearSegmentedColormap.from_list(
    'shares', [(0.0, '#ffffff'), (1e-4, '#eaf0f6'), (0.25, '#a9c3de'), (1.0, '#23527c')]
)
# Names of classes and runs are no formulas, whatever signs they contain.
_STYLE = {**LIGHT, 'text.parse_math': False}


@style.context(_STYLE)
def confusion(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> bytes:
    """The confusion matrix, each row in shares of its class; a PNG.

    Args:
        counts: int `[rows, columns]`, images by label and prediction.
        rows, columns: names of the classes.
    """
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    size = max(counts.shape)
    named, counted = size <= _WITH_NAMES, size <= _WITH_COUNTS
    side = max(1.2 + size * (0.55 if counted else 0.22), 3.0) if named else 9.0
    figure = Figure(figsize=(side + 2, side + 1), layout='compressed')
    axes = figure.subplots()
    image = axes.imshow(shares, _SHARES, vmin=0, vmax=1, interpolation='nearest')
    axes.grid(visible=False)
    axes.set(title='Confusion matrix', xlabel='predicted', ylabel='label')
    if counted:
        for row, column in np.argwhere(counts):
            axes.text(
                column,
                row,
                str(counts[row, column]),
                ha='center',
                va='center',
                color='white' if shares[row, column] > 0.5 else _INK,
                fontsize=min(10, 26 / len(str(counts.max()))),
            )
    if named:
        _name_cells(axes, rows, columns, 9 if counted else 7)
    else:
        axes.set_xlabel('predicted (rows of classes.csv, counted from 0)')
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
    figure.colorbar(
        image, shrink=0.7, format=PercentFormatter(1.0), label='share of the class'
    )
    return figure_png(figure, tight=True)


def _name_cells(
    axes: Axes, rows: Sequence[str], columns: Sequence[str], size: int
) -> None:
    upright = len(columns) <= 4 and max(map(len, columns)) <= 8
    axes.set_xticks(
        range(len(columns)),
        [class_name(name) for name in columns],
        rotation=0 if upright else 90,
        fontsize=size,
    )
    axes.set_yticks(
        range(len(rows)), [class_name(name) for name in rows], fontsize=size
    )
    axes.tick_params(length=0)


@style.context(_STYLE)
def reliability(panels: dict[str, Reliability]) -> bytes:
    """Accuracy by confidence, and how many images have it; a PNG.

    Args:
        panels: the reliability by its title.
    """
    figure = Figure(figsize=(4.9 * len(panels), 5.2))
    axes = figure.subplots(
        2, len(panels), sharex=True, squeeze=False, height_ratios=[3, 1]
    )
    for (title, drawn), upper, lower in zip(panels.items(), *axes):
        _draw_reliability(upper, lower, drawn)
        upper.set_title(f'{title}: error {100 * drawn.error:.2f} %')
    axes[0, 0].set_ylabel('accuracy')
    axes[1, 0].set_ylabel('images')
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc='outside upper right', ncols=2
    )
    return figure_png(figure)


def _draw_reliability(upper: Axes, lower: Axes, drawn: Reliability) -> None:
    width = 1 / BINS
    middles = (np.arange(BINS) + 0.5) * width
    used = drawn.counts > 0
    accuracy, confidence = drawn.accuracy[used], drawn.confidence[used]
    upper.bar(
        middles[used],
        accuracy,
        width,
        color=_BLUE,
        edgecolor='white',
        linewidth=0.8,
        label='accuracy',
    )
    upper.bar(
        middles[used],
        confidence - accuracy,
        width,
        accuracy,
        color='none',
        edgecolor='#f58518',
        linewidth=1.2,
        hatch='///',
        label='gap to mean confidence',
    )
    upper.plot([0, 1], [0, 1], color=_INK, linewidth=0.9, linestyle='--')
    upper.set(xlim=(0, 1), ylim=(0, 1))
    upper.yaxis.set_major_formatter(PercentFormatter(1.0))
    lower.bar(
        middles, drawn.counts, width, color='#9d9d9d', edgecolor='white', linewidth=0.8
    )
    lower.xaxis.set_major_formatter(PercentFormatter(1.0))
    lower.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    lower.set_xlabel('confidence')


@style.context(_STYLE)
def precision_recall(evaluation: Evaluation) -> bytes:
    """Curves of all classes together and of some alone; a PNG."""
    figure = Figure(figsize=(9.6, 5.2))
    axes = figure.subplots()
    probabilities, labels = evaluation.probabilities, evaluation.labels
    _draw_curve(
        axes,
        metrics.micro_average(probabilities, labels),
        'all, micro average',
        color=_INK,
        linewidth=2.2,
        zorder=5,
    )
    drawn = curve_classes(evaluation.average_precisions)
    for label, colour in zip(drawn, matplotlib.color_sequences['tab10']):
        _draw_curve(
            axes,
            metrics.class_curve(probabilities, labels, label),
            class_name(evaluation.classes[label]),
            color=colour,
            linewidth=1.2,
        )
    # The curves of a good network lie close to the top.
    lowest = min(np.min(line.get_ydata()) for line in axes.lines)
    axes.set(
        xlim=(0, 1.005),
        ylim=(math.floor(10 * max(lowest - 0.05, 0)) / 10, 1.01),
        xlabel='recall',
        ylabel='precision',
        title='Precision and recall',
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0))
    left_out = np.isfinite(evaluation.average_precisions).sum() > len(drawn)
    figure.legend(
        loc='outside right upper',
        title='Average precision' + (',\nthe worst and the best' if left_out else ''),
    )
    return figure_png(figure)


def curve_classes(averages: np.ndarray) -> list[int]:
    """Labels of the classes to draw: up to ten, else the five worst and five best."""
    present = np.flatnonzero(np.isfinite(averages))
    if len(present) <= _CURVES:
        return present.tolist()
    ranked = present[np.argsort(averages[present], kind='stable')]
    half = _CURVES // 2
    return [*ranked[:half].tolist(), *ranked[-half:].tolist()]


def _draw_curve(axes: Axes, curve: metrics.Curve, name: str, **line: Any) -> None:
    # From a recall of 0 on, with the precision of the most confident predictions.
    recall = np.concatenate([[0], curve.recall])
    precision = np.concatenate([curve.precision[:1], curve.precision])
    kept = np.unique(np.linspace(0, len(recall) - 1, _POINTS).astype(int))
    axes.step(
        recall[kept],
        precision[kept],
        where='pre',
        label=f'{name} ({curve.average:.3f})',
        **line,
    )


@style.context(_STYLE)
def intervals(
    rows: Sequence[tuple[str, float, float, float]], title: str, zero: bool
) -> bytes:
    """Values in percent with their intervals, one below the other; a PNG.

    Args:
        rows: name, value, low and high of each.
        title: of the figure.
        zero: whether a line marks 0, where a difference changes its sign.
    """
    figure = Figure(figsize=(7.6, 1.3 + 0.42 * len(rows)))
    axes = figure.subplots()
    values = 100 * np.array([row[1:] for row in rows])
    axes.errorbar(
        values[:, 0],
        range(len(rows)),
        fmt='o',
        color=_BLUE,
        capsize=4,
        xerr=np.abs(values[:, 1:] - values[:, :1]).T,
    )
    if zero:
        axes.axvline(0, color=_INK, linewidth=0.9, linestyle='--')
    axes.set_yticks(range(len(rows)), [short(row[0], 44) for row in rows])
    axes.set(ylim=(len(rows) - 0.5, -0.5), title=title)
    axes.xaxis.set_major_formatter('{x:g} %')
    axes.grid(visible=False, axis='y')
    return figure_png(figure)


def most_confident(evaluation: Evaluation, chosen: np.ndarray, count: int) -> list[int]:
    """Places of the images of the highest confidence, the highest first.

    Args:
        evaluation: its images.
        chosen: bool `[N]`, of which of them.
        count: of places, at most.
    """
    places = np.flatnonzero(chosen)
    order = np.argsort(-evaluation.confidence[places], kind='stable')
    return places[order[:count]].tolist()


def confident_errors(evaluation: Evaluation) -> bytes:
    """The most confident errors below their predictions and labels, as a PNG."""
    places = most_confident(evaluation, ~evaluation.correct, ERRORS)
    titles = [
        f'{_brief(evaluation, evaluation.predicted[i])} '
        f'{evaluation.confidence[i]:.0%}, is {_brief(evaluation, evaluation.labels[i])}'
        for i in places
    ]
    return grid(evaluation, places, titles)


def confused_pairs(evaluation: Evaluation) -> bytes:
    """The most confident error of each of the most confused pairs, as a PNG."""
    pairs = content.most_confused(evaluation)
    titles = [
        f'{count:,} × {_brief(evaluation, label)} → {_brief(evaluation, predicted)}'
        for label, predicted, count in pairs
    ]
    return grid(evaluation, [example(evaluation, *pair[:2]) for pair in pairs], titles)


def example(evaluation: Evaluation, label: int, predicted: int) -> int:
    """Place of the image of the highest confidence with that label and prediction."""
    of_pair = (evaluation.labels == label) & (evaluation.predicted == predicted)
    return most_confident(evaluation, of_pair, 1)[0]


def grid(
    evaluation: Evaluation,
    places: Sequence[int],
    titles: Sequence[str],
    correct: Sequence[bool] | None = None,
) -> bytes:
    """Images of an evaluation after the preprocessing of the network, as a PNG.

    Args:
        evaluation: its images.
        places: which of its images.
        titles: a line above each image.
        correct: colours each line green or red.
    """
    split = data.take(evaluation.split, evaluation.indices[list(places)])
    batches = data.eval_batches(
        split, batch_size=len(split), image_size=evaluation.classifier.image_size
    )
    images = next(iter(batches)).images.numpy()
    scale = math.ceil(_SIDE / images.shape[1])
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    return png(image_grid(images, titles, columns=4, correct=correct))


def _brief(evaluation: Evaluation, label: int) -> str:
    return class_name(evaluation.classes[label], 14)
