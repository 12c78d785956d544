"""Charts of a survey as PNG files, for a light and for a dark page."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scripts.common.formatting import class_name
from scripts.common.images import DARK, LIGHT, figure_png
from vision.data import SPLITS
from vision.survey.statistics import class_counts
from vision.survey.survey import Survey

_COLOURS = dict(zip(SPLITS, ('#4c78a8', '#f58518', '#54a24b')))
_NAMED = 40  # Bars that have room for their names.
_BINS = 40


class Chart(NamedTuple):
    """The same chart as a PNG file for either theme, and what it shows."""

    light: bytes
    dark: bytes
    description: str


def draw_all(survey: Survey) -> dict[str, Chart]:
    """The charts by name: 'classes', and 'sizes' and 'colours' of decodable images."""
    drawings = {'classes': (classes, 'Bar chart of the images of each class by split.')}
    if survey.good.any():
        drawings |= {
            'sizes': (
                sizes,
                'Scatter plot of width and height, and histogram of aspect ratios.',
            ),
            'colours': (colours, 'Histograms of brightness and contrast by split.'),
        }

    def drawn(draw: Callable[[Survey], Figure], theme: dict[str, Any]) -> bytes:
        with style.context(theme):
            return figure_png(draw(survey))

    return {
        name: Chart(drawn(draw, LIGHT), drawn(draw, DARK), description)
        for name, (draw, description) in drawings.items()
    }


def classes(survey: Survey) -> Figure:
    """Bar chart of the images of each class in each split."""
    counts, names = class_counts(survey.source), survey.source.classes
    number = len(names)
    named = number <= _NAMED
    figure = Figure(figsize=(8, max(0.24 * number + 1, 2) if named else 6))
    axes = figure.subplots()
    # Without room for names, the bars are ordered by length.
    order = np.arange(number) if named else np.argsort(-counts['train'], kind='stable')
    ends = np.zeros(number)
    for split in SPLITS:
        starts, ends = ends, ends + counts[split][order]
        color = _COLOURS[split]
        if named:
            lengths = ends - starts
            axes.barh(range(number), lengths, left=starts, color=color, label=split)
        else:  # Hundreds of bars take seconds to draw.
            edges = np.arange(number + 1) - 0.5
            axes.stairs(
                ends,
                edges,
                baseline=starts,
                orientation='horizontal',
                fill=True,
                color=color,
                label=split,
            )
    if named:
        axes.set_yticks(
            range(number), [class_name(name, 24) for name in names], parse_math=False
        )
    else:
        axes.set_ylabel(f'{number:,} classes, by their images in train')
    axes.invert_yaxis()
    axes.margins(y=0.5 / number)
    axes.grid(visible=False, axis='y')
    axes.set(xlabel='images', title='Images of each class')
    _explain_splits(figure, axes)
    return figure


def sizes(survey: Survey) -> Figure:
    """Scatter plot of width and height, and histogram of aspect ratios."""
    facts = survey.facts[survey.good]
    figure = Figure(figsize=(10, 4.2))
    scatter, aspect = figure.subplots(1, 2)
    _scatter_sizes(scatter, np.stack([facts['width'], facts['height']], 1))
    # On a logarithmic scale, 1:2 and 2:1 are at the same distance from a square.
    ratios = np.log2(facts['width'] / np.maximum(facts['height'], 1))
    reach = max(np.abs(ratios).max(), 1)
    aspect.hist(ratios, np.linspace(-reach, reach, _BINS + 1), color=_COLOURS['train'])
    names = {
        -3: '1:8',
        -2: '1:4',
        -1: '1:2',
        -0.585: '2:3',
        0: '1:1',
        0.585: '3:2',
        1: '2:1',
        2: '4:1',
        3: '8:1',
    }
    marks = [mark for mark in names if abs(mark) <= reach]
    aspect.set_xticks(marks, [names[mark] for mark in marks])
    aspect.set(xlabel='width : height', ylabel='images', title='Aspect ratio')
    aspect.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def _scatter_sizes(axes: Axes, sizes: np.ndarray) -> None:
    places, counts = np.unique(sizes, axis=0, return_counts=True)
    width, height = places.T
    axes.scatter(
        width,
        height,
        s=6 + 250 * counts / max(counts.max(), 20),
        alpha=0.45,
        color=_COLOURS['train'],
        linewidth=0,
    )
    if len(places) == 1:
        axes.annotate(
            f'all {width[0]} × {height[0]}',
            places[0],
            xytext=(0, 16),
            textcoords='offset points',
            ha='center',
        )
    axes.set(
        xlim=(0, 1.05 * width.max()),
        ylim=(0, 1.1 * height.max()),
        xlabel='width in pixels',
        ylabel='height in pixels',
        title='Sizes (larger dots: more images)',
    )


def colours(survey: Survey) -> Figure:
    """Histograms of brightness and contrast by split."""
    figure = Figure(figsize=(10, 3.6))
    panels = figure.subplots(1, 2)
    for axes, field, high, title in (
        (panels[0], 'brightness', 1.0, 'Brightness (mean luminance)'),
        (panels[1], 'contrast', 0.5, 'Contrast (standard deviation of luminance)'),
    ):
        for split in SPLITS:
            values = survey.facts[field][survey.members(split) & survey.good]
            axes.hist(
                values,
                np.linspace(0, high, _BINS + 1),
                histtype='step',
                # Splits of different sizes are compared by their shares.
                weights=np.full(len(values), 100 / max(len(values), 1)),
                color=_COLOURS[split],
                label=split,
                linewidth=1.5,
            )
        axes.set(xlabel=f'{field}, 0 to {high:g}', ylabel='% of the split', title=title)
    _explain_splits(figure, panels[0])
    return figure


def _explain_splits(figure: Figure, axes: Axes) -> None:
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc='outside upper right',
        ncols=len(SPLITS),
    )
