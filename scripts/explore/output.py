"""The files that an exploration leaves in its folder."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.common.output_folder import OutputError, check_writable, replace
from scripts.common.png import png
from scripts.explore import before_after, charts, choices, grids, page
from scripts.explore.before_after import Row
from scripts.explore.summary import Findings

__all__ = ['check_writable', 'OutputError', 'write']

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
    findings: Findings, folder: Path, seed: int, augmented: Sequence[Row] = ()
) -> list[Path]:
    """Replaces our files in the folder and leaves all others; returns what is there.

    A file of an earlier exploration for which there is nothing to show now is removed.

    Raises OutputError where a file cannot be written.
    """
    return replace(folder, dict(_contents(findings, seed, augmented)), _NAMES)


def _contents(
    findings: Findings, seed: int, augmented: Sequence[Row]
) -> Iterator[tuple[str, bytes | str]]:
    """The names of the files, and what belongs into them."""
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
        yield 'augmentation.png', png(before_after.draw(augmented))
    if pairs := choices.pairs(findings):
        yield 'duplicates.png', grids.duplicates(findings, pairs)
    yield 'index.html', page.build(findings, drawn, seed, augmented)


def _duplicates_csv(findings: Findings) -> str:
    survey, found = findings.survey, findings.duplicates
    text = io.StringIO()
    rows = csv.writer(text, lineterminator='\n')
    rows.writerow(_COLUMNS)
    for pair, distance, kind in zip(found.pairs.tolist(), found.distances, found.kinds):
        described = [
            (survey.split_name(i), survey.name(i), survey.class_name(i)) for i in pair
        ]
        rows.writerow([*described[0], *described[1], distance, kind])
    return text.getvalue()
