"""Command-line flags made from the fields of a dataclass, and the help that lists them.

The fields are those of Config, or of another dataclass made with `config.setting`.
"""

import dataclasses
import difflib
import io
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from absl import flags

from scripts.common import quiet
from trainers.settings import recipes
from trainers.settings.config import Config, setting

FLAGS = flags.FLAGS

_DEFINE: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_list,
}


def define_listings() -> None:
    """Defines the flags that `listings.show` answers."""
    for kind in ('models', 'datasets', 'recipes', 'augmentations'):
        flags.DEFINE_bool(f'list_{kind}', False, f'List the {kind} and leave.')


def define_config() -> None:
    """Defines one flag for each setting of a run; one that is not given is None."""
    define(dataclasses.fields(Config))


def regrouped(
    field: dataclasses.Field, group: str, **changes: Any
) -> dataclasses.Field:
    """The same setting under another heading of `--help`, with such changes.

    Args:
        changes: as of `setting`, such as `default`.
    """
    known = ('choices', 'minimum', 'maximum')
    copy = setting(
        **{
            'default': field.default,
            'group': group,
            'text': field.metadata['help'],
            **{name: field.metadata[name] for name in known},
            **changes,
        }
    )
    copy.name, copy.type = field.name, field.type
    return copy


def define(fields: Iterable[dataclasses.Field]) -> None:
    """Defines one flag for each field; one that is not given is None."""
    for field in fields:
        _DEFINE[type(field.default)](field.name, None, field.metadata['help'])


def config_from_flags() -> Config:
    """Defaults < recipe < flags given by hand.

    Raises:
        ConfigError: a setting has a value that is not allowed.
    """
    settings = given(dataclasses.fields(Config))
    return recipes.configure(settings.pop('recipe', 'default'), settings)


def given(fields: Iterable[dataclasses.Field]) -> dict[str, Any]:
    """The values given by hand, of those fields that are flags of this command."""
    found = {
        field.name: FLAGS[field.name].value
        for field in fields
        if field.name in FLAGS and FLAGS[field.name].present
    }
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
    }


def parser(
    description: str, listing: Callable[[], str], arguments: bool = False
) -> Callable[[Sequence[str]], list[str]]:
    """A parser for `absl.app.run` that explains itself and refuses what it cannot use.

    Args:
        description: what stands above the flags in the help text.
        listing: writes out the flags, for the help text.
        arguments: whether there may be anything that is not a flag.
    """

    def parse(argv: Sequence[str]) -> list[str]:
        for stream in (sys.stdout, sys.stderr):  # not every terminal has every sign
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors='backslashreplace')
        if {'--help', '-help', '-h', '--helpfull', '--helpshort'} & set(argv[1:]):
            try:
                print(f'{description.strip()}\n\n{listing()}', flush=True)
            except BrokenPipeError:
                quiet.forget_stdout()
            sys.exit(0)
        try:
            rest = FLAGS(list(argv))
        except flags.UnrecognizedFlagError as error:
            name = error.flagname
            _refuse(f'There is no flag --{name}.{_suggest(name)}')
        except flags.Error as error:
            _refuse(str(error).rstrip('.') + '.')
        if rest[1:] and not arguments:
            _refuse(f'Did not expect {rest[1]!r}.{_suggest(rest[1])}')
        return rest

    return parse


def config_help() -> str:
    """The settings of a run by group, each with its default."""
    return describe(dataclasses.fields(Config))


def describe(fields: Iterable[dataclasses.Field]) -> str:
    """The fields by group, each with its default."""
    lines = []
    group = ''
    for field in fields:
        if field.metadata['group'] != group:
            group = field.metadata['group']
            lines += ['', f'{group}:']
        lines += _describe(field)
    return '\n'.join(lines[1:])


def _describe(field: dataclasses.Field) -> list[str]:
    name = f'--[no]{field.name}' if field.type is bool else f'--{field.name}'
    choices = '|'.join(choice for choice in field.metadata['choices'] if choice)
    default = field.default
    if isinstance(default, float):
        default = f'{default:g}'
    elif isinstance(default, tuple):
        default = ','.join(default)
    notes = [choices] if choices else []
    if default != '' and default is not False:
        notes.append(f'default {default}')
    text = field.metadata['help'] + (f' [{"; ".join(notes)}]' if notes else '')
    first = f'  {name:<23} '
    wrapped = textwrap.wrap(text, 62)
    lines = (
        [first + wrapped[0]]
        if len(first) <= 26
        else [first.rstrip(), ' ' * 26 + wrapped[0]]
    )
    return lines + [' ' * 26 + line for line in wrapped[1:]]


def _suggest(word: str) -> str:
    name, separator, value = word.partition('=')
    close = difflib.get_close_matches(name.lstrip('-'), list(FLAGS), n=1, cutoff=0.6)
    if not close:
        return ' Settings are given as --name=value; see --help.'
    return f' Did you mean --{close[0]}{separator}{value}?'


def _refuse(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(2)
