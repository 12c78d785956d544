"""Which images an exploration shows."""

import numpy as np

from scripts.explore.summary import Findings
from vision.survey.duplicates import conflicts
from vision.survey.survey import Survey

_CLASSES = 20
_PAIRS = 24
EXTREMES = 8  # The darkest images, the brightest ones and so on.


def samples(survey: Survey, seed: int) -> dict[int, list[int]]:
    """Label -> some training images of it, for up to 20 labels, evenly spaced.

    Eight images of each class, five where there are more than ten classes.
    """
    rng = np.random.default_rng(seed)
    usable = survey.members('train') & survey.good
    labels = np.unique(survey.labels[usable])
    places = np.linspace(0, len(labels) - 1, min(_CLASSES, len(labels))).round()
    count = 8 if len(labels) <= 10 else 5
    chosen = {}
    for label in labels[places.astype(int)].tolist():
        members = np.flatnonzero(usable & (survey.labels == label))
        chosen[label] = np.sort(rng.permutation(members)[:count]).tolist()
    return chosen


def pairs(findings: Findings) -> list[int]:
    """Indices of decodable pairs: label conflicts first, then pairs across splits."""
    survey, duplicates = findings.survey, findings.duplicates
    splits = survey.split[duplicates.pairs]
    within = splits[:, 0] == splits[:, 1]
    order = np.lexsort((duplicates.distances, within, ~conflicts(survey, duplicates)))
    decodable = survey.good[duplicates.pairs[order]].all(1)
    return order[decodable][:_PAIRS].tolist()
