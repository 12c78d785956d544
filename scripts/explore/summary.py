"""All numbers of an exploration in one dictionary, as `summary.json` has them."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from vision.data import SPLITS, Source
from vision.survey import duplicates, problems, statistics
from vision.survey.duplicates import Duplicates
from vision.survey.problems import Problem
from vision.survey.survey import Survey

_LISTED = 1000  # Problems of one kind; their count is always of all.


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found, and its numbers; `summarize` makes it."""

    survey: Survey
    problems: list[Problem]
    duplicates: Duplicates
    numbers: dict[str, Any]

    @property
    def source(self) -> Source:
        return self.survey.source

    def problems_by_kind(self) -> dict[str, list[Problem]]:
        """Kinds that occur, in the order of problems.KINDS."""
        found: dict[str, list[Problem]] = {}
        for problem in self.problems:
            found.setdefault(problem.kind, []).append(problem)
        return found


def summarize(survey: Survey) -> Findings:
    """Looks for problems and duplicates in a survey and counts everything."""
    found, pairs = problems.find(survey), duplicates.find(survey)
    findings = Findings(survey, found, pairs, {})
    source = survey.source
    everything = np.ones(len(survey), bool)
    files = survey.facts[survey.facts['file_digest'] != 0]
    findings.numbers.update(
        {
            'dataset': source.name,
            'image_size': survey.image_size,
            'images': {name: len(source.splits[name]) for name in SPLITS},
            'surveyed': {name: int(survey.members(name).sum()) for name in SPLITS},
            'classes': _classes(source),
            'majority_baseline': statistics.majority(source),
            'imbalance': statistics.imbalance(source),
            'sizes': {
                'all': statistics.sizes(survey, everything),
                **{n: statistics.sizes(survey, survey.members(n)) for n in SPLITS},
            },
            'sizes_of_system_a': statistics.sizes_of_system_a(survey),
            'formats': statistics.common(files['format']),
            'modes': statistics.common(files['mode']),
            'exif_rotated': int((survey.facts['orientation'] > 1).sum()),
            'channels': statistics.channels(survey),
            'brightness': statistics.brightness(survey),
            'problems': _problems(findings),
            'duplicates': _duplicates(survey, pairs),
        }
    )
    return findings


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


def _problems(findings: Findings) -> dict[str, Any]:
    survey = findings.survey
    return {
        kind: {
            'count': len(found),
            'images': [
                {
                    'split': survey.split_name(problem.image),
                    'path': survey.name(problem.image),
                    'class': survey.class_name(problem.image),
                    'detail': problem.detail,
                }
                for problem in found[:_LISTED]
            ],
        }
        for kind, found in findings.problems_by_kind().items()
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
