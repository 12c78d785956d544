"""Grids of images as PNG files: samples, outliers, augmentation, duplicates."""

from collections.abc import Iterable, Sequence

import numpy as np

from scripts.common.formatting import brief, printable
from scripts.common.images import png, tile
from scripts.explore.augmentation import Augmented
from scripts.explore.summary import EXTREMES, Findings
from trainers.reporting.plots import image_grid
from vision.data.fetch import pixels
from vision.survey import statistics
from vision.survey.duplicates import conflicts
from vision.survey.survey import Survey

_SIDE = 144  # Pixels of an image in the grid.
_GAP = np.full([_SIDE, 4, 3], 255, np.uint8)  # Between the two images of a pair.


def samples(survey: Survey, chosen: dict[int, list[int]]) -> bytes:
    """Training images of the classes, titled by the class; a PNG file."""
    rows = [
        (images, [printable(survey.source.classes[label])] * len(images))
        for label, images in chosen.items()
    ]
    return _grid(survey, rows, 1 if len(rows) <= 10 else 2)


def extremes(survey: Survey) -> bytes:
    """The darkest, the brightest and the lowest-contrast images; a PNG file."""
    rows = []
    for title, images in statistics.extremes(survey, EXTREMES).items():
        names = [brief(survey.name(image), 40) for image in images]
        rows.append((images, [f'{title}: {names[0]}', *names[1:]]))
    return _grid(survey, rows)


def _grid(
    survey: Survey,
    rows: Sequence[tuple[Sequence[int] | np.ndarray, list[str]]],
    across: int = 1,
) -> bytes:
    """Images with their titles, padded to rows of one length, some rows in a line."""
    width = max(len(images) for images, _ in rows)
    tiles, titles = [], []
    for images, row_titles in rows:
        missing = width - len(images)
        tiles += [_tile(survey, image) for image in images]
        tiles += [np.full([_SIDE, _SIDE, 3], 255, np.uint8)] * missing
        titles += [*row_titles, *[''] * missing]
    return png(image_grid(np.stack(tiles), titles, columns=across * width))


def augmentation(augmented: Sequence[Augmented]) -> bytes:
    """A row for each example, titled by its augmentations; a PNG file."""
    columns = len(augmented[0].images)
    images = [image for example in augmented for image in example.images]
    titles = [
        title
        for example in augmented
        for title in ('before', example.augment, *[''] * (columns - 2))
    ]
    return png(image_grid(np.stack(images), titles, columns=columns))


def duplicates(findings: Findings, pairs: Iterable[int]) -> bytes:
    """Pairs side by side, titled by distance, splits and names; a PNG file."""
    survey, matches = findings.survey, findings.duplicates
    conflicting = conflicts(survey, matches)
    images, titles = [], []
    for pair in pairs:
        first, second = matches.pairs[pair].tolist()
        images.append(
            np.concatenate([_tile(survey, first), _GAP, _tile(survey, second)], 1)
        )
        names = (
            f'{survey.split_name(image)} {brief(survey.name(image), 16)}'
            for image in (first, second)
        )
        title = (
            'label conflict' if conflicting[pair] else f'{matches.distances[pair]} bits'
        )
        titles.append(f'{title}: {" | ".join(names)}')
    return png(image_grid(np.stack(images), titles, columns=4))


def _tile(survey: Survey, image: int) -> np.ndarray:
    return tile(pixels(*survey.place(image)), _SIDE)
