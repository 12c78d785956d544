"""Explains predictions: `python -m scripts.explain --run_dir=runs/x photo.jpg`."""

import dataclasses

from scripts.common import command, flags, model_settings
from scripts.common.dataset_settings import image_fields
from scripts.common.formatting import printable
from scripts.explain.settings import Settings
from trainers.settings.config import ConfigError

DESCRIPTION = """
Shows which parts of an image a trained network bases its prediction on, as
attribution maps.

  python -m scripts.explain --run_dir=runs/x
      Some validation images of a run, half of them misclassified if there are enough.
  python -m scripts.explain --run_dir=runs/x --method=all photo.jpg folder/ '*.png'
      Your own images, by every method.
  python -m scripts.explain --model=googlenet --pretrained=googlenet.npz \\
      --target='tiger cat' --endpoint=inception_4e photo.jpg
      The evidence for a given class, in the map of another stage.

Writes an overlay of the attribution map for each image and method, sheet.png with all
overlays side by side, and explanations.csv. Bright regions are evidence for the class.
The network takes the largest centred square of an image.

The deletion test compares each map with chance: the fifth of the image that the map
highlights is blurred, and so are random regions of the same size. The probability of
the class should drop more for the highlighted region. The mean drops are printed, with
a warning for methods that fail; explanations.csv has those of each image.
"""

FIELDS = [
    *model_settings.model_fields(),
    *dataclasses.fields(Settings),
    *(field for field in image_fields() if field.name == 'data_dir'),
]


def check(arguments: list[str]) -> tuple[list[str], Settings]:
    """Reads the flags.

    Returns:
        The arguments that name images, and the settings.

    Raises:
        ConfigError: a value is not allowed, or flags contradict each other.
    """
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    given = flags.given(FIELDS)
    # Weights that are not of a run may be in a folder of --data_dir.
    if arguments and 'data_dir' in given and 'pretrained' not in given:
        raise ConfigError(
            'Expected either --data_dir, where the images of the run are, or '
            f'images to explain, received both --data_dir and '
            f'{printable(arguments[0])}. Leave one of them out.'
        )
    return arguments, settings


def work(request: tuple[list[str], Settings]) -> None:
    """Explains; see `explain.explain`."""
    from scripts.explain.explain import explain

    places = [field for field in FIELDS if field.name in ('data_dir', 'download')]
    explain(*request, **flags.given(places))


if __name__ == '__main__':
    command.start(DESCRIPTION, FIELDS, check, work, arguments=True)
