"""Command-line flags made from the fields of a dataclass, and the help that lists them.

The fields are those of Config, or of another dataclass made with `fields.setting`.
"""

import contextlib
import copy
import dataclasses
import difflib
import io
import itertools
import sys
import textwrap
from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import Any

from absl import flags

from trainers.settings.config import ConfigError, as_json
from trainers.settings.fields import is_optional, kind

FLAGS = flags.FLAGS
# `--list_<kind>` of every command lists these.
LISTINGS = ('models', 'datasets', 'recipes', 'augmentations')

_PARSERS: dict[type, flags.ArgumentParser] = {
    int: flags.IntegerParser(),
    float: flags.FloatParser(),
    str: flags.ArgumentParser(),
    tuple: flags.ListParser(),
}


class _OptionalParser(flags.ArgumentParser):
    """Parses an empty text as None, and any other with another parser."""

    def __init__(self, parser: flags.ArgumentParser):
        self._parser = parser

    def parse(self, argument: Any) -> Any:
        return None if argument == '' else self._parser.parse(argument)


def regrouped(field: dataclasses.Field, group: str) -> dataclasses.Field:
    """A copy of a field under another heading of `--help`."""
    changed = copy.copy(field)
    changed.metadata = MappingProxyType({**field.metadata, 'group': group})
    return changed


def define(fields: Iterable[dataclasses.Field]) -> None:
    """Defines a flag for each field and for each listing; one not given is None."""
    for plural in LISTINGS:
        flags.DEFINE_bool(
            f'list_{plural}', False, f'List the {plural}, and exit.', flag_values=FLAGS
        )
    for field in fields:
        text = field.metadata['help']
        if kind(field) is bool:
            flags.DEFINE_bool(field.name, None, text, flag_values=FLAGS)
        else:
            # A form reads a list of strings, whatever the type of its value.
            parser = _PARSERS[tuple if field.metadata['form'] else kind(field)]
            if is_optional(field):
                parser = _OptionalParser(parser)
            flags.DEFINE(parser, field.name, None, text, flag_values=FLAGS)


def given(fields: Iterable[dataclasses.Field]) -> dict[str, Any]:
    """The values on the command line, of those fields that are flags of this command.

    Lists of strings are not parsed yet, and an empty value is None where a setting may
    be empty.
    """
    return {
        field.name: FLAGS[field.name].value
        for field in fields
        if field.name in FLAGS and FLAGS[field.name].present
    }


def parse(
    argv: Sequence[str],
    description: str,
    fields: Iterable[dataclasses.Field],
    arguments: bool = False,
) -> list[str]:
    """Parses a command line, or prints the help text and exits.

    Args:
        argv: name and arguments of the command.
        description: stands above the flags in the help text.
        fields: the flags in the help text.
        arguments: whether arguments that are not flags are allowed.

    Returns:
        The name, and the arguments that are not flags.

    Raises:
        ConfigError: a mistake, with a suggestion.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack a character
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors='backslashreplace')
    if {'--help', '-help', '-h', '--helpfull', '--helpshort'} & set(argv[1:]):
        with contextlib.suppress(BrokenPipeError):
            print(f'{description.strip()}\n\n{describe(fields)}', flush=True)
        sys.exit(0)
    try:
        rest = FLAGS(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise ConfigError(
            f'There is no flag --{error.flagname}.{_suggest(error.flagname)}'
        ) from error
    except flags.Error as error:
        raise ConfigError(str(error).rstrip('.') + '.') from error
    if rest[1:] and not arguments:
        raise ConfigError(f'Did not expect {rest[1]!r}.{_suggest(rest[1])}')
    return rest


def describe(fields: Iterable[dataclasses.Field]) -> str:
    """The fields by group, each with its default."""
    lines = []
    for group, members in itertools.groupby(
        fields, lambda field: field.metadata['group']
    ):
        lines += ['', f'{group}:']
        for field in members:
            lines += _describe(field)
    return '\n'.join(lines[1:])


def _describe(field: dataclasses.Field) -> list[str]:
    name = f'--[no]{field.name}' if field.type is bool else f'--{field.name}'
    default = as_json(field, field.default)
    if isinstance(default, list):
        default = ','.join(default)
    elif isinstance(default, float):
        default = f'{default:g}'
    choices = field.metadata['choices']
    notes = []
    if choices and f'{field.name}s' not in LISTINGS:
        notes.append('|'.join(choices))
    if default not in (None, '') and default is not False:
        notes.append(f'default {default}')
    text = field.metadata['help'] + (f' [{"; ".join(notes)}]' if notes else '')
    first, indent = f'  {name:<23} ', ' ' * 26
    lines = textwrap.wrap(text, 88, initial_indent=indent, subsequent_indent=indent)
    if len(first) > len(indent):
        return [first.rstrip(), *lines]
    return [first + lines[0].lstrip(), *lines[1:]]


def _suggest(word: str) -> str:
    name, separator, value = word.partition('=')
    close = difflib.get_close_matches(name.lstrip('-'), list(FLAGS), n=1, cutoff=0.6)
    if not close:
        return ' Settings are given as --name=value; see --help.'
    return f' Did you mean --{close[0]}{separator}{value}?'
