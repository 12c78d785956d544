"""Augmentations by name, and the numbers that they take. Imports no TensorFlow."""

import inspect
from typing import Any, NamedTuple

from vision.errors import UserError
from vision.registry import Entry, Registry


def _entries(module: str, **descriptions: str) -> dict[str, Entry]:
    return {
        name: Entry(f'vision.data.augment.{module}:{name}', description)
        for name, description in descriptions.items()
    }


# By what they take and return; see the modules.
GEOMETRIC = _entries(
    'geometry',
    pad_crop='Shifts by up to `padding` whole pixels (He et al. 2015, '
    'arXiv:1512.03385).',
    random_resized_crop='Crops `min_area`..1 of the area, then resizes to size x size.',
    flip='Mirrors left to right, half of the time.',
    vertical_flip='Mirrors top to bottom, half of the time.',
    rotate='Rotates about the centre by up to `degrees` either way.',
    shift='Shifts by up to `fraction` of the height and of the width, in whole pixels.',
    zoom='Magnifies about the centre by 1 - fraction .. 1 + fraction.',
    random_resolution='Resizes by 1 - fraction .. 1 + fraction to whole pixels, then '
    'pads or crops back.',
)
PHOTOMETRIC = _entries(
    'colour',
    brightness='Adds up to `delta` of the full range, either way.',
    contrast='Scales each channel about its mean by 1 - delta .. 1 + delta.',
    colour_jitter='Scales brightness, contrast and saturation, and turns the hue.',
    random_erasing='Fills a rectangle of 2 % .. max_area with noise, in `chance` of '
    'the images.',
) | _entries(
    'rand_augment',
    rand_augment="Applies `layers` of the paper's 14 operations, each at `magnitude` "
    'of 10.',
)
MIXING = _entries(
    'mixing',
    mixup='A weighted mean of two images (Zhang et al. 2017, arXiv:1710.09412).',
    cutmix='A rectangle of the other image (Yun et al. 2019, arXiv:1905.04899).',
)
AUGMENTATIONS = Registry('an augmentation', GEOMETRIC | PHOTOMETRIC | MIXING)

# The range of each number; by name, since the functions share them.
RANGES: dict[str, tuple[float, float]] = {
    'padding': (0, 16),
    'min_area': (0.01, 1),
    'max_aspect': (1, 4),
    'degrees': (0, 180),
    'fraction': (0, 0.5),
    'delta': (0, 1),
    'brightness_delta': (0, 1),
    'contrast_delta': (0, 1),
    'saturation_delta': (0, 1),
    'hue_delta': (0, 0.5),
    'chance': (0, 1),
    'max_area': (0, 1),
    'layers': (1, 8),
    'magnitude': (0, 10),
    'alpha': (0.01, 100),
}


def written(number: float) -> str:
    """A number in the shortest form that reads back equal."""
    return short if float(short := f'{number:g}') == number else repr(number)


class Augmentation(NamedTuple):
    """An augmentation by name, and its first numbers; the others have their defaults.

    Calling it calls the function of that name with these numbers behind the arguments.
    """

    name: str
    numbers: tuple[float, ...] = ()

    def __str__(self) -> str:
        return ':'.join([self.name, *map(written, self.numbers)])

    def __call__(self, *arguments: Any) -> Any:
        return AUGMENTATIONS.load(self.name)(*arguments, *self.numbers)


def checked(augmentation: Augmentation) -> Augmentation:
    """The augmentation with numbers of the types that its function takes.

    Raises:
        UserError: it is no Augmentation, the name is unknown, there are too many
            numbers, or one is out of its range.
    """
    if not isinstance(augmentation, Augmentation):
        raise UserError(
            "Expected an Augmentation, such as Augmentation('flip'); "
            f'received {augmentation!r}.',
            'augment',
        )
    name, numbers = augmentation
    expected = parameters(name)
    if len(numbers) > len(expected):
        raise UserError(
            f'Expected at most {":".join([name, *(p.name for p in expected)])}; '
            f'received {augmentation}.',
            'augment',
        )
    for number, parameter in zip(numbers, expected):
        low, high = RANGES[parameter.name]
        whole = parameter.annotation is int
        if not low <= number <= high or (whole and number != int(number)):
            raise UserError(
                f'Expected {parameter.name} of {name} to be '
                f'{"a whole number" if whole else "a number"} in {low}..{high}; '
                f'received {number:g}.',
                'augment',
            )
    return Augmentation(
        name, tuple(p.annotation(number) for number, p in zip(numbers, expected))
    )


def parameters(name: str) -> list[inspect.Parameter]:
    """The numbers that an augmentation takes, in order, each with its default.

    Imports the augmentation, and TensorFlow with it.

    Raises:
        UserError: the name is unknown.
    """
    try:
        takes = inspect.signature(AUGMENTATIONS.load(name)).parameters.values()
    except UserError as error:
        raise UserError(str(error), 'augment') from error
    return [p for p in takes if p.default is not inspect.Parameter.empty]
