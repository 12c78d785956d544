"""The report of an exploration for a terminal."""

import textwrap
from collections.abc import Sequence

from scripts.common.formatting import class_name, printable, short, table
from scripts.explore import content
from scripts.explore.summary import Findings
from vision.survey import problems

_CLASSES = 12  # With more classes, only the largest and the smallest are listed.
_EXAMPLES = 2
_WIDTH = 100


def report(findings: Findings) -> str:
    """All sections, as printable lines of at most 100 columns."""
    numbers = findings.numbers
    sections: list[Sequence[str | content.Table]] = [
        [f'{numbers["dataset"]}: {content.total(numbers)}', *content.splits(numbers)],
        _classes(findings),
        content.sizes(numbers, ['all']),
        content.pixels(numbers),
        _problems(findings),
        content.duplicate_pairs(numbers),
    ]
    return '\n\n'.join(
        '\n'.join(
            textwrap.fill(printable(line), _WIDTH)
            for part in section
            for line in ([part] if isinstance(part, str) else table(part))
        )
        for section in sections
    )


def _classes(findings: Findings) -> list[str]:
    rows = [
        [label, short(identifier, 16), class_name(name, 32), *counts]
        for label, identifier, name, *counts in content.class_rows(findings.numbers)
    ]
    title = 'Classes'
    if len(rows) > _CLASSES:
        half = _CLASSES // 2
        in_train = [row['train'] for row in findings.numbers['classes']]
        ranked = [
            row for _, row in sorted(zip(in_train, rows), key=lambda pair: -pair[0])
        ]
        rows = [*ranked[:half], ['…'] + [''] * (len(rows[0]) - 1), *ranked[-half:]]
        title = f'Classes, the {half} largest and the {half} smallest of train'
    return [title, *table([content.CLASS_COLUMNS, *rows], left=3)]


def _problems(findings: Findings) -> list[str]:
    lines = ['Problems' if findings.problems else 'No problems.']
    for kind, images in findings.problems.items():
        lines.append(f'{len(images):>7,}  {kind}: {problems.KINDS[kind]}')
        lines += [
            f'         {short(findings.survey.name(problem.image), 44)}  '
            f'{printable(problem.detail)[:45]}'
            for problem in images[:_EXAMPLES]
        ]
    return lines
