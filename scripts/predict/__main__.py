"""Predicts images: `python -m scripts.predict --run_dir=runs/x photos/`."""

import dataclasses

from scripts.common import command, flags, model_settings
from scripts.predict.settings import Settings
from trainers.settings.config import ConfigError

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


def work(request: tuple[list[str], Settings]) -> None:
    """Predicts; see `predict.predict`."""
    from scripts.predict.predict import predict

    predict(*request)


if __name__ == '__main__':
    command.start(DESCRIPTION, FIELDS, check, work, arguments=True)
