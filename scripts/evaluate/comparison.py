"""Several runs on the same images: their metrics, and the differences of each pair."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scripts.common.formatting import counted, short
from trainers.evaluation import comparison
from trainers.evaluation.classes import match_classes
from trainers.evaluation.evaluation import TOP, Evaluation
from trainers.evaluation.metrics import Interval
from trainers.inference.classifier import Classifier
from vision.data import Source
from vision.errors import UserError

METRICS = ('top1', f'top{TOP}', 'loss')


class Difference(NamedTuple):
    """The metric of the first run less that of the second, with its 95 % interval."""

    value: float
    interval: Interval


class Pair(NamedTuple):
    """Two runs and their differences.

    Attributes:
        first, second: their names.
        differences: by the names of `METRICS`.
        both: images whose predictions by both are correct.
        only_first: images whose predictions only by the first are correct.
        only_second: images whose predictions only by the second are correct.
        neither: images whose predictions by both are wrong.
        p_value: of McNemar's exact test.
    """

    first: str
    second: str
    differences: dict[str, Difference]
    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


class Comparison(NamedTuple):
    """Runs on the same images.

    Attributes:
        names: a short name of each run.
        evaluations: of each run, on the same images in the same order.
        pairs: each run with each later one.
    """

    names: list[str]
    evaluations: list[Evaluation]
    pairs: list[Pair]


def check_same(compared: Sequence[tuple[Classifier, Source]], split_name: str) -> None:
    """Makes sure that networks are evaluated on the same images of the same classes.

    Args:
        compared: each network with its dataset.
        split_name: which images of it.

    Raises:
        UserError: the images differ.
        DatasetError: a network does not know a class.
    """
    first, first_source = compared[0]
    expected = _images(first_source, split_name)
    for classifier, source in compared:
        match_classes(source, classifier)
        images = _images(source, split_name)
        if images != expected:
            only = sorted(set(expected) ^ set(images))
            example = (
                f', such as {short(only[0][0], 60)} ({only[0][1]})' if only else ''
            )
            raise UserError(
                'Expected runs on the same images of the same classes, but those of '
                f'{first.origin} ({counted(len(expected), "image")} of '
                f'{first_source.name}) and of {classifier.origin} '
                f'({counted(len(images), "image")} of {source.name}) differ{example}. '
                'Name the data for both with --dataset and --data_dir, or compare '
                'other runs.'
            )


def compare(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Comparison:
    """Compares runs on the images that all of them could decode.

    Args:
        evaluations: of each run, on images that `check_same` has checked.
        names: of the runs, all different.
    """
    common = evaluations[0].indices
    for other in evaluations[1:]:
        common = np.intersect1d(common, other.indices, assume_unique=True)
    kept = [_restrict(evaluation, common) for evaluation in evaluations]
    # The `METRICS` of each image by each run, float64 [N, runs, 3].
    values = np.stack(
        [np.stack([run.ranks == 0, run.ranks < TOP, run.losses], 1) for run in kept], 1
    )
    means = comparison.bootstrap_means(values.reshape(len(values), -1))
    means = means.reshape(-1, *values.shape[1:])
    pairs = []
    for i, j in itertools.combinations(range(len(kept)), 2):
        differences = values[:, i] - values[:, j]
        resampled = means[:, i] - means[:, j]
        first, second = kept[i].correct, kept[j].correct
        only_first = int((first & ~second).sum())
        only_second = int((second & ~first).sum())
        pairs.append(
            Pair(
                first=names[i],
                second=names[j],
                differences={
                    name: Difference(float(value), comparison.interval(samples))
                    for name, value, samples in zip(
                        METRICS, differences.mean(0), resampled.T
                    )
                },
                both=int((first & second).sum()),
                only_first=only_first,
                only_second=only_second,
                neither=int((~first & ~second).sum()),
                p_value=comparison.mcnemar(only_first, only_second),
            )
        )
    return Comparison(list(names), kept, pairs)


def results(compared: Comparison, environment: dict[str, Any]) -> dict[str, Any]:
    """Every number of a comparison in JSON values."""
    first = compared.evaluations[0]
    return {
        'data': {
            'dataset': first.source.name,
            'split': first.split_name,
            'images': len(first.split),
            'evaluated': len(first),
        },
        'views': first.views,
        'resamples': comparison.RESAMPLES,
        'runs': [
            _run(name, evaluation)
            for name, evaluation in zip(compared.names, compared.evaluations)
        ],
        'pairs': [
            {
                'first': pair.first,
                'second': pair.second,
                **{
                    name: {
                        'difference': difference.value,
                        'interval': difference.interval,
                    }
                    for name, difference in pair.differences.items()
                },
                'both_right': pair.both,
                'only_first_right': pair.only_first,
                'only_second_right': pair.only_second,
                'both_wrong': pair.neither,
                'mcnemar_p': pair.p_value,
            }
            for pair in compared.pairs
        ],
        'environment': environment,
    }


def _run(name: str, evaluation: Evaluation) -> dict[str, Any]:
    main = evaluation.heads['main']
    return {
        'name': name,
        'origin': evaluation.classifier.origin,
        'top1': main.top1,
        'top1_interval': main.top1_interval,
        'top5': main.top5,
        'top5_interval': main.top5_interval,
        'loss': main.loss,
        'expected_calibration_error': evaluation.reliability.error,
        'temperature': evaluation.temperature.value,
    }


def _images(source: Source, split_name: str) -> list[tuple[str, str]]:
    """Name and class of each image of the split, bad ones included."""
    split = source.splits[split_name]
    return [
        (name, source.ids[label])
        for name, label in zip(split.names, split.labels.tolist())
    ]


def _restrict(evaluation: Evaluation, indices: np.ndarray) -> Evaluation:
    """Only the images at those places of the split."""
    if len(indices) == len(evaluation):
        return evaluation
    at = np.searchsorted(evaluation.indices, indices)
    return dataclasses.replace(
        evaluation,
        indices=indices,
        labels=evaluation.labels[at],
        logits={name: values[at] for name, values in evaluation.logits.items()},
    )
