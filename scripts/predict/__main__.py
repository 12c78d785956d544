"""Predicts images: `python -m scripts.predict --run_dir=runs/x photos/`."""

import dataclasses
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from io import BufferedReader
from typing import IO, TYPE_CHECKING, cast

from scripts.common import command, flags, model_settings, quiet
from scripts.common.formatting import counted, printable
from scripts.predict.settings import Settings
from trainers.settings.config import ConfigError

if TYPE_CHECKING:
    from scripts.predict.formats import Format
    from trainers.inference.classifier import Classifier
    from trainers.inference.image_files import ImageFile

DESCRIPTION = """
Predicts the classes of images with a trained network.

  python -m scripts.predict --run_dir=runs/x photo.jpg folder/ '*.png'
      Files with any name; all images in a folder and its subfolders, sorted; all files
      that match a pattern, in which ** matches any subfolders.
  find /photos -name '*.jpg' | python -m scripts.predict --run_dir=runs/x --top=1 -
      Files that standard input lists, one on each line (or of find -print0), or the
      single image that it contains. A file called - is ./-
  python -m scripts.predict --model=googlenet --pretrained=googlenet.npz photo.jpg
      Weights that are not of a run, with the 1000 classes of ImageNet.

Preprocessing and probabilities are those of evaluation. An image that cannot be read is
listed with the reason, in the output and on standard error; all others are predicted.

  --format=csv            A line for each image: file, class, probability, class_2,
                          probability_2, ..., rejected, error. The class is empty for a
                          rejected image; class and probability are empty for one that
                          cannot be read.
  --format=jsonl          A line for each image: {"file": ..., "predictions":
                          [{"class": ..., "id": ..., "probability": ...}, ...],
                          "rejected": false} or {"file": ..., "error": ...}.
"""

FIELDS = [*model_settings.model_fields(), *dataclasses.fields(Settings)]


def check(arguments: list[str]) -> tuple[list[str], Settings]:
    """Reads the flags.

    Returns:
        The arguments that name images, and the settings.

    Raises:
        ConfigError: a value is not allowed, or no argument is given.
    """
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    if not arguments:
        raise ConfigError(
            'Expected images: files, folders or patterns, such as in python -m '
            'scripts.predict --run_dir=runs/x photo.jpg folder/; or - for a list on '
            'standard input.'
        )
    return arguments, settings


def predict(request: tuple[list[str], Settings]) -> None:
    """Predicts the images that the arguments name, and writes the predictions.

    Raises:
        UserError: the network cannot be loaded, the output cannot be written, or an
            image could not be read; the predictions of all others are written then.
    """
    from scripts.predict.output import opened
    from trainers.inference.prediction import stream
    from vision.errors import UserError

    arguments, settings = request
    classifier = model_settings.load_classifier()
    count, failed = 0, 0
    print_errors = not _shows_errors_in_table(settings)
    with tempfile.TemporaryFile() as spool, opened(settings.output) as write:
        images: Iterable[ImageFile] = _images(arguments, spool)
        if '-' not in arguments:  # The list on standard input may have no end.
            images = list(images)
        layout = _layout(settings, classifier, images)
        write(layout.header)
        total = len(images) if isinstance(images, list) else None
        with quiet.progress_bar(total) as bar:
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


def _images(arguments: list[str], spool: IO[bytes]) -> Iterator['ImageFile']:
    from scripts.predict import standard_input
    from trainers.inference import image_files

    for argument in arguments:
        if argument == '-':
            yield from standard_input.images(
                cast(BufferedReader, sys.stdin.buffer), spool
            )
        else:
            yield from image_files.find(argument)


def _layout(
    settings: Settings, classifier: 'Classifier', images: Iterable['ImageFile']
) -> 'Format':
    from scripts.predict import formats

    if settings.written_format == 'csv':
        return formats.csv_lines(classifier, settings.top)
    if settings.written_format == 'jsonl':
        return formats.json_lines(classifier)
    names = [image.name for image in images] if isinstance(images, list) else []
    return formats.table(classifier, names, shutil.get_terminal_size((100, 0)).columns)


def _shows_errors_in_table(settings: Settings) -> bool:
    """Whether standard error is the terminal that shows the table with all errors."""
    return (
        settings.written_format == 'table'
        and not settings.output
        and sys.stdout.isatty()
        and sys.stderr.isatty()
    )


def run() -> None:
    """Parses the command line and predicts."""
    command.start(DESCRIPTION, FIELDS, check, predict, arguments=True)


if __name__ == '__main__':
    run()
