"""The result of the deletion test over all images."""

import math

import numpy as np

from scripts.common.formatting import table
from scripts.explain.attribution import Explanation


class Report:
    """Collects the deletion tests of explanations, not the explanations themselves.

    Attributes:
        images: positions of the images that were explained.
    """

    def __init__(self):
        self.images: set[int] = set()
        self._drops: dict[str, list[tuple[float, float]]] = {}

    def add(self, explanation: Explanation) -> None:
        """Adds an explanation; maps that highlight nothing do not enter the means."""
        self.images.add(explanation.position)
        before = explanation.probability
        for method, after in explanation.attributions.items():
            drops = self._drops.setdefault(method, [])
            if not math.isnan(after.highlighted):
                drops.append((before - after.highlighted, before - after.random))

    def lines(self) -> list[str]:
        """A table of the mean drops in percentage points, and warnings."""
        rows = [['Method', 'images', 'highlighted', 'random']]
        warnings = []
        for method, drops in self._drops.items():
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
