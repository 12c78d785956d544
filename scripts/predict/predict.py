"""What the command does once TensorFlow is imported."""

import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from io import BufferedReader
from typing import IO, cast

from scripts.common import model_settings, quiet
from scripts.common.formatting import counted, printable
from scripts.predict import formats, standard_input
from scripts.predict.formats import Format
from scripts.predict.output import opened
from scripts.predict.settings import Settings
from trainers.inference import image_files
from trainers.inference.classifier import Classifier
from trainers.inference.image_files import ImageFile
from trainers.inference.prediction import stream
from vision.errors import UserError


def predict(arguments: list[str], settings: Settings) -> None:
    """Predicts the images that the arguments name, and writes the predictions.

    Raises:
        UserError: the network cannot be loaded, the output cannot be written, or an
            image could not be read; the predictions of all others are written then.
    """
    classifier = model_settings.load_classifier()
    count, failed = 0, 0
    # A table on the terminal that is also standard error shows all errors itself.
    print_errors = (
        settings.written_format != 'table'
        or settings.output
        or not sys.stdout.isatty()
        or not sys.stderr.isatty()
    )
    with tempfile.TemporaryFile() as spool, opened(settings.output) as write:
        images: Iterable[ImageFile] = _images(arguments, spool)
        known: list[ImageFile] = []
        if '-' not in arguments:  # The list on standard input may have no end.
            images = known = list(images)
        layout = _layout(settings, classifier, [image.name for image in known])
        write(layout.header)
        with quiet.progress_bar(len(known) or None) as bar:
            for predictions in stream(classifier, images, settings):
                bar.clear()
                write(b''.join(map(layout.row, predictions)))
                errors = [
                    f'{printable(prediction.file)}: {prediction.error}'
                    for prediction in predictions
                    if prediction.error
                ]
                if errors and print_errors:
                    print('\n'.join(errors), file=sys.stderr, flush=True)
                count, failed = count + len(predictions), failed + len(errors)
                bar.update(len(predictions))
    if failed:
        raise UserError(
            f'{failed:,} of {counted(count, "image")} could not be predicted.'
        )


def _images(arguments: list[str], spool: IO[bytes]) -> Iterator[ImageFile]:
    for argument in arguments:
        if argument == '-':
            yield from standard_input.images(
                cast(BufferedReader, sys.stdin.buffer), spool
            )
        else:
            yield from image_files.find(argument)


def _layout(settings: Settings, classifier: Classifier, names: list[str]) -> Format:
    if settings.written_format == 'csv':
        return formats.csv_lines(classifier, settings.top)
    if settings.written_format == 'jsonl':
        return formats.json_lines(classifier)
    return formats.table(classifier, names, shutil.get_terminal_size((100, 0)).columns)
