"""Grids of images as PNGs: samples of the classes, extremes, duplicates."""

from collections.abc import Sequence

import numpy as np

from scripts.common.formatting import brief, printable
from scripts.common.png import png
from scripts.explore import choices
from scripts.explore.summary import Findings
from trainers.reporting.plots import image_grid
from vision.survey.duplicates import conflicts
from vision.survey.images import SIDE, blank, tile
from vision.survey.survey import Survey

_GAP = 4  # Pixels between the two images of a pair.


def samples(survey: Survey, seed: int) -> bytes:
    """Images of the classes with their words as titles, a class in a row; a PNG."""
    chosen = choices.samples(survey, seed)
    width = max(map(len, chosen.values()))
    images, titles = [], []
    for label, indices in chosen.items():
        missing = width - len(indices)
        images += [tile(*survey.place(i)) for i in indices] + [blank()] * missing
        titles += [printable(survey.source.classes[label])] * len(indices)
        titles += [''] * missing
    return _grid(images, titles, width if len(chosen) <= 10 else 2 * width)


def extremes(survey: Survey) -> bytes:
    """The darkest, brightest and lowest-contrast images, a row of each; a PNG."""
    images, titles = [], []
    for title, indices in choices.extremes(survey).items():
        missing = choices.EXTREMES - len(indices)
        images += [tile(*survey.place(i)) for i in indices] + [blank()] * missing
        titles += [f'{title}: {brief(survey.name(i), 40)}' for i in indices]
        titles += [''] * missing
    return _grid(images, titles, choices.EXTREMES)


def duplicates(findings: Findings, pairs: Sequence[int]) -> bytes:
    """Pairs side by side, below their distance, splits and names; a PNG."""
    survey = findings.survey
    conflicting = conflicts(survey, findings.duplicates)
    images, titles = [], []
    for pair in pairs:
        first, second = findings.duplicates.pairs[pair].tolist()
        gap = np.full([SIDE, _GAP, 3], 255, np.uint8)
        sides = tile(*survey.place(first)), gap, tile(*survey.place(second))
        images.append(np.concatenate(sides, 1))
        distance = f'{findings.duplicates.distances[pair]} bits'
        titles.append(
            f'{"other class" if conflicting[pair] else distance}: '
            + ' | '.join(
                f'{survey.split_name(i)} {brief(survey.name(i), 16)}'
                for i in (first, second)
            )
        )
    return _grid(images, titles, 4)


def _grid(images: Sequence[np.ndarray], titles: Sequence[str], columns: int) -> bytes:
    return png(image_grid(np.stack(images), titles, columns=columns))
