"""The files that explanations become."""

import csv
import io
import math
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scripts.common.names import class_name
from scripts.common.output_folder import replace
from scripts.common.png import png
from scripts.explain.explaining import Explanation
from scripts.explain.overlays import overlay, shown, tile
from trainers.inference.classifier import Classifier
from trainers.reporting.plots import image_grid

_ROWS = 40  # Of a sheet; a PNG with many more opens slowly.
_TABLE = 'explanations.csv'
_LONGEST = 180  # Bytes of a file's name without method and suffix.
_COLUMNS = (
    'file',
    'label',
    'prediction',
    'class',
    'probability',
    'method',
    'endpoint',
    'without_highlighted',
    'without_random',
    'overlay',
)


class Row(NamedTuple):
    """A row of a sheet: the image and its overlays, each below its title."""

    titles: list[str]
    tiles: list[np.ndarray]


class Output:
    """Writes overlays as they come, a sheet whenever one is full, and the table.

    The first overlay clears away the sheets and the table of an earlier command. No
    more images are kept than are on a sheet.

    Args:
        folder: where to; it is there already.
        classifier: names the classes.

    Methods raise OutputError where a file cannot be written.
    """

    def __init__(self, folder: Path, classifier: Classifier):
        self.folder = folder
        self.classes = classifier.classes
        self._rows: list[Row] = []
        self._sheets: list[Path] = []
        self._text = io.StringIO()
        self._table = csv.writer(self._text, lineterminator='\n')
        self._table.writerow(_COLUMNS)
        self._taken: set[str] = set()

    def add(self, explanation: Explanation, pixels: np.ndarray) -> None:
        """Writes an overlay for each method; pixels: the image, uint8 `[h, w, 3]`."""
        if not self._taken:
            self._clear()
        name = self._name(explanation)
        pixels = shown(pixels)
        titles, tiles = [self._title(explanation)], [tile(pixels)]
        for method, evidence in explanation.evidence.items():
            drawn = overlay(pixels, evidence.map)
            file = f'{name}-{method}.png'
            self._write(file, png(drawn))
            titles.append(
                _change(method, explanation.probability, evidence.highlighted)
            )
            tiles.append(tile(drawn))
            self._table.writerow(self._line(explanation, method, file))
        self._rows.append(Row(titles, tiles))
        if len(self._rows) == _ROWS:
            self._write_sheet()

    def write_table(self) -> Path:
        """Writes the table of all explanations so far; returns where it is."""
        return self._write(_TABLE, self._text.getvalue())

    def finish(self) -> list[Path]:
        """Writes what is left; returns the sheets and the table, if there are any."""
        if self._rows:
            self._write_sheet()
        return [*self._sheets, self.write_table()] if self._sheets else []

    def _clear(self) -> None:
        names = [path.name for path in self.folder.iterdir()]
        sheets = [name for name in names if re.fullmatch(r'sheet\d*\.png', name)]
        replace(self.folder, {}, [*sheets, _TABLE])

    def _write_sheet(self) -> None:
        """Writes the rows that there are, and forgets them."""
        sheet = image_grid(
            np.stack([t for row in self._rows for t in row.tiles]),
            [title for row in self._rows for title in row.titles],
            columns=len(self._rows[0].tiles),
        )
        number = len(self._sheets) + 1
        self._sheets.append(
            self._write(f'sheet{number if number > 1 else ""}.png', png(sheet))
        )
        self._rows.clear()

    def _write(self, name: str, content: bytes | str) -> Path:
        replace(self.folder, {name: content}, [])
        return self.folder / name

    def _name(self, explanation: Explanation) -> str:
        """The image's own name, with a number behind it where that is taken."""
        name = os.path.splitext(os.path.basename(explanation.name))[0].lstrip('.')
        encoded = os.fsencode(name or 'image')[:_LONGEST]
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


def _change(method: str, before: float, after: float) -> str:
    if math.isnan(after):
        return f'{method}: no evidence'
    return f'{method}: {100 * before:.0f} → {after:.0%}'


def _number(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.6g}'
