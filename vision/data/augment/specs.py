"""Augmentations by name, and how they are written in a recipe or on a command line."""

import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from vision.data.augment import colour, geometry, mixing, rand_augment
from vision.data.source import DatasetError
from vision.errors import suggestion

# By what they take and return; see the modules.
GEOMETRIC: dict[str, Callable[..., geometry.Affine]] = {
    'pad_crop': geometry.pad_crop,
    'random_resized_crop': geometry.random_resized_crop,
    'flip': geometry.flip,
    'vertical_flip': geometry.vertical_flip,
    'rotate': geometry.rotate,
    'shift': geometry.shift,
    'zoom': geometry.zoom,
    'random_resolution': geometry.random_resolution,
}
PHOTOMETRIC: dict[str, Callable[..., Any]] = {
    'brightness': colour.brightness,
    'contrast': colour.contrast,
    'colour_jitter': colour.colour_jitter,
    'random_erasing': colour.random_erasing,
    'rand_augment': rand_augment.rand_augment,
}
MIXING: dict[str, Callable[..., Any]] = {
    'mixup': mixing.mixup,
    'cutmix': mixing.cutmix,
}
AUGMENTATIONS: dict[str, Callable[..., Any]] = {**GEOMETRIC, **PHOTOMETRIC, **MIXING}

# What each number may be; by name, since the functions share them.
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


class Augmentation(NamedTuple):
    """An augmentation by name, and the numbers that differ from its defaults."""

    name: str
    numbers: tuple[float, ...] = ()

    def __call__(self, *arguments: Any) -> Any:
        return AUGMENTATIONS[self.name](*arguments, *self.numbers)


def parse(spec: str) -> Augmentation:
    """Reads 'name', 'name:number' or 'name:number:number', such as 'rotate:20'.

    Raises DatasetError for an unknown name, too many numbers or one out of range.
    """
    name, *numbers = spec.split(':')
    if name not in AUGMENTATIONS:
        raise DatasetError(
            f'Unknown augmentation {name!r} in {spec!r}; expected one '
            f'of {", ".join(AUGMENTATIONS)}.'
            f'{suggestion(name, AUGMENTATIONS)}'
        )
    expected = parameters(name)
    if len(numbers) > len(expected):
        takes = ':'.join([name, *(p.name for p in expected)])
        raise DatasetError(f'{spec!r} has too many numbers; expected at most {takes}.')
    return Augmentation(
        name, tuple(_number(spec, text, p) for text, p in zip(numbers, expected))
    )


def parameters(name: str) -> list[inspect.Parameter]:
    """The numbers that an augmentation takes, in order, each with its default."""
    takes = inspect.signature(AUGMENTATIONS[name]).parameters.values()
    return [p for p in takes if p.default is not inspect.Parameter.empty]


def _number(spec: str, text: str, parameter: inspect.Parameter) -> float:
    low, high = RANGES[parameter.name]
    try:
        value = parameter.annotation(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        kind = 'a whole number' if parameter.annotation is int else 'a number'
        raise DatasetError(
            f'{spec!r}: {parameter.name} must be {kind} in {low}..{high}, got {text!r}.'
        )
    return value
