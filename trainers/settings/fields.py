"""Settings as fields of a dataclass: each is declared once, with text and range."""

import dataclasses
import math
import numbers
import typing
from collections.abc import Collection
from types import UnionType
from typing import Any

from trainers.settings.parsing import ConfigError, ListForm
from vision.errors import suggestion

# Types whose values are converted to that of a setting: NumPy's numbers, for example.
_CONVERTED = {int: numbers.Integral, float: numbers.Real, tuple: list}


def setting(
    default: Any,
    group: str,
    text: str,
    *,
    choices: Collection[str] = (),
    minimum: float = -math.inf,
    maximum: float = math.inf,
    form: ListForm | None = None,
    affects_results: bool = True,
) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: the value where neither the recipe nor a flag gives one.
        group: the heading under which `--help` lists the flag.
        text: the flag's help text.
        choices: the values allowed for a string, or for each of several strings: a
            tuple or a registry.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
        form: how a list of strings is parsed into the value and written back.
        affects_results: whether the value can change the trained weights; a run
            resumes only with the same values of all such settings.
    """
    return dataclasses.field(
        default=default,
        metadata={
            'group': group,
            'help': text,
            'choices': choices,
            'minimum': minimum,
            'maximum': maximum,
            'form': form,
            'affects_results': affects_results,
        },
    )


@dataclasses.dataclass(frozen=True)
class CheckedSettings:
    """Base class of dataclasses whose fields are made with `setting`.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            object.__setattr__(
                self, field.name, checked(field, getattr(self, field.name))
            )


def is_optional(field: dataclasses.Field) -> bool:
    """Whether a setting may be empty (None)."""
    return isinstance(field.type, UnionType)


def kind(field: dataclasses.Field) -> type:
    """The type of a setting's values; 'tuple' of any tuple of strings."""
    declared: Any = typing.get_args(field.type)[0] if is_optional(field) else field.type
    return typing.get_origin(declared) or declared


def checked(field: dataclasses.Field, value: Any) -> Any:
    """The value of a setting, parsed where it is a list of strings.

    Raises:
        ConfigError: the value is not allowed; the message names the setting.
    """
    if value is None and is_optional(field):
        return None
    if field.metadata['form']:
        return field.metadata['form'].read(field.name, value)
    expected: Any = kind(field)
    if isinstance(value, _CONVERTED.get(expected, ())) and not isinstance(value, bool):
        value = expected(value)
    if type(value) is not expected:
        raise ConfigError(
            f'Expected --{field.name} to be a {expected.__name__}, received {value!r}.'
        )
    if expected is tuple and not all(isinstance(entry, str) for entry in value):
        raise ConfigError(
            f'Expected --{field.name} to be a tuple of strings, received {value!r}.'
        )
    choices = field.metadata['choices']
    for entry in value if expected is tuple else (value,):
        if choices and entry not in choices:
            raise ConfigError(
                f'Expected --{field.name} to be one of {", ".join(choices)}; received '
                f'{entry!r}.{suggestion(entry, choices)}'
            )
    if choices and value == ():
        raise ConfigError(
            f'Expected --{field.name} to name at least one of {", ".join(choices)}; '
            'received none.'
        )
    if expected in (int, float):
        _check_range(field, value)
    return value


def _check_range(field: dataclasses.Field, value: float) -> None:
    low, high = field.metadata['minimum'], field.metadata['maximum']
    if not low <= value <= high:  # also refuses NaN
        bounds = f'at least {low}' if high == math.inf else f'{low} to {high}'
        raise ConfigError(f'Expected --{field.name} to be {bounds}, received {value}.')
    if math.isinf(value):
        raise ConfigError(f'Expected --{field.name} to be finite, received {value}.')
