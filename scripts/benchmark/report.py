"""What a benchmark found, for people and for programs."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.benchmark.modes import Result
from scripts.benchmark.timing import Row
from scripts.common.output_folder import writing
from trainers.storage import environment
from vision import files


def surroundings(load_average: tuple[float, float, float] | None) -> dict[str, Any]:
    """The machine and the versions, with the load of the minutes before."""
    return {**environment.describe(), 'load_average': load_average}


def header(environment: dict[str, Any], mode: str, unused: list[str]) -> str:
    """What the figures belong to, and what to think of them."""
    cpu, load = environment['cpu'], environment['load_average']
    lines = {
        'Device': ', '.join(gpu['name'] for gpu in environment['gpus']) or 'CPU',
        'CPU': f'{cpu["model"]}, {_cores(environment)} cores',
        'Versions': f'TensorFlow {environment["tensorflow"]}, '
        f'Keras {environment["keras"]}, NumPy {environment["numpy"]}, '
        f'Python {environment["python"]}',
        'Date': environment['started'],
        'Load': ' '.join(f'{value:.2f}' for value in load) if load else 'unknown',
        'Mode': mode,
    }
    if is_busy(environment):
        lines['Note'] = (
            'Other processes keep this machine busy: the figures are '
            'lower and less certain than on a quiet one.'
        )
    if unused:
        names = ', '.join(f'--{name}' for name in unused)
        lines['Unused'] = f'{names}: this mode does not look at it.'
    return '\n'.join(_line(title, text) for title, text in lines.items())


def is_busy(environment: dict[str, Any]) -> bool:
    """Whether the load of the last minute was above a quarter of the cores."""
    load = environment['load_average']
    return bool(load) and load[0] > _cores(environment) / 4


def results(result: Result) -> str:
    """The settings, then rows and ratios in aligned columns."""
    settings = ', '.join(
        f'{name} {_text(value)}'
        for name, value in result.settings.items()
        if value not in ('', [], False)
    )
    titles = ('', 'images/s', 'quartiles', 'GFLOP/s', 'of matmul')
    ratios = [(name, f'{value:.3f}') for name, value in result.ratios.items()]
    rows = _without_empty_columns([titles, *map(_cells, result.rows)])
    tables = [_aligned(rows)]
    tables += [_aligned(ratios)] if ratios else []
    return '\n\n'.join([_line('Settings', settings), *tables])


def write(path: Path, environment: dict[str, Any], mode: str, result: Result) -> None:
    """Writes everything as JSON, whole or not at all; `scripts.benchmark` says how.

    Raises:
        OutputError: the file cannot be written.
    """
    content = {
        'environment': environment,
        'mode': mode,
        'settings': result.settings,
        'rows': [_json_row(each) for each in result.rows],
        'ratios': result.ratios,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    with writing(path, '--json'):
        files.write_atomically(path, text + '\n')


def _json_row(row: Row) -> dict[str, Any]:
    spread = row.images_per_second
    return {**row._asdict(), 'images_per_second': spread and spread._asdict()}


def _cores(environment: dict[str, Any]) -> int:
    cpu = environment['cpu']
    return cpu['usable_cores'] or cpu['cores'] or 1


def _line(title: str, text: str) -> str:
    return textwrap.fill(
        f'{title:<9} {text}',
        88,
        subsequent_indent=' ' * 10,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text(value: Any) -> str:
    return ','.join(value) if isinstance(value, list) else str(value)


def _cells(row: Row) -> tuple[str, ...]:
    rate, share = row.images_per_second, row.share_of_matmul
    return (
        row.name,
        _number(rate.median) if rate else '',
        f'{_number(rate.low)} .. {_number(rate.high)}' if rate else '',
        _number(row.gflops) if row.gflops else '',
        f'{share:.1%}' if share else '',
    )


def _without_empty_columns(lines: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Leaves out the columns that have a title and nothing below it."""
    return list(zip(*(column for column in zip(*lines) if any(column[1:]))))


def _number(value: float) -> str:
    """Three digits, or all in front of the point: '2.34', '23.4', '1,234'."""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f'{value:,.{decimals}f}'


def _aligned(lines: Sequence[tuple[str, ...]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return '\n'.join(
        '   '.join(
            [line[0].ljust(widths[0])]
            + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        ).rstrip()
        for line in lines
    )
