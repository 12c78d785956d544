"""What a benchmark found, for people and for programs."""

import json
from pathlib import Path
from typing import Any

from scripts.benchmarks.modes import Result
from scripts.benchmarks.timing import Row
from trainers import environment, files
from vision.errors import UserError


class ReportError(UserError):
    """The figures could not be written."""


def surroundings(load_average: tuple[float, float, float] | None) -> dict[str, Any]:
    """The machine and the versions, with the load of the minutes before."""
    return {**environment.describe(), 'load_average': load_average}


def header(environment: dict[str, Any], mode: str, settings: dict[str, Any],
           unused: list[str]) -> str:
    """What the figures belong to, in aligned lines."""
    cpu, load = environment['cpu'], environment['load_average']
    device = ', '.join(gpu['name'] for gpu in environment['gpus']) or 'CPU'
    lines = {
        'Device': device,
        'CPU': f'{cpu["model"]}, {cpu["usable_cores"] or cpu["cores"]} cores',
        'Versions': f'TensorFlow {environment["tensorflow"]}, '
                    f'Keras {environment["keras"]}, NumPy {environment["numpy"]}, '
                    f'Python {environment["python"]}',
        'Date': environment['started'],
        'Load': ' '.join(f'{value:.2f}' for value in load) if load else 'unknown',
        'Mode': mode,
        'Settings': ', '.join(_setting(*item) for item in settings.items()
                              if item[1] not in ('', [], False)),
    }
    if is_busy(environment):
        lines['Note'] = ('other processes keep this machine busy: the figures are lower '
                         'and less certain than on a quiet one')
    if unused:
        lines['Unused'] = ' '.join(f'--{name}' for name in unused) + ' in this mode'
    return '\n'.join(f'{title:<9} {text}' for title, text in lines.items())


def is_busy(environment: dict[str, Any]) -> bool:
    """Whether the load of the last minute was above a quarter of the cores."""
    cpu, load = environment['cpu'], environment['load_average']
    return bool(load) and load[0] > (cpu['usable_cores'] or cpu['cores'] or 1) / 4


def table(result: Result) -> str:
    """Rows and ratios in aligned columns."""
    lines = [('', 'images/s', 'quartiles', 'GFLOP/s', 'of the product')]
    lines += [_cells(each) for each in result.rows]
    ratios = [(name, f'{value:.3f}') for name, value in result.ratios.items()]
    text = _aligned(lines)
    return text + '\n\n' + _aligned(ratios) if ratios else text


def write(path: Path, environment: dict[str, Any], mode: str, result: Result) -> None:
    """Writes everything as JSON, whole or not at all; `scripts.benchmark` says how.

    Raises:
        ReportError: the file cannot be written.
    """
    content = {
        'environment': environment,
        'mode': mode,
        'settings': result.settings,
        'rows': [_json_row(each) for each in result.rows],
        'ratios': result.ratios,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        files.write_atomically(path, text + '\n')
    except OSError as error:
        raise ReportError(f'{path}: the figures could not be written: {error}. Choose '
                          'another --json.') from error


def _json_row(row: Row) -> dict[str, Any]:
    spread = row.images_per_second
    return {**row._asdict(), 'images_per_second': spread and spread._asdict()}


def _setting(name: str, value: Any) -> str:
    return f'{name} {",".join(value) if isinstance(value, list) else value}'


def _cells(row: Row) -> tuple[str, ...]:
    rate, share = row.images_per_second, row.share_of_matmul
    return (row.name,
            _number(rate.median) if rate else '-',
            f'{_number(rate.low)} .. {_number(rate.high)}' if rate else '-',
            _number(row.gflops) if row.gflops else '-',
            f'{share:.1%}' if share else '-')


def _number(value: float) -> str:
    """At least three digits: '23.4', '1,234'."""
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def _aligned(lines: list[tuple[str, ...]]) -> str:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines)]
    return '\n'.join('   '.join(
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(line, widths))) for line in lines)
