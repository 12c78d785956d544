"""The files that an exploration leaves in its folder."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from scripts.exploration import before_after, charts, choices, grids, page
from scripts.exploration.before_after import Row
from scripts.exploration.summary import Findings
from trainers import files
from vision.errors import UserError

_NAMES = ('index.html', 'classes.png', 'samples.png', 'sizes.png', 'colours.png',
          'brightness.png', 'augmentation.png', 'duplicates.png', 'duplicates.csv',
          'summary.json')
_COLUMNS = ('split_a', 'path_a', 'class_a', 'split_b', 'path_b', 'class_b', 'distance',
            'kind')


class OutputError(UserError):
    """The results cannot be written where they should go."""


def check_writable(folder: Path) -> None:
    """Makes the folder; a wrong path shows before the work, not after it.

    Raises OutputError where that cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / '.explore.tmp'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f'Expected --output to be a folder that can be written to, '
                          f'got {folder}: {error.strerror}. Choose another.') from error


def write(findings: Findings, folder: Path, seed: int,
          augmented: Sequence[Row] = ()) -> list[Path]:
    """Replaces our files in the folder and leaves all others; returns what is there.

    A file of an earlier exploration for which there is nothing to show now is removed.

    Raises OutputError where a file cannot be written.
    """
    written = []
    try:
        for name, content in _contents(findings, seed, augmented):
            files.write_atomically(folder / name, content)
            written.append(folder / name)
        for name in _NAMES:
            if folder / name not in written:
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f'{folder}: the results could not be written: {error}. Choose '
            'another --output.') from error
    return sorted(written, key=lambda path: _NAMES.index(path.name))


def _contents(findings: Findings, seed: int,
              augmented: Sequence[Row]) -> Iterator[tuple[str, bytes | str]]:
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
        yield 'augmentation.png', grids.png(before_after.draw(augmented))
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
