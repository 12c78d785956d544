"""The files that explanations become."""

import csv
import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.evaluation.names import class_name
from scripts.explanation.explaining import Explanation
from scripts.explanation.overlays import overlay, shown, tile
from scripts.exploration.grids import png
from scripts.exploration.output import OutputError
from trainers import files
from trainers.classifier import Classifier
from trainers.plots import picture_grid

_ROWS = 40  # Of a sheet; a PNG with many more opens slowly.
_LONGEST = 180  # Bytes of a file's name without method and suffix.
_COLUMNS = ('file', 'label', 'prediction', 'class', 'probability', 'method', 'endpoint',
            'without_highlighted', 'without_random', 'overlay')


class Row(NamedTuple):
    """A row of the sheet: the picture and its overlays, each below its title."""

    titles: list[str]
    tiles: list[np.ndarray]


class Output:
    """Writes overlays as they come, then the sheets and the table of all of them.

    Args:
        folder: where to; it is there already.
        classifier: names the classes.

    Methods raise OutputError where a file cannot be written.
    """

    def __init__(self, folder: Path, classifier: Classifier):
        self.folder = folder
        self.classes = classifier.classes
        self.rows: list[Row] = []
        self._lines: list[list[str]] = []
        self._taken: set[str] = set()

    def add(self, explanation: Explanation, pixels: np.ndarray) -> None:
        """Writes an overlay for each method; pixels: the picture, uint8 `[h, w, 3]`."""
        name = self._name(explanation)
        pixels = shown(pixels)
        titles, tiles = [self._title(explanation)], [tile(pixels)]
        for method, evidence in explanation.evidence.items():
            drawn = overlay(pixels, evidence.map)
            path = self.folder / f'{name}-{method}.png'
            _write(path, png(drawn))
            titles.append(_change(method, explanation.probability,
                                  evidence.highlighted))
            tiles.append(tile(drawn))
            self._lines.append(self._line(explanation, method, path.name))
        self.rows.append(Row(titles, tiles))

    def finish(self) -> list[Path]:
        """Writes the sheets and the table; returns what they are."""
        written = []
        for number, start in enumerate(range(0, len(self.rows), _ROWS), start=1):
            rows = self.rows[start:start + _ROWS]
            sheet = picture_grid(np.stack([t for row in rows for t in row.tiles]),
                                 [title for row in rows for title in row.titles],
                                 columns=len(rows[0].tiles))
            written.append(self.folder / f'sheet{number if number > 1 else ""}.png')
            _write(written[-1], png(sheet))
        text = io.StringIO()
        lines = csv.writer(text, lineterminator='\n')
        lines.writerow(_COLUMNS)
        lines.writerows(self._lines)
        written.append(self.folder / 'explanations.csv')
        _write(written[-1], text.getvalue())
        return written

    def _name(self, explanation: Explanation) -> str:
        """The picture's own name, with a number behind it where that is taken."""
        name = os.path.splitext(os.path.basename(explanation.name))[0].lstrip('.')
        encoded = os.fsencode(name or 'picture')[:_LONGEST]
        name = base = encoded.decode('utf-8', 'surrogateescape')
        number = 1
        while name.lower() in self._taken:  # not every disk tells case apart
            number += 1
            name = f'{base}-{number}'
        self._taken.add(name.lower())
        return name

    def _title(self, explanation: Explanation) -> str:
        known = explanation.label
        prediction = self._class(explanation.prediction)
        answer = f'{prediction} {explanation.certainty:.0%}'
        title = answer if known is None else f'{self._class(known)} → {answer}'
        if explanation.target == explanation.prediction:
            return title
        return f'{self._class(explanation.target)}? ({title})'

    def _class(self, label: int) -> str:
        return class_name(self.classes[label])

    def _line(self, explanation: Explanation, method: str, overlay: str) -> list[str]:
        evidence, label = explanation.evidence[method], explanation.label
        return [
            explanation.name,
            '' if label is None else self.classes[label],
            self.classes[explanation.prediction],
            self.classes[explanation.target],
            _number(explanation.probability),
            method,
            evidence.endpoint,
            _number(evidence.highlighted),
            _number(evidence.random),
            overlay,
        ]


def _write(path: Path, content: bytes | str) -> None:
    try:
        files.write_atomically(path, content)
    except OSError as error:
        raise OutputError(f'{path}: an explanation could not be written: {error}. '
                          'Choose another --output.') from error


def _change(method: str, before: float, after: float) -> str:
    if math.isnan(after):
        return f'{method}: no evidence'
    return f'{method}: {100 * before:.0f} → {after:.0%}'


def _number(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.6g}'


def report(explanations: Sequence[Explanation]) -> list[list[str]]:
    """A table of what deleting costs on average, in percentage points."""
    rows = [['Method', 'pictures', 'highlighted', 'random']]
    for method in explanations[0].evidence:
        found = [(each.probability, each.evidence[method]) for each in explanations]
        drops = np.array([[before - e.highlighted, before - e.random]
                          for before, e in found
                          if not math.isnan(e.highlighted)]).reshape(-1, 2)
        means = [f'{100 * mean:.1f}' for mean in drops.mean(0)
                ] if len(drops) else ['–', '–']
        rows.append([method, str(len(drops)), *means])
    return rows
