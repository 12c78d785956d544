"""What deleting costs on average, and what that says of a method."""

import math

import numpy as np

from scripts.common.formatting import table
from scripts.explain.explaining import Explanation


class Report:
    """Adds up explanations, of which no more than numbers are kept.

    Attributes:
        places: of the images that were explained.
    """

    def __init__(self):
        self.places: set[int] = set()
        self._drops: dict[str, list[tuple[float, float]]] = {}

    def add(self, explanation: Explanation) -> None:
        """Counts an explanation; maps that highlight nothing do not enter the means."""
        self.places.add(explanation.place)
        before = explanation.probability
        for method, evidence in explanation.evidence.items():
            drops = self._drops.setdefault(method, [])
            if not math.isnan(evidence.highlighted):
                drops.append((before - evidence.highlighted, before - evidence.random))

    def lines(self) -> list[str]:
        """A table of the means in percentage points, with warnings about methods."""
        rows = [['Method', 'images', 'highlighted', 'at random places']]
        verdicts = []
        for method, drops in self._drops.items():
            if not drops:
                rows.append([method, '0', '–', '–'])
                continue
            # Judged as they are shown: a difference that is not seen is none.
            highlighted, random = np.round(100 * np.mean(drops, 0), 1).tolist()
            means = [f'{highlighted:.1f}', f'{random:.1f}']
            rows.append([method, f'{len(drops):,}', *means])
            if highlighted <= random:
                verdicts.append(
                    f'{method}: this map means nothing here, deleting at '
                    'random places costs no less.'
                )
        return table(rows) + verdicts
