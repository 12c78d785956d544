"""The comparison of runs: on the terminal, in Markdown, and as figures."""

import math
from collections.abc import Iterator
from typing import Any

from scripts.common.formatting import (
    class_name,
    counted,
    csv_text,
    percent,
    short,
    titled,
)
from scripts.common.formatting import table as aligned
from scripts.common.markdown import bullets, code, escape, image, table
from scripts.evaluate import content, figures, output
from scripts.evaluate.comparison import Comparison, Pair, results
from trainers.evaluation.comparison import RESAMPLES
from trainers.evaluation.evaluation import TOP, Evaluation
from trainers.settings.config import Config

NAMES = (
    'report.md',
    'comparison.json',
    'comparison.csv',
    'accuracy.png',
    'differences.png',
    'disagreement.png',
)
_SIGNIFICANT = 0.05
_CLASSES = 12
_SHOWN = 8
_UNCORRECTED = (
    'p-values are not corrected for several comparisons: the more pairs, the more '
    'likely\none of them differs by chance.'
)


def on_terminal(compared: Comparison) -> str:
    """Lines for a terminal."""
    lines = [
        titled('Images', content.images(compared.evaluations[0])),
        '',
        *aligned([[short(row[0], 30), *row[1:]] for row in _runs(compared)]),
    ]
    for pair in compared.pairs:
        lines += [
            '',
            f'{short(pair.first, 40)} − {short(pair.second, 40)}',
            *(f'  {line}' for line in aligned(_differences(compared, pair))),
            f'  {verdict(pair)}',
        ]
    if len(compared.pairs) > 1:
        lines += ['', _UNCORRECTED]
    return '\n'.join(lines)


def contents(
    compared: Comparison, environment: dict[str, Any]
) -> dict[str, bytes | str | None]:
    """The files of a comparison by their names, None where there is nothing to show."""
    heads = [evaluation.heads['main'] for evaluation in compared.evaluations]
    grid = _disagreement_grid(compared)
    return {
        'comparison.json': output.as_json(results(compared, environment)),
        'comparison.csv': _csv(compared),
        'accuracy.png': figures.intervals(
            [
                (name, head.top1, *head.top1_interval)
                for name, head in zip(compared.names, heads)
            ],
            'Top-1 accuracy, 95 % intervals',
            zero=False,
        ),
        'differences.png': figures.intervals(
            [
                (
                    f'{short(pair.first, 20)} − {short(pair.second, 20)}',
                    pair.differences['top1'].value,
                    *pair.differences['top1'].interval,
                )
                for pair in compared.pairs
            ],
            'Difference in top-1 accuracy in points, 95 % intervals',
            zero=True,
        ),
        'disagreement.png': grid,
        'report.md': _markdown(compared, environment, bool(grid)),
    }


def verdict(pair: Pair) -> str:
    """What the difference in top-1 accuracy means, in a sentence or two."""
    a, b = short(pair.first, 40), short(pair.second, 40)
    counts = (
        f'Only {a} is correct on {counted(pair.only_first, "image")}, only {b} on '
        f'{pair.only_second:,}; p = {pair.p_value:.3g}.'
    )
    # The bootstrap's interval is too short for this where few images differ.
    if pair.p_value >= _SIGNIFICANT:
        return f'{counts} The difference is not significant.'
    return f'{counts} {a if pair.only_first > pair.only_second else b} is better.'


def _has_top5(compared: Comparison) -> bool:
    return any(len(evaluation.classes) > TOP for evaluation in compared.evaluations)


def _runs(compared: Comparison) -> list[list[str]]:
    """A row of metrics for each run, below a heading."""
    heads = [evaluation.heads['main'] for evaluation in compared.evaluations]
    errors = [evaluation.reliability.error for evaluation in compared.evaluations]
    rows = [
        ['run', 'top-1', '95 % interval', f'top-{TOP}', 'loss', 'calibration error'],
        *(
            [
                name,
                percent(head.top1, 2),
                content.interval(head.top1_interval),
                percent(head.top5, 2),
                f'{head.loss:.4f}',
                percent(error, 2),
            ]
            for name, head, error in zip(compared.names, heads, errors)
        ),
    ]
    return rows if _has_top5(compared) else [[*row[:3], *row[4:]] for row in rows]


def _differences(compared: Comparison, pair: Pair) -> list[list[str]]:
    """A row for each metric, below a heading."""
    rows = [['', 'difference', '95 % interval']]
    for name, (value, (low, high)) in pair.differences.items():
        if name == 'loss':
            rows.append([name, f'{value:+.4f}', f'{low:+.4f} to {high:+.4f}'])
        elif name == 'top1' or _has_top5(compared):
            rows.append(
                [
                    name.replace('top', 'top-'),
                    f'{100 * value:+.2f} points',
                    f'{100 * low:+.2f} to {100 * high:+.2f}',
                ]
            )
    return rows


