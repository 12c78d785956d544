"""The comparison of runs: on the terminal, in Markdown, and as figures."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.common.csv_text import csv_text
from scripts.common.formatting import counted, printable, short
from scripts.common.formatting import table as aligned
from scripts.common.markdown import bullets, code, escape, image, table
from scripts.common.names import class_name
from scripts.evaluate import figures, grids, output
from scripts.evaluate.card import command, written
from scripts.evaluate.comparison import Comparison, Difference, Pair, numbers
from scripts.evaluate.report import interval, percent2, share
from scripts.evaluate.terminal import images, titled
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
    'Nothing is corrected for several comparisons: the more pairs, the '
    'sooner one differs\nby luck.'
)


def on_terminal(compared: Comparison) -> str:
    """Lines for a terminal."""
    first = compared.evaluations[0]
    lines = [titled('Images', images(first)), '']
    rows = _runs(compared)
    lines += aligned([[short(row[0], 30), *row[1:]] for row in rows])
    for pair in compared.pairs:
        a, b = compared.names[pair.first], compared.names[pair.second]
        lines += ['', f'{short(a, 40)} less {short(b, 40)}']
        lines += [f'  {line}' for line in aligned(_differences(compared, pair))]
        lines.append(f'  {verdict(compared, pair)}')
    if len(compared.pairs) > 1:
        lines += ['', _UNCORRECTED]
    return '\n'.join(lines)


def farewell(folder: Path) -> str:
    """Where everything is."""
    return '\n' + titled(
        'Report',
        f'{printable(str(folder / "report.md"))}, with what '
        'each run says of each image beside it',
    )


def contents(
    compared: Comparison, environment: dict[str, Any]
) -> dict[str, bytes | str]:
    """The files of a comparison by their names."""
    made: dict[str, bytes | str] = {
        'comparison.json': output.as_json(numbers(compared, environment)),
        'comparison.csv': _csv(compared),
        'accuracy.png': _accuracy(compared),
        'differences.png': _difference_figure(compared),
    }
    if chosen := _disagreements(compared):
        made['disagreement.png'] = _disagreement(compared, chosen)
    made['report.md'] = _markdown(compared, environment, bool(chosen))
    return made


def verdict(compared: Comparison, pair: Pair) -> str:
    """What the difference in top-1 accuracy means, in a sentence."""
    a, b = (short(compared.names[i], 40) for i in (pair.first, pair.second))
    found = (
        f'Only {a} is right about {pair.only_first:,}, only {b} about '
        f'{pair.only_second:,}; p = {pair.p_value:.3g}.'
    )
    # The bootstrap's interval is too short for this where few images differ.
    if pair.p_value >= _SIGNIFICANT:
        return f'{found} Neither is shown to be better.'
    return f'{found} {a if pair.only_first > pair.only_second else b} is better.'


def _runs(compared: Comparison) -> list[list[str]]:
    top5 = _has_top5(compared)
    rows = [
        [
            'run',
            'top-1',
            '95 % interval',
            *([f'top-{TOP}'] if top5 else []),
            'loss',
            'calibration error',
        ]
    ]
    for name, evaluation in zip(compared.names, compared.evaluations):
        main = evaluation.heads['main']
        rows.append(
            [
                name,
                percent2(main.top1),
                interval(main.top1_interval),
                *([percent2(main.top5)] if top5 else []),
                f'{main.loss:.4f}',
                percent2(evaluation.reliability.error),
            ]
        )
    return rows


def _has_top5(compared: Comparison) -> bool:
    return any(len(each.classes) > TOP for each in compared.evaluations)


def _differences(compared: Comparison, pair: Pair) -> list[list[str]]:
    rows = [['', 'difference', '95 % interval']]
    titles = {'top1': 'top-1', f'top{TOP}': f'top-{TOP}', 'loss': 'loss'}
    for name, found in pair.differences.items():
        if name != f'top{TOP}' or _has_top5(compared):
            rows.append([titles[name], *_difference(found, name == 'loss')])
    return rows


def _difference(found: Difference, loss: bool) -> tuple[str, str]:
    low, high = found.interval
    if loss:
        return f'{found.value:+.4f}', f'{low:+.4f} to {high:+.4f}'
    return (
        f'{100 * found.value:+.2f} points',
        f'{100 * low:+.2f} to {100 * high:+.2f}',
    )


def _markdown(compared: Comparison, environment: dict[str, Any], shown: bool) -> str:
    first = compared.evaluations[0]
    parts = [
        f'# {", ".join(escape(name) for name in compared.names)}',
        f'On the same {counted(len(first), "image")} of {escape(first.source.name)}, '
        f'{first.split_name}.',
        table(_runs(compared)),
        image('accuracy.png', 'Top-1 accuracy of each run with its 95 % interval'),
        '## Differences',
        f"One is called better where McNemar's exact test has p < {_SIGNIFICANT:g}; "
        'else the difference may be luck of the draw of these images. How much '
        'another training run would change is a different question. Intervals are of '
        f'{RESAMPLES:,} paired bootstrap resamples of the images; where few images '
        'differ they are too short, and may leave out 0 although nothing is shown.',
    ]
    if len(compared.pairs) > 1:
        parts.append(_UNCORRECTED)
    for pair in compared.pairs:
        a, b = (escape(compared.names[i]) for i in (pair.first, pair.second))
        parts += [
            f'### {a} less {b}',
            table(_differences(compared, pair)),
            escape(verdict(compared, pair)),
            table(
                [
                    ['', f'{b} is right', f'{b} is wrong'],
                    [f'{a} is right', f'{pair.both:,}', f'{pair.only_first:,}'],
                    [f'{a} is wrong', f'{pair.only_second:,}', f'{pair.neither:,}'],
                ]
            ),
        ]
    parts.append(image('differences.png', 'Differences in top-1 accuracy'))
    if shown:
        parts += [
            '### Where they disagree',
            image(
                'disagreement.png', 'Images that only one of two runs is right about'
            ),
            f'What {escape(compared.names[0])} names them is before the line, what '
            f'{escape(compared.names[1])} names them behind it; green where the former '
            'is right, red where the latter is.',
        ]
    parts += [
        '## Classes',
        *_by_class(compared),
        '## Settings',
        *_settings(compared),
        '## Runs',
        bullets(
            [
                f'{escape(name)}: {escape(each.classifier.origin)}'
                for name, each in zip(compared.names, compared.evaluations)
            ]
        ),
        '## Doing it again',
        code(command(environment)),
    ]
    return '\n\n'.join(parts) + '\n'


def _by_class(compared: Comparison) -> Iterator[str]:
    """Recall of each class, those first in which runs differ most."""
    first = compared.evaluations[0]
    known = [
        dict(zip(each.source.ids, each.dataset_classes.tolist()))
        for each in compared.evaluations
    ]
    shared = [id_ for id_ in first.source.ids if all(id_ in each for each in known)]
    labels = [[each[id_] for id_ in shared] for each in known]
    recalls = np.stack(
        [each.by_class.recall[own] for each, own in zip(compared.evaluations, labels)],
        1,
    )
    there = np.flatnonzero(np.isfinite(recalls).all(1))
    spread = np.ptp(recalls[there], axis=1)
    order = there[np.argsort(-spread, kind='stable')]
    if len(order) > _CLASSES:
        yield (
            f'The {_CLASSES} of {len(there)} classes in whose recall the runs differ '
            'most.'
        )
    names = dict(zip(first.source.ids, first.source.classes))
    support = first.by_class.support[labels[0]]
    rows = [['recall of', *compared.names, 'images']]
    rows += [
        [names[shared[i]], *map(share, recalls[i].tolist()), f'{support[i]:,}']
        for i in order[:_CLASSES].tolist()
    ]
    yield table(rows)


def _settings(compared: Comparison) -> Iterator[str]:
    """Settings that the runs do not share."""
    runs = [each.classifier.run for each in compared.evaluations]
    unknown = [name for name, run in zip(compared.names, runs) if run is None]
    if unknown:
        yield (
            'Nothing is known of the settings of '
            f'{", ".join(map(escape, unknown))}: checkpoints without their runs.'
        )
    rows = [['setting', *compared.names]]
    for field in dataclasses.fields(Config):
        values = [
            written(getattr(run.config, field.name)) if run else None for run in runs
        ]
        if len({*values} - {None}) > 1 and field.name != 'run_dir':
            rows.append(
                [field.name, *('–' if value is None else value for value in values)]
            )
    if len(rows) > 1:
        yield 'Where they differ:'
        yield table(rows, left=len(rows[0]))
    elif len(runs) - len(unknown) > 1:
        yield f'The {"other " if unknown else ""}runs have the same settings.'


def _csv(compared: Comparison) -> str:
    """A row for each image: its class, and what each run names it."""
    first = compared.evaluations[0]
    columns = [first.names, [first.classes[label] for label in first.labels.tolist()]]
    for each in compared.evaluations:
        columns += [
            [each.classes[label] for label in each.predicted.tolist()],
            list(map(repr, each.confidence.tolist())),
        ]
    titles = [
        title
        for name in compared.names
        for title in (f'{name}: predicted', f'{name}: probability')
    ]
    return csv_text(['path', 'label', *titles], zip(*columns))


def _accuracy(compared: Comparison) -> bytes:
    rows = []
    for name, evaluation in zip(compared.names, compared.evaluations):
        main = evaluation.heads['main']
        rows.append((name, main.top1, *main.top1_interval))
    return figures.intervals(rows, 'Top-1 accuracy, 95 % intervals', zero=False)


def _difference_figure(compared: Comparison) -> bytes:
    rows = []
    for pair in compared.pairs:
        found = pair.differences['top1']
        names = (short(compared.names[i], 20) for i in (pair.first, pair.second))
        rows.append((' − '.join(names), found.value, *found.interval))
    return figures.intervals(
        rows, 'Difference in top-1 accuracy in points, 95 % intervals', zero=True
    )


def _disagreements(compared: Comparison) -> list[int]:
    """Places of images that only the first or only the second run is right about."""
    first, second = compared.evaluations[:2]
    chosen = []
    for right, wrong in ((first, second), (second, first)):
        places = np.flatnonzero(right.correct & ~wrong.correct)
        order = np.argsort(-wrong.confidence[places], kind='stable')
        chosen += places[order[:_SHOWN]].tolist()
    return chosen


def _disagreement(compared: Comparison, chosen: list[int]) -> bytes:
    first, second = compared.evaluations[:2]
    titles = [f'{_said(first, i)} | {_said(second, i)}' for i in chosen]
    return grids.draw(first, chosen, titles, first.correct[chosen].tolist())


def _said(evaluation: Evaluation, place: int) -> str:
    name = class_name(evaluation.classes[evaluation.predicted[place]], 12)
    return f'{name} {evaluation.confidence[place]:.0%}'
