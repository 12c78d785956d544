"""Pieces of Markdown: everything that comes from the data is escaped here."""

import re
from collections.abc import Sequence

from scripts.common.formatting import printable

# An underline between letters means nothing, and file names are full of them.
_SPECIAL = re.compile(r'[\\`*\[\]<>|&~#$!]|(?<!\w)_|_(?!\w)')


def escape(text: str) -> str:
    """Text that shows as it is, on one line, also in the cell of a table."""
    return _SPECIAL.sub(lambda match: f'\\{match[0]}', printable(text))


def code(text: str, language: str = '') -> str:
    """Text in a block of code; its fence is longer than any in the text."""
    fence = '`' * max([3, *(len(run) + 1 for run in re.findall('`+', text))])
    return f'{fence}{language}\n{text}\n{fence}'


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table of escaped cells, the first row its head, `left` columns to the left."""
    head, *body = [[escape(cell) for cell in row] for row in rows]
    rule = [':--' if place < left else '--:' for place in range(len(head))]
    return '\n'.join(f'| {" | ".join(row)} |' for row in (head, rule, *body))


def image(name: str, description: str) -> str:
    """An image in the same folder."""
    return f'![{escape(description)}]({name})'


def bullets(lines: Sequence[str]) -> str:
    """A list of lines, which are Markdown already."""
    return '\n'.join(f'- {line}' for line in lines)
