"""The files of an exploration."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.common.formatting import csv_text
from scripts.common.images import png
from scripts.common.output_folder import replace
from scripts.explore import augmentation, charts, choices, grids, page
from scripts.explore.augmentation import Augmented
from scripts.explore.summary import Findings

_NAMES = (
    'index.html',
    'classes.png',
    'samples.png',
    'sizes.png',
    'colours.png',
    'brightness.png',
    'augmentation.png',
    'duplicates.png',
    'duplicates.csv',
    'summary.json',
)
_COLUMNS = (
    'split_a',
    'path_a',
    'class_a',
    'split_b',
    'path_b',
    'class_b',
    'distance',
    'kind',
)


def write(
    findings: Findings, folder: Path, seed: int, augmented: Sequence[Augmented] = ()
) -> list[Path]:
    """Writes the files of this command into the folder and leaves all others.

    A file of an earlier exploration that has no content now is removed.

    Args:
        findings: what was found.
        folder: where to; it exists.
        seed: of the choice of the sample images.
        augmented: training images before and after augmentation.

    Returns:
        The files that were written.

    Raises:
        OutputError: a file cannot be written.
    """
    return replace(folder, dict(_contents(findings, seed, augmented)), _NAMES)


def _contents(
    findings: Findings, seed: int, augmented: Sequence[Augmented]
) -> Iterator[tuple[str, bytes | str]]:
    """The names of the files with their contents."""
    survey = findings.survey
    yield 'summary.json', json.dumps(findings.numbers, indent=2, allow_nan=False) + '\n'
    yield 'duplicates.csv', _duplicates_csv(findings)
    drawn = charts.draw_all(survey)
    for name, chart in drawn.items():
        yield f'{name}.png', chart.light
    if survey.good.any():
        yield 'brightness.png', grids.extremes(survey)
    if choices.samples(survey, seed):
        yield 'samples.png', grids.samples(survey, seed)
    if augmented:
        yield 'augmentation.png', png(augmentation.grid(augmented))
    if pairs := choices.pairs(findings):
        yield 'duplicates.png', grids.duplicates(findings, pairs)
    yield 'index.html', page.build(findings, drawn, seed, augmented)


def _duplicates_csv(findings: Findings) -> str:
    survey, pairs = findings.survey, findings.duplicates
    described = (
        [
            text
            for image in pair
            for text in (
                survey.split_name(image),
                survey.name(image),
                survey.class_name(image),
            )
        ]
        for pair in pairs.pairs.tolist()
    )
    rows = zip(described, pairs.distances, pairs.kinds)
    return csv_text(
        _COLUMNS, ([*images, distance, kind] for images, distance, kind in rows)
    )
