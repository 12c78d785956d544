"""Which images are shown, of the many that were seen."""

import numpy as np

from scripts.explore.summary import Findings
from vision.survey import statistics
from vision.survey.duplicates import conflicts
from vision.survey.survey import Survey

_CLASSES = 20
_PAIRS = 24
EXTREMES = 8


def samples(survey: Survey, seed: int) -> dict[int, list[int]]:
    """Label -> some training images of it, for up to 20 labels, evenly spread.

    Eight images of each of few classes, five where there are more than ten.
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


def extremes(survey: Survey) -> dict[str, list[int]]:
    """The darkest, brightest and lowest-contrast images, eight of each."""
    found = statistics.extremes(survey, EXTREMES)
    return {title: images.tolist() for title, images in found.items()}


def pairs(findings: Findings) -> list[int]:
    """Places of pairs that can be shown: conflicts first, then those across splits."""
    survey, duplicates = findings.survey, findings.duplicates
    splits = survey.split[duplicates.pairs]
    within = splits[:, 0] == splits[:, 1]
    order = np.lexsort((duplicates.distances, within, ~conflicts(survey, duplicates)))
    shown = order[survey.good[duplicates.pairs[order]].all(1)]
    return shown[:_PAIRS].tolist()
