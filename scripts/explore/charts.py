"""Charts of a survey as PNGs, drawn for a light or for a dark page."""

import io
import warnings
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scripts.common.formatting import short
from vision.data import SPLITS, Source
from vision.survey.statistics import class_counts
from vision.survey.survey import Survey

_COLOURS = dict(zip(SPLITS, ('#4c78a8', '#f58518', '#54a24b')))
_NAMED = 40  # Bars that have room for their names.
_BINS = 40
_DPI = 110


class Theme(NamedTuple):
    """Colours of what is not data."""

    ink: str
    paper: str
    line: str


LIGHT = Theme('#333333', '#ffffff', '#dddddd')
DARK = Theme('#d8d8d8', '#1b1e23', '#3a3f47')


class Chart(NamedTuple):
    """The same PNG for either theme, and what it shows."""

    light: bytes
    dark: bytes
    description: str


def draw_all(survey: Survey) -> dict[str, Chart]:
    """The charts by name: 'classes', and 'sizes' and 'colours' where there are any."""
    drawn = {
        'classes': Chart(
            classes(survey.source, LIGHT),
            classes(survey.source, DARK),
            'Bar chart of the images of each class in each split.',
        )
    }
    if survey.good.any():
        drawn['sizes'] = Chart(
            sizes(survey, LIGHT),
            sizes(survey, DARK),
            'Scatter plot of width and height, and histogram of aspect ratios.',
        )
        drawn['colours'] = Chart(
            colours(survey, LIGHT),
            colours(survey, DARK),
            'Histograms of brightness and contrast by split.',
        )
    return drawn


def classes(source: Source, theme: Theme) -> bytes:
    """Images of each class, the splits in one bar; a PNG."""
    counts = class_counts(source)
    number = len(source.classes)
    named = number <= _NAMED
    figure = Figure(
        figsize=(8, max(0.24 * number + 1, 2) if named else 4),
        dpi=_DPI,
        layout='constrained',
    )
    axes = figure.subplots()
    # Where there is no room for names, the largest comes first.
    order = np.arange(number) if named else np.argsort(-counts['train'], kind='stable')
    ends = np.zeros(number)
    for split in SPLITS:
        _bars(axes, counts[split][order], ends, split, across=named)
        ends += counts[split][order]
    if named:
        axes.set_yticks(
            range(number),
            [short(name, 24) for name in source.classes],
            parse_math=False,
        )
        axes.invert_yaxis()
        axes.margins(y=0.5 / number)
        axes.set_xlabel('images')
    else:
        axes.set_xlabel(f'{number:,} classes, the largest first')
        axes.set_ylabel('images')
        axes.margins(x=0.01)
    _dress(axes, 'Images of each class', theme, grid='x' if named else 'y')
    _explain(figure, axes, theme)
    return _png(figure, theme)


def _bars(
    axes: Axes, lengths: np.ndarray, starts: np.ndarray, split: str, across: bool
) -> None:
    style: dict[str, Any] = {'color': _COLOURS[split], 'label': split}
    if across:
        axes.barh(np.arange(len(lengths)), lengths, left=starts, **style)
    else:
        axes.bar(np.arange(len(lengths)), lengths, bottom=starts, **style)


def sizes(survey: Survey, theme: Theme) -> bytes:
    """Width by height, and the aspect ratio; a PNG."""
    facts = survey.facts[survey.good]
    figure = Figure(figsize=(10, 4.2), dpi=_DPI, layout='constrained')
    scatter, aspect = figure.subplots(1, 2)
    measured = np.stack([facts['width'], facts['height']], 1)
    places, counts = np.unique(measured, axis=0, return_counts=True)
    area = 6 + 250 * counts / max(counts.max(initial=0), 20)
    scatter.scatter(*places.T, s=area, alpha=0.45, color=_COLOURS['train'], linewidth=0)
    if len(places) == 1:
        scatter.annotate(
            f'all {places[0][0]} × {places[0][1]}',
            places[0],
            xytext=(0, 16),
            textcoords='offset points',
            ha='center',
            color=theme.ink,
        )
    scatter.set_xlabel('width in pixels')
    scatter.set_ylabel('height in pixels')
    scatter.set_xlim(0, 1.05 * places[:, 0].max(initial=1))
    scatter.set_ylim(0, 1.1 * places[:, 1].max(initial=1))
    _dress(scatter, 'Sizes (larger dots: more images)', theme)
    # Half as wide and twice as wide as high are as far from a square.
    ratios = np.log2(facts['width'] / np.maximum(facts['height'], 1))
    reach = max(np.abs(ratios).max(initial=0), 1)
    aspect.hist(ratios, np.linspace(-reach, reach, _BINS + 1), color=_COLOURS['train'])
    marks = [m for m in (-3, -2, -1, -0.585, 0, 0.585, 1, 2, 3) if abs(m) <= reach]
    names = {-0.585: '2:3', 0.585: '3:2', 0: '1:1'}
    aspect.set_xticks(
        marks, [names.get(m, f'{2**m:g}:1' if m > 0 else f'1:{2**-m:g}') for m in marks]
    )
    aspect.set_xlabel('width : height')
    aspect.set_ylabel('images')
    _dress(aspect, 'Aspect ratio', theme)
    return _png(figure, theme)


def colours(survey: Survey, theme: Theme) -> bytes:
    """How brightness and contrast are spread in each split; a PNG."""
    figure = Figure(figsize=(10, 3.6), dpi=_DPI, layout='constrained')
    panels = figure.subplots(1, 2)
    for axes, field, title in zip(
        panels,
        ('brightness', 'contrast'),
        ('Mean luminance', 'Standard deviation of it'),
    ):
        high = 1.0 if field == 'brightness' else 0.5
        for split in SPLITS:
            values = survey.facts[field][survey.members(split) & survey.good]
            # Shares, so that splits of different sizes can lie upon each other.
            axes.hist(
                values,
                np.linspace(0, high, _BINS + 1),
                histtype='step',
                weights=np.full(len(values), 100 / max(len(values), 1)),
                color=_COLOURS[split],
                label=split,
                linewidth=1.5,
            )
        axes.set_xlabel(f'{field}, 0 to {high:g}')
        axes.set_ylabel('% of the split')
        _dress(axes, title, theme)
    _explain(figure, panels[0], theme)
    return _png(figure, theme)


def _dress(axes: Axes, title: str, theme: Theme, grid: str = 'both') -> None:
    axes.set_title(title, loc='left', fontsize=11, fontweight='bold', color=theme.ink)
    axes.set_facecolor(theme.paper)
    axes.grid(axis=grid, color=theme.line, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    axes.spines[['left', 'bottom']].set_color(theme.line)
    axes.tick_params(colors=theme.ink, labelsize=9)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.ink)
    if axes.get_ylabel() == 'images':
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _explain(figure: Figure, axes: Axes, theme: Theme) -> None:
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc='outside upper right',
        ncols=len(SPLITS),
        frameon=False,
        fontsize=9,
        labelcolor=theme.ink,
    )


def _png(figure: Figure, theme: Theme) -> bytes:
    figure.set_facecolor(theme.paper)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in a script that the font lacks is shown as boxes.
        warnings.filterwarnings('ignore', message='Glyph')
        FigureCanvasAgg(figure).print_figure(buffer, format='png')
    return buffer.getvalue()
