"""Predictions as a table for people, and as CSV or JSON lines for programs."""

import csv
import io
import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scripts.common.formatting import percent, printable, short
from trainers.inference.classifier import Classifier
from trainers.inference.prediction import Prediction

_LEAST, _MOST = 16, 40  # Columns of names in a table.


class Format(NamedTuple):
    """What comes first, and what is written of each prediction; whole lines.

    Bytes, since the names of files may be no text.
    """

    header: bytes
    row: Callable[[Prediction], bytes]


def csv_lines(classifier: Classifier, top: int) -> Format:
    """A line of each image; no class is given where it was rejected."""
    top = min(top, len(classifier.classes))
    columns = ['file']
    for rank in range(1, top + 1):
        number = f'_{rank}' if rank > 1 else ''
        columns += [f'class{number}', f'probability{number}']

    def row(prediction: Prediction) -> bytes:
        cells = [''] * (2 * top)
        for rank, probability in enumerate(prediction.probabilities):
            if not prediction.rejected:
                cells[2 * rank] = prediction.classes[rank]
            cells[2 * rank + 1] = _written(probability)
        rejected = '' if prediction.error else str(prediction.rejected).lower()
        return _csv([prediction.file, *cells, rejected, prediction.error])

    return Format(_csv([*columns, 'rejected', 'error']), row)


def json_lines(classifier: Classifier) -> Format:
    """An object of each image; a rejected one has its classes all the same."""
    ids = dict(zip(classifier.classes, classifier.ids))

    def row(prediction: Prediction) -> bytes:
        if prediction.error:
            return _json({'file': prediction.file, 'error': prediction.error})
        ranked = zip(prediction.classes, prediction.probabilities)
        predictions = [
            {
                'class': name,
                'id': ids[name],
                'probability': float(_written(probability)),
            }
            for name, probability in ranked
        ]
        return _json(
            {
                'file': prediction.file,
                'predictions': predictions,
                'rejected': prediction.rejected,
            }
        )

    return Format(b'', row)


def table(classifier: Classifier, names: list[str], width: int) -> Format:
    """A line of each class of an image, with the image in front of the first.

    Args:
        names: of the images, where they are known beforehand.
        width: columns that there are, as far as names can be cut.
    """
    classes = min(
        max(len(_shown(name)) for name in (*classifier.classes, 'class')), _MOST
    )
    room = max(min(width - classes - len('    probability  unsure'), _MOST), _LEAST)
    files = min(max((len(printable(name)) for name in names), default=room), room)
    files = max(files, len('file'))

    def row(prediction: Prediction) -> bytes:
        file = short(prediction.file, files).ljust(files)
        if prediction.error:
            return _text(f'{file}  {printable(prediction.error)}')
        lines: list[str] = []
        for name, probability in zip(prediction.classes, prediction.probabilities):
            unsure = '  unsure' if prediction.rejected and not lines else ''
            lines.append(
                f'{file}  {_shown(name).ljust(classes)}  '
                f'{percent(probability):>11}{unsure}'
            )
            file = ' ' * files
        return _text('\n'.join(lines))

    return Format(
        _text(
            f'{_origin(classifier)}\n\n{"file".ljust(files)}  '
            f'{"class".ljust(classes)}  probability'
        ),
        row,
    )


def _origin(classifier: Classifier) -> str:
    """Which network answers, and how far its probabilities can be trusted."""
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
    """A class as it fits into a table; other than of a path, its beginning matters."""
    name = printable(name)
    return name if len(name) <= _MOST else name[: _MOST - 1] + '…'


def _written(probability: float) -> str:
    """The fewest digits that give the same float32 again."""
    return str(np.float32(probability))


def _csv(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator='\n').writerow(cells)
    return text.getvalue().encode('utf-8', 'surrogateescape')


def _json(row: dict) -> bytes:
    # What Python has for bytes that are no text becomes JSON's own escape, '\udcff'.
    return (json.dumps(row, ensure_ascii=False) + '\n').encode(
        'utf-8', 'backslashreplace'
    )


def _text(lines: str) -> bytes:
    return ''.join(f'{line.rstrip()}\n' for line in lines.split('\n')).encode()
