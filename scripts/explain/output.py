"""The results of explanations: overlays and their sheets, a table, a deletion test."""

import math
import os
import re
from pathlib import Path

import numpy as np

from scripts.common.formatting import class_name, csv_text, table
from scripts.common.images import png, tile
from scripts.common.output_folder import replace
from scripts.explain.attribution import Attribution, Explanation
from scripts.explain.overlays import SMALLEST, overlay, shown
from trainers.inference.classifier import Classifier
from trainers.reporting.plots import image_grid

_ROWS = 40  # Of a sheet: viewers open larger PNG files slowly.
_TABLE = 'explanations.csv'
_LONGEST = 180  # Bytes of a file name without method and suffix.
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


class Output:
    """Writes each overlay at once, each sheet when it is full, and the table.

    The first overlay removes the sheets and the table of an earlier command. Images
    are kept in memory until their sheet is written, of maps only their deletion test.

    Args:
        folder: where to; it exists.
        classifier: names the classes.

    Attributes:
        images: positions of the images that were explained.

    Methods raise OutputError where a file cannot be written.
    """

    def __init__(self, folder: Path, classifier: Classifier):
        self.images: set[int] = set()
        self.folder = folder
        self.classes = classifier.classes
        self._short_names = [class_name(name) for name in classifier.classes]
        # Of the sheet that is not full yet: images with their titles.
        self._rows: list[list[tuple[str, np.ndarray]]] = []
        self._sheets: list[Path] = []
        self._lines: list[list[str]] = []
        self._names: set[str] = set()
        self._drops: dict[str, list[tuple[float, float]]] = {}

    def add(self, explanation: Explanation, pixels: np.ndarray) -> None:
        """Writes an overlay for each method.

        Args:
            explanation: with the attributions.
            pixels: the image, uint8 [h, w, 3].
        """
        if not self._names:
            earlier = [
                path.name
                for path in self.folder.iterdir()
                if re.fullmatch(r'sheet\d*\.png', path.name)
            ]
            replace(self.folder, {}, [*earlier, _TABLE])
        name = self._unique_name(explanation)
        self.images.add(explanation.position)
        pixels = shown(pixels)
        row = [(self._title(explanation), tile(pixels, SMALLEST))]
        for method, attribution in explanation.attributions.items():
            drawn = overlay(pixels, attribution.map)
            file = f'{name}-{method}.png'
            self._write(file, png(drawn))
            row.append((_drop(method, explanation, attribution), tile(drawn, SMALLEST)))
            self._lines.append(self._line(explanation, method, file))
            self._drops.setdefault(method, []).append(
                (
                    explanation.probability - attribution.highlighted,
                    explanation.probability - attribution.random,
                )
            )
        self._rows.append(row)
        if len(self._rows) == _ROWS:
            self._write_sheet()

    def write_table(self) -> Path:
        """Writes the table of all explanations so far, and returns its path."""
        return self._write(_TABLE, csv_text(_COLUMNS, self._lines))

    def finish(self) -> list[Path]:
        """Writes the last sheet; returns the sheets and the table, if there are any."""
        if self._rows:
            self._write_sheet()
        return [*self._sheets, self.write_table()] if self._sheets else []

    def deletion_test(self) -> list[str]:
        """A table of the mean drops in percentage points, and warnings.

        Maps that highlight nothing do not enter the means.
        """
        rows = [['Method', 'images', 'highlighted', 'random']]
        warnings = []
        for method, all_drops in self._drops.items():
            drops = [drop for drop in all_drops if not math.isnan(drop[0])]
            if not drops:
                rows.append([method, '0', '–', '–'])
                continue
            # Compared as they are shown, rounded.
            highlighted, random = np.round(100 * np.mean(drops, 0), 1).tolist()
            rows.append(
                [method, f'{len(drops):,}', f'{highlighted:.1f}', f'{random:.1f}']
            )
            if highlighted <= random:
                warnings.append(
                    f'{method}: the maps fail the deletion test: deleting random '
                    'regions lowers the probability at least as much.'
                )
        return table(rows) + warnings

    def _write_sheet(self) -> None:
        titles, tiles = zip(*(cell for row in self._rows for cell in row))
        grid = image_grid(np.stack(tiles), titles, columns=len(self._rows[0]))
        name = f'sheet{len(self._sheets) + 1 if self._sheets else ""}.png'
        self._sheets.append(self._write(name, png(grid)))
        self._rows = []

    def _write(self, name: str, content: bytes | str) -> Path:
        return replace(self.folder, {name: content}, [name])[0]

    def _unique_name(self, explanation: Explanation) -> str:
        """The name of the image without its suffix, numbered where it is taken."""
        stem = os.path.splitext(os.path.basename(explanation.name))[0].lstrip('.')
        encoded = os.fsencode(stem or 'image')[:_LONGEST]
        name = stem = encoded.decode('utf-8', 'surrogateescape')
        number = 1
        while name.lower() in self._names:  # Some file systems ignore case.
            number += 1
            name = f'{stem}-{number}'
        self._names.add(name.lower())
        return name

    def _title(self, explanation: Explanation) -> str:
        """'label → prediction 90%', with the target where it is another class."""
        names = self._short_names
        label = '' if explanation.label is None else f'{names[explanation.label]} → '
        target = (
            ''
            if explanation.target == explanation.prediction
            else f'target {names[explanation.target]}: '
        )
        predicted = names[explanation.prediction]
        return f'{target}{label}{predicted} {explanation.confidence:.0%}'

    def _line(self, explanation: Explanation, method: str, file: str) -> list[str]:
        attribution, label = explanation.attributions[method], explanation.label
        return [
            explanation.name,
            '' if label is None else self.classes[label],
            self.classes[explanation.prediction],
            self.classes[explanation.target],
            f'{explanation.probability:.6g}',
            method,
            attribution.endpoint,
            *(
                '' if math.isnan(value) else f'{value:.6g}'
                for value in (attribution.highlighted, attribution.random)
            ),
            file,
        ]


def _drop(method: str, explanation: Explanation, attribution: Attribution) -> str:
    """The title of an overlay: the probability before and after deletion."""
    if math.isnan(attribution.highlighted):
        return f'{method}: nothing positive'
    return (
        f'{method}: {100 * explanation.probability:.0f} → {attribution.highlighted:.0%}'
    )
