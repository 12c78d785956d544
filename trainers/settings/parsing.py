"""Settings that are written as lists of strings: text ↔ typed values.

A person types `--dense=512,64`, config.json holds `["512", "64"]`, and `Config` holds
`(512, 64)`.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vision.data.augment import specs
from vision.data.augment.specs import AUGMENTATIONS, Augmentation
from vision.errors import UserError, suggestion


class ConfigError(UserError):
    """A setting has a value that is not allowed."""


class Freeze(NamedTuple):
    """The parts of a network that are not trained: arguments of `Network.freeze`.

    Attributes:
        trainable_stages: how many of the last stages are trained; None: all.
        batch_norms: whether all batch norms are frozen.
    """

    trainable_stages: int | None = None
    batch_norms: bool = False


class SizeChange(NamedTuple):
    """The side in pixels of the training images from an epoch on, counted from 0."""

    epoch: int
    size: int


# Name and value of options of a model; the last of two values of an option counts.
Options = tuple[tuple[str, float | tuple[int, ...]], ...]


class ListForm(NamedTuple):
    """How a setting is written as a list of strings.

    Attributes:
        expected: the form, as an error message names it.
        parse: makes the value of strings; raises a ValueError if one is not in that
            form.
        write: makes the strings of a value.
    """

    expected: str
    parse: Callable[[Sequence[str]], Any]
    write: Callable[[Any], list[str]]

    def read(self, name: str, value: Any) -> Any:
        """The typed value of a list or tuple of strings, or of a typed value.

        Args:
            name: the setting's, for the message.
            value: a list is text; a tuple is text if strings are in it.

        Raises:
            ConfigError: it is not in the form expected.
        """
        received = value
        try:
            if isinstance(value, str):
                raise TypeError
            if not _is_text(value):
                value = self.write(value)
            received = ','.join(value)
            return self.parse(value)
        except (AttributeError, TypeError, ValueError):
            raise ConfigError(
                f'Expected --{name} as {self.expected}; received {received!r}.'
            ) from None


def _is_text(value: Any) -> bool:
    return isinstance(value, list) or (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(entry, str) for entry in value)
    )


def number(text: str) -> int | float:
    """The finite number that a text stands for.

    Raises:
        ValueError: it stands for none.
    """
    if not math.isfinite(float(text)):  # Of an integer of 400 digits too.
        raise ValueError(text)
    return int(text) if re.fullmatch(r'-?\d+', text) else float(text)


def written(value: float | Sequence[int]) -> str:
    """A number, or several with hyphens between, as they are parsed."""
    if isinstance(value, Sequence):
        return '-'.join(map(str, value))
    return specs.written(value)


def _parse_augment(texts: Sequence[str]) -> tuple[Augmentation, ...]:
    augmentations = []
    for text in texts:
        name, *numbers = text.split(':')
        if name not in AUGMENTATIONS:
            raise ConfigError(
                f'Expected --augment to name some of {", ".join(AUGMENTATIONS)}; '
                f'received {text!r}.{suggestion(name, AUGMENTATIONS)}'
            )
        augmentations.append(Augmentation(name, tuple(map(number, numbers))))
    return tuple(augmentations)


def _write_augment(augmentations: Sequence[Augmentation]) -> list[str]:
    return [str(Augmentation(*augmentation)) for augmentation in augmentations]


def _parse_dense(texts: Sequence[str]) -> tuple[int, ...] | None:
    if not texts:
        return None
    return () if list(texts) == ['none'] else tuple(map(_positive, texts))


def _write_dense(widths: Sequence[int] | None) -> list[str]:
    if widths is None:
        return []
    return [str(width) for width in widths] or ['none']


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(text)
    return int(text)


# How many of the last stages are trained.
_PARTS = {'none': None, 'backbone': 0}


def _parse_freeze(texts: Sequence[str]) -> Freeze:
    part, *more = [*(set(texts) - {'bn'}), 'none']
    if len(more) > 1 or {'none', 'bn'} <= set(texts):
        raise ValueError(texts)
    if part in _PARTS:
        return Freeze(_PARTS[part], 'bn' in texts)
    if not part.startswith('last:'):
        raise ValueError(part)
    return Freeze(_positive(part.removeprefix('last:')), 'bn' in texts)


def _write_freeze(freeze: Freeze) -> list[str]:
    stages, batch_norms = Freeze(*freeze)
    parts = [] if stages is None else [f'last:{stages}' if stages else 'backbone']
    return [*parts, 'bn'] if batch_norms else parts


def _parse_size_schedule(texts: Sequence[str]) -> tuple[SizeChange, ...]:
    matches = [re.fullmatch(r'(\d+)@(\d+)', text) for text in texts]
    if not all(matches):
        raise ValueError(texts)
    changes = tuple(SizeChange(int(m[2]), int(m[1])) for m in matches if m)
    epochs = [change.epoch for change in changes]
    if epochs and (epochs[0] != 0 or epochs != sorted(set(epochs))):
        raise ValueError(texts)
    return changes


def _write_size_schedule(changes: Sequence[tuple[int, int]]) -> list[str]:
    return [f'{size}@{epoch}' for epoch, size in changes]


def _parse_options(texts: Sequence[str]) -> Options:
    options: dict[str, float | tuple[int, ...]] = {}
    for text in texts:
        name, _, value = text.partition(':')
        if not name:
            raise ValueError(text)
        several = re.fullmatch(r'\d+(-\d+)+', value)
        options[name] = tuple(map(int, value.split('-'))) if several else number(value)
    return tuple(options.items())


def _write_options(options: Options | Mapping[str, Any]) -> list[str]:
    return [f'{name}:{written(value)}' for name, value in dict(options).items()]


AUGMENT = ListForm(
    'NAME or NAME:NUMBER:..., such as pad_crop:4,flip', _parse_augment, _write_augment
)
DENSE = ListForm('widths above 0, such as 512,64, or none', _parse_dense, _write_dense)
FREEZE = ListForm(
    'one of backbone, last:N with N above 0, bn, none and last:N,bn',
    _parse_freeze,
    _write_freeze,
)
SIZE_SCHEDULE = ListForm(
    'SIZE@EPOCH,... with epochs that rise from 0, such as 32@0,48@10',
    _parse_size_schedule,
    _write_size_schedule,
)
MODEL_OPTIONS = ListForm(
    'NAME:NUMBER or NAME:NUMBER-NUMBER, such as alpha:0.35 or filters:32-64',
    _parse_options,
    _write_options,
)
