"""CSV files as text."""

import csv
import io
from collections.abc import Iterable
from typing import Any


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A heading and rows as the text of a CSV file, with Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
