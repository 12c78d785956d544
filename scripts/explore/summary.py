"""What an exploration finds: its numbers, which `summary.json` holds, and examples."""

from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from vision.data import SPLITS, Source
from vision.survey import duplicates, problems, statistics
from vision.survey.duplicates import Duplicates
from vision.survey.problems import Problem
from vision.survey.survey import Survey

_LISTED = 1000  # Images of one kind of problem; the count is of all.
_CLASSES = 20
_PAIRS = 24
EXTREMES = 8  # Of the darkest images, of the brightest ones and so on.


@dataclass(frozen=True, eq=False)
class Findings:
    """The results of an exploration.

    Attributes:
        survey: facts about each image.
        problems: suspicious images, by the kinds that occur, in the order of
            `problems.KINDS`.
        duplicates: pairs of duplicates.
        numbers: what `summary.json` holds.
    """

    survey: Survey
    problems: dict[str, list[Problem]]
    duplicates: Duplicates
    numbers: dict[str, Any]


def summarize(survey: Survey) -> Findings:
    """Finds problems and duplicates in a survey, and computes all numbers."""
    groups = groupby(problems.find(survey), lambda problem: problem.kind)
    by_kind = {kind: list(group) for kind, group in groups}
    pairs = duplicates.find(survey)
    source = survey.source
    files = survey.facts[survey.facts['file_digest'] != 0]
    numbers = {
        'dataset': source.name,
        'image_size': survey.image_size,
        'images': {name: len(source.splits[name]) for name in SPLITS},
        'surveyed': {name: int(survey.members(name).sum()) for name in SPLITS},
        'classes': _classes(source),
        'majority_baseline': statistics.majority(source),
        'imbalance': statistics.imbalance(source),
        'sizes': {
            'all': statistics.sizes(survey, survey.good),
            **{n: statistics.sizes(survey, survey.members(n)) for n in SPLITS},
        },
        'sizes_of_system_a': statistics.sizes_of_system_a(survey),
        'formats': statistics.common(files['format']),
        'modes': statistics.common(files['mode']),
        'exif_rotated': int((survey.facts['orientation'] > 1).sum()),
        'channels': statistics.channels(survey),
        'brightness': statistics.brightness(survey),
        'problems': {
            kind: _problem(survey, images) for kind, images in by_kind.items()
        },
        'duplicates': _duplicates(survey, pairs),
    }
    return Findings(survey, by_kind, pairs, numbers)


def _classes(source: Source) -> list[dict[str, Any]]:
    counts = statistics.class_counts(source)
    return [
        {
            'label': label,
            'id': source.ids[label],
            'name': name,
            **{split: int(counts[split][label]) for split in SPLITS},
        }
        for label, name in enumerate(source.classes)
    ]


def _problem(survey: Survey, problems: list[Problem]) -> dict[str, Any]:
    return {
        'count': len(problems),
        'images': [
            {
                'split': survey.split_name(problem.image),
                'path': survey.name(problem.image),
                'class': survey.class_name(problem.image),
                'detail': problem.detail,
            }
            for problem in problems[:_LISTED]
        ],
    }


def _duplicates(survey: Survey, pairs: Duplicates) -> dict[str, Any]:
    kinds = Counter(pairs.kinds.tolist())
    splits = Counter(map(tuple, survey.split[pairs.pairs].tolist()))
    return {
        'pairs': {kind: kinds[kind] for kind in duplicates.KINDS},
        'pairs_by_splits': {
            f'{SPLITS[a]}-{SPLITS[b]}': count
            for (a, b), count in sorted(splits.items())
        },
        'label_conflicts': int(duplicates.conflicts(survey, pairs).sum()),
        'with_duplicate_in_train': {
            name: len(duplicates.leaked(survey, pairs, name)) for name in SPLITS[1:]
        },
        'complete': pairs.complete,
        'thresholds': {
            'hash': 'imagehash.phash, 64 bits',
            'distance': duplicates.DISTANCE,
            'correlation': duplicates.CORRELATION,
        },
    }


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


def shown_pairs(findings: Findings) -> list[int]:
    """Indices of decodable pairs: label conflicts first, then pairs across splits."""
    survey, matches = findings.survey, findings.duplicates
    first, second = survey.split[matches.pairs].T
    conflicting = duplicates.conflicts(survey, matches)
    order = np.lexsort((matches.distances, first == second, ~conflicting))
    decodable = survey.good[matches.pairs[order]].all(1)
    return order[decodable][:_PAIRS].tolist()
