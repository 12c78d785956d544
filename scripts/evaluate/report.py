"""The report of an evaluation in Markdown, with its images beside it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from scripts.common.formatting import counted
from scripts.common.markdown import bullets, escape, image, table
from scripts.evaluate.results import pairs
from scripts.evaluate.settings import same_data
from trainers.evaluation.calibration import Reliability
from trainers.evaluation.evaluation import TOP, Evaluation, HeadMetrics
from trainers.inference.classifier import Run
from trainers.settings.config import Config

_ALL_CLASSES = 24  # Fewer are listed all; of more, the best and the worst.
_HALF = 10
_BAD = 20
_OTHERS = 'any other'


def build(evaluation: Evaluation, config: Config, found: dict[str, Any]) -> str:
    """The report; `found` is what results.json holds."""
    sections = [
        f'# {escape(found["model"]["name"])} on {escape(evaluation.source.name)}, '
        f'{evaluation.split_name}',
        _overview(evaluation, config),
        *_heads(evaluation),
        *_classes(found),
        *_confusion(evaluation),
        *_mistakes(evaluation),
        *_calibration(evaluation),
        *_precision_recall(found),
        *_bad(evaluation),
    ]
    return '\n\n'.join(sections) + '\n'


def named(evaluation: Evaluation) -> list[int]:
    """Labels of the classes of the dataset and of the predictions."""
    return sorted(
        {
            *evaluation.dataset_classes.tolist(),
            *np.unique(evaluation.predicted).tolist(),
        }
    )


def confusion(evaluation: Evaluation) -> tuple[np.ndarray, list[str], list[str]]:
    """Counts, and the names of rows and columns: the classes of the dataset.

    What is named any other class of the network is in a last column.
    """
    labels = np.sort(evaluation.dataset_classes)
    names = [evaluation.classes[label] for label in labels]
    rows = evaluation.confusion[labels]
    others = rows.sum(1, keepdims=True) - rows[:, labels].sum(1, keepdims=True)
    if not others.any():
        return rows[:, labels], names, names
    return np.concatenate([rows[:, labels], others], 1), names, [*names, _OTHERS]


def reliabilities(evaluation: Evaluation) -> dict[str, Reliability]:
    """By title: as trained, and by the temperature where there is one."""
    if evaluation.temperature.value == 1:
        return {'Calibration': evaluation.reliability}
    return {
        'As trained': evaluation.uncalibrated_reliability,
        f'Temperature {evaluation.temperature.value:.3f}': evaluation.reliability,
    }


def share(value: float | None) -> str:
    """'97.3 %'; '–' where there is nothing to divide by."""
    return '–' if value is None else f'{100 * value:.1f} %'


def percent2(value: float) -> str:
    """'97.33 %'."""
    return f'{100 * value:.2f} %'


def interval(bounds: Any) -> str:
    """'94.0–98.1 %'."""
    return '–' if bounds is None else f'{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f} %'


def cautions(evaluation: Evaluation, config: Config) -> list[str]:
    """Why figures may be better than on new images, or not those of the network."""
    run, temperature = evaluation.classifier.run, evaluation.temperature
    own = run is not None and same_data(config, run.config)
    lines = []
    if evaluation.split_name == 'train':
        lines.append(
            'These are images of the train split: the network may have '
            'learned them, and new ones are harder.'
        )
    if evaluation.split_name == 'validation' and run and own and _is_best(run):
        lines.append(
            'These are images of the validation split: the best weights were '
            'chosen by them, so that new ones may be a little harder.'
        )
    if own and temperature.split == evaluation.split_name:
        lines.append(
            f'The temperature was fitted to this same split, '
            f'{temperature.split}: on new images calibration is somewhat '
            'worse.'
        )
    if temperature.split and evaluation.views != 'none':
        lines.append(
            'The temperature was fitted without test-time augmentation, so '
            'that it may not be the best one here.'
        )
    return lines


def _is_best(run: Run) -> bool:
    """Whether its weights are those that validation chose, not those of the end."""
    return (run.directory.checkpoints_best / f'step-{run.step:09d}').is_dir()


def worst(evaluation: Evaluation, count: int) -> list[int]:
    """Labels of the classes with images of the lowest recall, the worst first."""
    figures = evaluation.by_class
    there = np.flatnonzero(figures.support)
    return there[np.argsort(figures.recall[there], kind='stable')][:count].tolist()


def fitted_on(evaluation: Evaluation) -> str:
    """Where the temperature comes from."""
    temperature = evaluation.temperature
    if not temperature.split:
        return 'given by hand'
    return f'fitted to {counted(temperature.images, "image")} of {temperature.split}'


def _overview(evaluation: Evaluation, config: Config) -> str:
    source, views = evaluation.source, evaluation.views_per_image
    rows = [
        ['', ''],
        ['Model', evaluation.classifier.origin],
        [
            'Images',
            f'{len(evaluation):,} of {source.name}, {evaluation.split_name}; '
            f'{counted(len(source.classes), "class", "classes")}',
        ],
        *([['From', config.data_dir]] if config.data_dir else []),
        ['Views of each image', f'{views}, averaged' if views > 1 else '1'],
        *_figures(evaluation, evaluation.heads['main']),
        ['Expected calibration error', percent2(evaluation.reliability.error)],
    ]
    lines = [table(rows, left=2)]
    lines += [f'**{caution}**' for caution in cautions(evaluation, config)]
    return '\n\n'.join(lines)


def _figures(evaluation: Evaluation, figures: HeadMetrics) -> list[list[str]]:
    shares = [('Top-1', figures.top1, figures.top1_interval)]
    if len(evaluation.classes) > TOP:
        shares.append((f'Top-{TOP}', figures.top5, figures.top5_interval))
    rows = [
        [f'{name} accuracy', f'{percent2(value)} (95 % interval {interval(bounds)})']
        for name, value, bounds in shares
    ]
    return [*rows, ['Loss (cross-entropy, nats)', f'{figures.loss:.4f}']]


def _heads(evaluation: Evaluation) -> Iterator[str]:
    if len(evaluation.heads) == 1:
        return
    yield '## Heads'
    rows = [['head', 'top-1', '95 % interval', f'top-{TOP}', 'loss']]
    rows += [
        [
            name,
            share(head.top1),
            interval(head.top1_interval),
            share(head.top5),
            f'{head.loss:.4f}',
        ]
        for name, head in evaluation.heads.items()
    ]
    yield table(rows)


def _classes(found: dict[str, Any]) -> Iterator[str]:
    yield '## Classes'
    shown = found['classes']
    note = 'The intervals of recall hold it with 95 % confidence.'
    if len(shown) > _ALL_CLASSES:
        there = [row for row in shown if row['support']]
        ranked = sorted(there, key=lambda row: (row['recall'], row['f1']))
        shown, which = ranked, 'those of which least is found first'
        if len(ranked) > 2 * _HALF:
            shown = [*ranked[:_HALF], *ranked[-_HALF:]]
            which = (
                f'the {_HALF} of which least is found, then the {_HALF} of which '
                'most is'
            )
        note = (
            f'Of the {counted(len(ranked), "class", "classes")} with images, '
            f'{which}; [classes.csv](classes.csv) has all '
            f'{len(found["classes"]):,} of the dataset. {note}'
        )
    yield note
    rows = [
        ['class', 'precision', 'recall', 'of it', 'F1', 'average precision', 'images']
    ]
    rows += [
        [
            row['name'],
            share(row['precision']),
            share(row['recall']),
            interval(row['recall_interval']),
            share(row['f1']),
            share(row['average_precision']),
            f'{row["support"]:,}',
        ]
        for row in shown
    ]
    macro = found['macro']
    rows.append(
        [
            'mean of the classes',
            share(macro['precision']),
            share(macro['recall']),
            '',
            share(macro['f1']),
            share(found['mean_average_precision']),
            f'{found["data"]["evaluated"]:,}',
        ]
    )
    yield table(rows)


def _confusion(evaluation: Evaluation) -> Iterator[str]:
    yield '## Confusion'
    yield image('confusion.png', 'Confusion matrix, in shares of each class')
    yield (
        'Rows are what images are, columns what they are named; '
        '[confusion.csv](confusion.csv) has the counts.'
    )
    confused = pairs(evaluation)
    if not confused:
        yield 'Every image is named correctly.'
        return
    rows = [['is', 'named', 'images', 'of the class']]
    rows += [
        [
            evaluation.classes[label],
            evaluation.classes[predicted],
            f'{count:,}',
            share(count / int(evaluation.by_class.support[label])),
        ]
        for label, predicted, count in confused
    ]
    yield table(rows, left=2)
    yield image('confused.png', 'An image of each of the most confused pairs')
    yield 'Of each pair, the image of which the network is surest.'


def _mistakes(evaluation: Evaluation) -> Iterator[str]:
    wrong = int((~evaluation.correct).sum())
    if wrong:
        yield '## The surest mistakes'
        yield (
            f'Of {counted(wrong, "mistake")}, those of which the network is surest. '
            '[predictions.csv](predictions.csv) has what it says of each image.'
        )
        yield image('mistakes.png', 'Images, what they are named, and what they are')


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    yield '## Calibration'
    yield image('reliability.png', 'Accuracy by confidence, and images by confidence')
    yield (
        'Images are sorted by the probability of what they are named into 15 bins. '
        'Where accuracy is below the diagonal, the network is surer than it is right. '
        'The expected calibration error is the gap, averaged over the images '
        '([Guo et al., 2017](https://arxiv.org/abs/1706.04599)).'
    )
    temperature = evaluation.temperature
    if temperature.value == 1:
        return
    yield table(
        [
            ['', 'temperature', 'calibration error', 'loss'],
            [
                'as trained',
                '1',
                percent2(evaluation.uncalibrated_reliability.error),
                f'{evaluation.heads["main"].loss:.4f}',
            ],
            [
                fitted_on(evaluation),
                f'{temperature.value:.4f}',
                percent2(evaluation.reliability.error),
                f'{evaluation.calibrated_losses.mean():.4f}',
            ],
        ]
    )


def _precision_recall(found: dict[str, Any]) -> Iterator[str]:
    yield '## Precision and recall'
    yield image('precision_recall.png', 'Precision by recall')
    yield (
        'Each class against all others, by its probability; the micro average takes '
        'all pairs of an image and a class together. The mean of the average '
        f'precisions is {found["mean_average_precision"]:.4f}.'
    )


def _bad(evaluation: Evaluation) -> Iterator[str]:
    bad = evaluation.bad_files
    if not bad:
        return
    yield '## Images left out'
    yield (
        f'{counted(len(bad), "image")} of {len(evaluation.split):,} could not be '
        'decoded, and no figure above counts them.'
    )
    yield bullets(
        [f'{escape(file.name)}: {escape(file.reason)}' for file in bad[:_BAD]]
    )
    if len(bad) > _BAD:
        yield f'And {len(bad) - _BAD:,} more, listed in [results.json](results.json).'
