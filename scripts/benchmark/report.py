"""The result of a benchmark as text and as JSON."""

import json
from pathlib import Path
from typing import Any, TypedDict

from scripts.benchmark.timing import Row
from scripts.common.formatting import number, table, titled
from scripts.common.output_folder import writing
from vision import files

_INDENT = 10


class Result(TypedDict):
    """The result of a mode, as `scripts.benchmark.__main__` describes it."""

    settings: dict[str, Any]
    rows: list[Row]
    ratios: dict[str, float]


def header(environment: dict[str, Any], mode: str, unused: list[str]) -> str:
    """The conditions of the measurement, with notes on what they mean for it."""
    cpu, load = environment['cpu'], environment['load_average']
    cores = cpu['usable_cores'] or cpu['cores'] or 1
    lines = {
        'Device': ', '.join(gpu['name'] for gpu in environment['gpus']) or 'CPU',
        'CPU': f'{cpu["model"]}, {cores} cores',
        'Versions': f'TensorFlow {environment["tensorflow"]}, '
        f'Keras {environment["keras"]}, NumPy {environment["numpy"]}, '
        f'Python {environment["python"]}',
        'Date': environment['started'],
        'Load': ' '.join(f'{value:.2f}' for value in load) if load else 'unknown',
        'Mode': mode,
    }
    # Busy: the load of the last minute is above a quarter of the cores.
    if load and load[0] > cores / 4:
        lines['Note'] = (
            'Other processes use this machine: the results are lower and vary more '
            'than on an idle one.'
        )
    if unused:
        lines['Unused'] = f'--{", --".join(unused)}: not used in this mode.'
    return '\n'.join(titled(title, text, _INDENT) for title, text in lines.items())


def results(result: Result) -> str:
    """The settings, then rows and ratios in aligned columns."""
    settings = ', '.join(
        f'{name} {",".join(value) if isinstance(value, list) else value}'
        for name, value in result['settings'].items()
        if value not in ('', [], False)
    )
    columns = zip(
        ('', 'images/s', 'quartiles', 'GFLOP/s', 'of matmul'),
        *map(_cells, result['rows']),
    )
    rows = list(zip(*(column for column in columns if any(column[1:]))))
    ratios = [(name, f'{value:.3f}') for name, value in result['ratios'].items()]
    tables = ['\n'.join(table(lines)) for lines in (rows, ratios) if lines]
    return '\n\n'.join([titled('Settings', settings, _INDENT), *tables])


def write(path: Path, environment: dict[str, Any], mode: str, result: Result) -> None:
    """Writes everything as JSON, as `scripts/benchmark/__main__.py` describes it.

    Raises:
        OutputError: the file cannot be written.
    """
    text = json.dumps(
        {'environment': environment, 'mode': mode, **result},
        indent=2,
        ensure_ascii=False,
        allow_nan=False,
    )
    with writing(path, '--json'):
        files.write_atomically(path, text + '\n')


def _cells(row: Row) -> tuple[str, ...]:
    rate, share = row['images_per_second'], row['share_of_matmul']
    return (
        row['name'],
        number(rate['median']) if rate else '',
        f'{number(rate["low"])} .. {number(rate["high"])}' if rate else '',
        number(row['gflops']) if row['gflops'] else '',
        f'{share:.1%}' if share else '',
    )
