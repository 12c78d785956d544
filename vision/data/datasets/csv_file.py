"""Images listed in a CSV file."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vision.data.datasets.layout import (
    SPLIT_NAMES,
    check_every_class,
    complete,
    file_split,
    shorten,
    typical_size,
)
from vision.data.source import DatasetError, HeldOut, Source

_LAYOUT = (
    'Write a line "path,label" or "path,label,split" for each image, with '
    'paths relative to the file, and pass FILE.csv as data_dir.'
)
_COLUMNS = {2: 'path,label', 3: 'path,label,split'}


class _Row(NamedTuple):
    """One image: normalized path, class name, and 'train' where no split is given."""

    path: str
    label: str
    split: str


def load(data_dir: str, held_out: HeldOut) -> Source:
    """Your own images, listed in a file of path,label or path,label,split.

    data_dir is the CSV file in UTF-8, or a folder with `labels.csv`. A first line with
    titles may be there (path, filename, file or image; label or class; split). Paths
    are relative to the file's folder, or absolute. Labels are the names of classes,
    sorted, as numbers where all are. Splits are named as the folders of image_folder;
    what is missing is taken from each class of train.

    Raises:
        DatasetError: a line is not in that form, or an image does not exist.
    """
    file = _find(data_dir)
    rows = _read(file)
    classes = _sort({row.label for row in rows})
    label_of = {name: label for label, name in enumerate(classes)}
    missing = [
        row.path
        for row in rows
        if not os.path.isfile(os.path.join(file.parent, row.path))
    ]
    if missing:
        raise DatasetError(
            f'{file}: expected paths relative to {file.parent}, got '
            f'{len(missing)} of {len(rows)} that do not exist: '
            f'{shorten(missing)}. Correct or remove them.'
        )
    ready = {}
    for split in dict.fromkeys(row.split for row in rows):
        members = [row for row in rows if row.split == split]
        ready[split] = file_split(
            file.parent,
            [row.path for row in members],
            [label_of[row.label] for row in members],
        )
    if 'train' not in ready:
        raise DatasetError(
            f'{file}: expected images of the split train, got only '
            f'{" and ".join(ready)}. {_LAYOUT}',
            'data_dir',
        )
    check_every_class(file, classes, ready['train'])
    return Source(
        'csv',
        classes,
        image_size=typical_size(ready['train']),
        splits=complete(ready, held_out),
        fixed_size=False,
    )


def _find(data_dir: str) -> Path:
    if not data_dir:
        raise DatasetError(f'csv needs a file, got none. {_LAYOUT}', 'data_dir')
    file = Path(data_dir)
    file = file / 'labels.csv' if file.is_dir() else file
    if not file.is_file():
        raise DatasetError(
            f'Expected a CSV file, got no such file: {file}. {_LAYOUT}', 'data_dir'
        )
    return file


def _read(file: Path) -> list[_Row]:
    """The images in the order of the lines.

    Raises:
        DatasetError: a line is malformed, or the second one of an image.
    """
    first: dict[str, tuple[int, _Row]] = {}
    for line, row in _lines(file):
        earlier, other = first.setdefault(row.path, (line, row))
        if other is not row:
            same = (
                'again'
                if other.label == row.label
                else f'as {row.label!r} and as {other.label!r}'
            )
            raise DatasetError(
                f'{file}, line {line}: expected every image once, got '
                f'{row.path} {same}, first in line {earlier}. Remove '
                'one.'
            )
    if not first:
        raise DatasetError(f'{file}: expected images, got none. {_LAYOUT}', 'data_dir')
    return [row for _, row in first.values()]


def _lines(file: Path) -> Iterator[tuple[int, _Row]]:
    """Line numbers and what the lines say, without titles and empty lines."""
    columns = 0
    try:
        # A spreadsheet may put a byte order mark in front.
        with open(file, encoding='utf-8-sig', newline='') as text:
            reader = csv.reader(text)
            for fields in reader:
                fields = [field.strip() for field in fields]
                if not any(fields):
                    continue
                line, titles = reader.line_num, not columns and _are_titles(fields)
                columns = columns or len(fields)
                _check_columns(file, line, fields, columns)
                if not titles:
                    yield line, _row(file, line, fields)
    except UnicodeDecodeError as error:
        raise DatasetError(
            f'{file}: expected text in UTF-8, got the byte '
            f'{error.object[error.start]:#04x}; save it as '
            'UTF-8.'
        ) from error
    except csv.Error as error:
        raise DatasetError(
            f'{file}, line {reader.line_num}: {error}. {_LAYOUT}', 'data_dir'
        ) from error


def _are_titles(fields: Sequence[str]) -> bool:
    titles = [field.lower() for field in fields]
    return (
        len(titles) > 1
        and titles[0] in ('path', 'filename', 'file', 'image')
        and titles[1] in ('label', 'class')
    )


def _check_columns(file: Path, line: int, fields: Sequence[str], columns: int) -> None:
    if len(fields) != columns or columns not in _COLUMNS:
        expected = _COLUMNS.get(columns) or ' or '.join(_COLUMNS.values())
        raise DatasetError(
            f'{file}, line {line}: expected {expected}, got '
            f'{",".join(fields)!r}. {_LAYOUT}',
            'data_dir',
        )


def _row(file: Path, line: int, fields: Sequence[str]) -> _Row:
    path, label, split = (*fields, 'train')[:3]
    if not (path and label):
        raise DatasetError(
            f'{file}, line {line}: expected a {"label" if path else "path"}, got an '
            f'empty one in {",".join(fields)!r}.'
        )
    if split.lower() not in SPLIT_NAMES:
        raise DatasetError(
            f'{file}, line {line}: expected a split of '
            f'{", ".join(SPLIT_NAMES)}, got {split!r}.'
        )
    return _Row(os.path.normpath(path), label, SPLIT_NAMES[split.lower()])


def _sort(labels: set[str]) -> tuple[str, ...]:
    numbers = all(re.fullmatch(r'-?[0-9]+', label) for label in labels)
    return tuple(
        sorted(labels, key=lambda label: (int(label) if numbers else 0, label))
    )
