"""Several runs on the same images: what they get right, and whether it is luck."""

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


class ComparisonError(UserError):
    """Runs cannot be compared."""


class Difference(NamedTuple):
    """The first run's figure less the second's, with its 95 % interval."""

    value: float
    interval: Interval


class Pair(NamedTuple):
    """Two runs beside each other.

    Attributes:
        first, second: their places among the runs.
        differences: by figure: 'top1', 'top5', 'loss'.
        both, only_first, only_second, neither: images that are named correctly by
            them.
        p_value: of McNemar's exact test, how likely so uneven a count is if both are
            equally good.
    """

    first: int
    second: int
    differences: dict[str, Difference]
    both: int
    only_first: int
    only_second: int
    neither: int
    p_value: float


class Comparison(NamedTuple):
    """Runs on the same N images.

    Attributes:
        names: a short name of each run.
        evaluations: of each, on exactly the same images in the same order.
        pairs: of each run and each one behind it.
    """

    names: list[str]
    evaluations: list[Evaluation]
    pairs: list[Pair]


def check_same(compared: Sequence[tuple[Classifier, Source]], split_name: str) -> None:
    """Makes sure that networks see the same images of the same classes.

    Args:
        compared: each network with the dataset that it is to look at.
        split_name: which images of it.

    Raises:
        ComparisonError: the images differ.
        DatasetError: a network does not know a class.
    """
    for classifier, source in compared:
        match_classes(source, classifier)
        _check_pair(compared[0], (classifier, source), split_name)


def compare(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Comparison:
    """Compares runs on the images that all of them could decode.

    Args:
        evaluations: of each run, on images that `check_same` has seen to.
        names: of the runs, all different.
    """
    common = evaluations[0].indices
    for other in evaluations[1:]:
        common = np.intersect1d(common, other.indices, assume_unique=True)
    kept = [_restrict(evaluation, common) for evaluation in evaluations]
    figures = np.stack([_figures(each) for each in kept], 1)  # [N, runs, figures]
    count, runs, kinds = figures.shape
    means = comparison.bootstrap_means(figures.reshape(count, runs * kinds))
    means = means.reshape(-1, runs, kinds)
    pairs = [
        _pair(kept, figures, means, first, second)
        for first, second in itertools.combinations(range(runs), 2)
    ]
    return Comparison(list(names), kept, pairs)


def numbers(compared: Comparison, environment: dict[str, Any]) -> dict[str, Any]:
    """In JSON values."""
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
                'first': compared.names[pair.first],
                'second': compared.names[pair.second],
                **{
                    name: {
                        'difference': difference.value,
                        'interval': list(difference.interval),
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
        'top1_interval': list(main.top1_interval),
        'top5': main.top5,
        'top5_interval': list(main.top5_interval),
        'loss': main.loss,
        'expected_calibration_error': evaluation.reliability.error,
        'temperature': evaluation.temperature.value,
    }


def _check_pair(
    first: tuple[Classifier, Source], other: tuple[Classifier, Source], split_name: str
) -> None:
    mine, theirs = (_images(source, split_name) for _, source in (first, other))
    if mine == theirs:
        return
    only = sorted(set(mine) - set(theirs)) or sorted(set(theirs) - set(mine))
    example = f', such as {short(only[0][0], 60)} ({only[0][1]})' if only else ''
    sizes = [
        f'{classifier.origin} ({counted(len(images), "image")} of {source.name})'
        for (classifier, source), images in ((first, mine), (other, theirs))
    ]
    raise ComparisonError(
        f'Expected runs on the same images of the same classes, but those of '
        f'{sizes[0]} and of {sizes[1]} differ{example}. Name the data for both with '
        '--dataset and --data_dir, or compare other runs.'
    )


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


def _figures(evaluation: Evaluation) -> np.ndarray:
    """float64 `[N, 3]`: named correctly, among the first five, loss."""
    ranks = evaluation.ranks
    return np.stack([ranks == 0, ranks < TOP, evaluation.losses], 1).astype(np.float64)


def _pair(
    evaluations: Sequence[Evaluation],
    figures: np.ndarray,
    means: np.ndarray,
    first: int,
    second: int,
) -> Pair:
    mine, theirs = (evaluations[i].correct for i in (first, second))
    drawn = means[:, first] - means[:, second]
    found = (figures[:, first] - figures[:, second]).mean(0)
    kinds = ['top1', f'top{TOP}', 'loss']
    differences = {
        name: Difference(float(found[place]), comparison.interval(drawn[:, place]))
        for place, name in enumerate(kinds)
    }
    only = int((mine & ~theirs).sum()), int((theirs & ~mine).sum())
    return Pair(
        first,
        second,
        differences,
        int((mine & theirs).sum()),
        *only,
        int((~mine & ~theirs).sum()),
        comparison.mcnemar(*only),
    )
