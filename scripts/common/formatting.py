"""Text of numbers and names, and tables of them, also as CSV files."""

import csv
import io
import math
import os
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any


def printable(text: str) -> str:
    """The text on one line, with all characters that cannot be printed escaped.

    File names can contain line breaks, control sequences and bytes that are no text.
    """
    return ''.join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def short(text: str, width: int) -> str:
    """The printable text, cut at its start to the width: paths differ at the end."""
    text = printable(text)
    return text if len(text) <= width else '…' + text[len(text) - width + 1 :]


def class_name(name: str, width: int = 22) -> str:
    """The printable name, cut at its end to the width; of synonyms, the first."""
    name = printable(name)
    if len(name) > width:
        name = name.partition(',')[0]
    return name if len(name) <= width else f'{name[: width - 1]}…'


def brief(path: str, width: int) -> str:
    """The last part of a path, cut to the width."""
    return short(os.path.basename(path) or path, width)


def number(value: float) -> str:
    """'1,234', '61.5', '0.123': an integer, or at least three significant digits."""
    if value == int(value):
        return f'{int(value):,}'
    decimals = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 3
    return f'{value:,.{decimals}f}'


def percent(share: float | None, decimals: int = 1) -> str:
    """'97.3 %'; '–' where there is no value: None or NaN."""
    if share is None or math.isnan(share):
        return '–'
    return f'{100 * share:.{decimals}f} %'


def titled(title: str, text: str, indent: int = 12) -> str:
    """'Model       text' in at most 88 columns, continued below the text.

    Args:
        title: stands in front of the first line.
        text: what is wrapped.
        indent: columns in front of the text.
    """
    return textwrap.fill(
        text,
        88,
        initial_indent=f'{title:<{indent}}',
        subsequent_indent=' ' * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def counted(count: int, one: str, several: str = '') -> str:
    """'1 image', '2 images'."""
    return f'{count:,} {one if count == 1 else several or one + "s"}'


def counts(frequencies: dict[str, int]) -> str:
    """'JPEG 11,000, PNG 3'."""
    return ', '.join(f'{name} {count:,}' for name, count in frequencies.items())


def table(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Aligned lines: the first `left` columns to the left, all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths))
        ]
        lines.append('  '.join(cells).rstrip())
    return lines


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A heading and rows as the text of a CSV file, with Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