def _markdown(
    compared: Comparison, environment: dict[str, Any], has_disagreement: bool
) -> str:
    first = compared.evaluations[0]
    a, b = map(escape, compared.names[:2])
    sections = [
        f'# {", ".join(escape(name) for name in compared.names)}',
        f'On the same {counted(len(first), "image")} of {escape(first.source.name)}, '
        f'{first.split_name}.',
        table(_runs(compared)),
        image('accuracy.png', 'Top-1 accuracy of each run with its 95 % interval'),
        '## Differences',
        f"A run is called better where McNemar's exact test has p < {_SIGNIFICANT:g}; "
        'otherwise, the difference may be due to the choice of these images. The '
        'variation between training runs is a different question. Intervals are of '
        f'{RESAMPLES:,} paired bootstrap resamples of the images; where few images '
        'differ, they are too short and may exclude 0 although the difference is not '
        'significant.',
        *([_UNCORRECTED] if len(compared.pairs) > 1 else []),
        *('\n\n'.join(_pair_sections(compared, pair)) for pair in compared.pairs),
        image('differences.png', 'Differences in top-1 accuracy'),
        *(
            [
                '### Disagreement',
                image(
                    'disagreement.png', 'Images that only one of two runs gets right'
                ),
                f'Above each image: the prediction of {a}, then that of {b}; green '
                'where the former is correct, red where the latter is.',
            ]
            if has_disagreement
            else []
        ),
        '## Classes',
        *_by_class(compared),
        '## Settings',
        *_settings(compared),
        '## Runs',
        bullets(
            [
                f'{escape(name)}: {escape(evaluation.classifier.origin)}'
                for name, evaluation in zip(compared.names, compared.evaluations)
            ]
        ),
        '## Command',
        code(content.command_line(environment)),
    ]
    return '\n\n'.join(sections) + '\n'


def _pair_sections(compared: Comparison, pair: Pair) -> list[str]:
    a, b = escape(pair.first), escape(pair.second)
    return [
        f'### {a} − {b}',
        table(_differences(compared, pair)),
        escape(verdict(pair)),
        table(
            [
                ['', f'{b} correct', f'{b} wrong'],
                [f'{a} correct', f'{pair.both:,}', f'{pair.only_first:,}'],
                [f'{a} wrong', f'{pair.only_second:,}', f'{pair.neither:,}'],
            ]
        ),
    ]


def _by_class(compared: Comparison) -> Iterator[str]:
    """Recall of each class, those first in which runs differ most."""
    first = compared.evaluations[0]
    # The order of classes may differ between runs, their ids do not.
    recalls = [
        dict(
            zip(
                evaluation.source.ids,
                evaluation.by_class.recall[evaluation.dataset_classes].tolist(),
            )
        )
        for evaluation in compared.evaluations
    ]
    support = first.by_class.support[first.dataset_classes].tolist()
    rows = []
    for id_, name, images in zip(first.source.ids, first.source.classes, support):
        values = [recall.get(id_, math.nan) for recall in recalls]
        if all(map(math.isfinite, values)):
            rows.append((name, values, images))
    rows.sort(key=lambda row: min(row[1]) - max(row[1]))
    shown = [
        [name, *map(percent, values), f'{images:,}']
        for name, values, images in rows[:_CLASSES]
    ]
    if len(rows) > _CLASSES:
        yield (
            f'The {_CLASSES} of {len(rows)} classes in whose recall the runs differ '
            'most.'
        )
    yield table([['recall of', *compared.names, 'images'], *shown])


def _settings(compared: Comparison) -> Iterator[str]:
    """Settings in which the runs differ."""
    runs = [evaluation.classifier.run for evaluation in compared.evaluations]
    unknown = [name for name, run in zip(compared.names, runs) if run is None]
    settings = [run.config.to_dict() for run in runs if run]
    rows = [
        [name, *(_setting(run.config, name) if run else '–' for run in runs)]
        for name in Config().to_dict()
        if name != 'run_dir'
        and any(values[name] != settings[0][name] for values in settings)
    ]
    if unknown:
        yield (
            f'The settings of {", ".join(map(escape, unknown))} are unknown: '
            'checkpoints without their runs.'
        )
    if rows:
        yield 'Settings that differ:'
        yield table([['setting', *compared.names], *rows], left=len(runs) + 1)
    elif len(settings) > 1:
        yield f'The {"other " if unknown else ""}runs have the same settings.'


def _setting(config: Config, name: str) -> str:
    """The value of a setting, '(default)' where the network or dataset decides."""
    given = getattr(config, name) is not None
    return content.written(config.to_dict()[name]) if given else '(default)'


def _csv(compared: Comparison) -> str:
    """A row for each image: its class, and the prediction of each run."""
    first = compared.evaluations[0]
    columns: dict[str, list] = {
        'path': first.names,
        'label': [first.classes[label] for label in first.labels.tolist()],
    }
    for name, evaluation in zip(compared.names, compared.evaluations):
        columns[f'{name}: predicted'] = [
            evaluation.classes[label] for label in evaluation.predicted.tolist()
        ]
        columns[f'{name}: probability'] = [
            repr(value) for value in evaluation.confidence.tolist()
        ]
    return csv_text(columns, zip(*columns.values()))


def _disagreement_grid(compared: Comparison) -> bytes | None:
    """Images that only the first or only the second run gets right, if there are."""
    first, second = compared.evaluations[:2]
    places = [
        *figures.most_confident(second, first.correct & ~second.correct, _SHOWN),
        *figures.most_confident(first, second.correct & ~first.correct, _SHOWN),
    ]
    if not places:
        return None
    titles = [f'{_prediction(first, i)} | {_prediction(second, i)}' for i in places]
    return figures.grid(first, places, titles, first.correct[places].tolist())


def _prediction(evaluation: Evaluation, place: int) -> str:
    name = evaluation.classes[evaluation.predicted[place]]
    return f'{class_name(name, 12)} {evaluation.confidence[place]:.0%}'
