"""Names what is on images: `python -m scripts.predict --run_dir=runs/x photos/`."""

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
Names what is on images, by a trained network.

  python -m scripts.predict --run_dir=runs/x photo.jpg folder/ '*.png'
      Files, whatever they are called; all images in a folder and below, sorted; what
      a pattern matches, ** also across folders. The network is that of a run.
  find /photos -name '*.jpg' | python -m scripts.predict --run_dir=runs/x --top=1 -
      What is listed on standard input, a line each (or after find -print0), or a single
      image that comes through it; a file called - is ./-
  python -m scripts.predict --model=googlenet --pretrained=googlenet.npz photo.jpg
      Weights of somebody else, with the 1000 classes of ImageNet.

Images are prepared and probabilities computed as in evaluation. An image that cannot
be read is listed with the reason, there and on standard error, and the rest predicted.

  --format=csv            file, class, probability, class_2, probability_2, ...,
                          rejected, error; a line an image. A rejected image has no
                          class, one that cannot be read neither that nor a
                          probability.
  --format=jsonl          {"file": ..., "predictions": [{"class": ..., "id": ...,
                          "probability": ...}, ...], "rejected": false} or
                          {"file": ..., "error": ...}; a line an image.
"""

EXAMPLE = (
    'Expected images: files, folders or patterns, such as in python -m '
    'scripts.predict --run_dir=runs/x photo.jpg folder/; or - for a list on '
    'standard input.'
)

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
        raise ConfigError(EXAMPLE)
    return arguments, settings


def predict(request: tuple[list[str], Settings]) -> None:
    """Predicts the images that the arguments name, and writes the predictions.

    Raises:
        UserError: there is no network, nowhere to write to, or an image that could not
            be read; all others have been written then.
    """
    from scripts.predict.output import opened
    from trainers.inference.prediction import stream
    from vision.errors import UserError

    arguments, settings = request
    classifier = model_settings.load_classifier()
    seen, failed = 0, 0
    shown_in_table = _share_a_terminal(settings)
    with tempfile.TemporaryFile() as spool, opened(settings.output) as write:
        images: Iterable[ImageFile] = _images(arguments, spool)
        if '-' not in arguments:  # what comes through it may have no end
            images = list(images)
        layout = _layout(settings, classifier, images)
        write(layout.header)
        total = len(images) if isinstance(images, list) else None
        with quiet.progress_bar(total) as bar:
            for predictions in stream(classifier, images, settings):
                bar.clear()
                write(b''.join(map(layout.row, predictions)))
                bad = [each for each in predictions if each.error]
                if not shown_in_table:
                    for each in bad:
                        print(
                            f'{printable(each.file)}: {each.error}',
                            file=sys.stderr,
                            flush=True,
                        )
                seen, failed = seen + len(predictions), failed + len(bad)
                bar.update(len(predictions))
    if failed:
        raise UserError(
            f'{failed:,} of {counted(seen, "image")} could not be predicted.'
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
    names = [each.name for each in images] if isinstance(images, list) else []
    return formats.table(classifier, names, shutil.get_terminal_size((100, 0)).columns)


def _share_a_terminal(settings: Settings) -> bool:
    """Whether who reads standard error sees the table as well, and all errors in it."""
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
