"""Predictions as a table, as CSV or as JSON lines."""

import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scripts.common.formatting import csv_text, percent, printable, short
from trainers.inference.classifier import Classifier
from trainers.inference.prediction import Prediction

_LEAST, _MOST = 16, 40  # Characters of names in a table.


class Format(NamedTuple):
    """How predictions are written, as whole lines.

    Lines are bytes, since file names may not be valid text.

    Attributes:
        header: the lines before the predictions.
        row: returns the lines of a prediction.
    """

    header: bytes
    row: Callable[[Prediction], bytes]


def csv_lines(classifier: Classifier, top: int) -> Format:
    """A line for each image, without classes where it is rejected."""
    top = min(top, len(classifier.classes))
    ranks = ['', *(f'_{rank}' for rank in range(2, top + 1))]
    columns = [f'{name}{rank}' for rank in ranks for name in ('class', 'probability')]

    def row(prediction: Prediction) -> bytes:
        cells = []
        for name, probability in zip(prediction.classes, prediction.probabilities):
            cells += ['' if prediction.rejected else name, _digits(probability)]
        cells += [''] * (2 * top - len(cells))  # of an image that cannot be read
        rejected = '' if prediction.error else str(prediction.rejected).lower()
        return _csv([prediction.file, *cells, rejected, prediction.error])

    return Format(_csv(['file', *columns, 'rejected', 'error']), row)


def json_lines(classifier: Classifier) -> Format:
    """An object for each image, with its classes also where it is rejected."""
    ids = dict(zip(classifier.classes, classifier.ids))

    def row(prediction: Prediction) -> bytes:
        if prediction.error:
            return _json({'file': prediction.file, 'error': prediction.error})
        return _json(
            {
                'file': prediction.file,
                'predictions': [
                    {'class': name, 'id': ids[name], 'probability': float(_digits(p))}
                    for name, p in zip(prediction.classes, prediction.probabilities)
                ],
                'rejected': prediction.rejected,
            }
        )

    return Format(b'', row)


def table(classifier: Classifier, names: list[str], width: int) -> Format:
    """A line for each class of an image, with the name of the image on the first.

    Args:
        classifier: its classes.
        names: of the images, if they are known in advance.
        width: of the terminal, to which names of images are cut.
    """
    shown = {name: _shown(name) for name in classifier.classes}
    classes = max(map(len, (*shown.values(), 'class')))
    room = max(min(width - classes - len('    probability  unsure'), _MOST), _LEAST)
    files = min(max((len(printable(name)) for name in names), default=room), room)
    files = max(files, len('file'))

    def row(prediction: Prediction) -> bytes:
        file = short(prediction.file, files).ljust(files)
        if prediction.error:
            return _text(f'{file}  {printable(prediction.error)}')
        lines = [
            f'{shown[name].ljust(classes)}  {percent(probability):>11}'
            for name, probability in zip(prediction.classes, prediction.probabilities)
        ]
        if prediction.rejected:
            lines[0] += '  unsure'
        indent = ' ' * len(f'{file}  ')
        return _text(f'{file}  ' + f'\n{indent}'.join(lines))

    return Format(
        _text(
            f'{_origin(classifier)}\n\n'
            f'{"file".ljust(files)}  {"class".ljust(classes)}  probability'
        ),
        row,
    )


def _origin(classifier: Classifier) -> str:
    """The network, and whether its probabilities are calibrated."""
    temperature = classifier.temperature
    if temperature.images:
        calibration = (
            f'probabilities calibrated on {temperature.images:,} images '
            f'of {temperature.split}'
        )
    elif temperature.value != 1:
        calibration = f'probabilities at temperature {temperature.value:g}'
    else:
        calibration = 'probabilities not calibrated'
    return printable(f'{classifier.origin}; {calibration}')


def _shown(name: str) -> str:
    """The name of a class, cut at its end to the width of the table."""
    name = printable(name)
    return name if len(name) <= _MOST else name[: _MOST - 1] + '…'


def _digits(probability: float) -> str:
    """The fewest digits that are the same float32 when they are read."""
    return str(np.float32(probability))


def _csv(cells: list[str]) -> bytes:
    return csv_text(cells, ()).encode('utf-8', 'surrogateescape')


def _json(row: dict) -> bytes:
    # A surrogate, for a byte that is no text, becomes an escape of JSON: '\udcff'.
    return (json.dumps(row, ensure_ascii=False) + '\n').encode(
        'utf-8', 'backslashreplace'
    )


def _text(lines: str) -> bytes:
    return ''.join(f'{line.rstrip()}\n' for line in lines.split('\n')).encode()
