"""The files of an exploration."""

import json
from collections.abc import Sequence
from pathlib import Path

from scripts.common.formatting import csv_text
from scripts.common.output_folder import replace
from scripts.explore import charts, grids, page
from scripts.explore.augmentation import Augmented
from scripts.explore.summary import Findings, samples, shown_pairs

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
    survey = findings.survey
    drawn = charts.draw_all(survey)
    chosen, pairs = samples(survey, seed), shown_pairs(findings)
    contents: dict[str, bytes | str | None] = {
        'summary.json': json.dumps(findings.numbers, indent=2, allow_nan=False) + '\n',
        'duplicates.csv': _duplicates_csv(findings),
        **{f'{name}.png': chart.light for name, chart in drawn.items()},
        'brightness.png': grids.extremes(survey) if survey.good.any() else None,
        'samples.png': grids.samples(survey, chosen) if chosen else None,
        'augmentation.png': grids.augmentation(augmented) if augmented else None,
        'duplicates.png': grids.duplicates(findings, pairs) if pairs else None,
        'index.html': page.build(findings, drawn, chosen, pairs, augmented),
    }
    return replace(folder, contents, _NAMES)


def _duplicates_csv(findings: Findings) -> str:
    survey, pairs = findings.survey, findings.duplicates
    rows = (
        [
            survey.split_name(first),
            survey.name(first),
            survey.class_name(first),
            survey.split_name(second),
            survey.name(second),
            survey.class_name(second),
            distance,
            kind,
        ]
        for (first, second), distance, kind in zip(
            pairs.pairs.tolist(), pairs.distances, pairs.kinds
        )
    )
    return csv_text(_COLUMNS, rows)
