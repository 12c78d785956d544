"""Tables of what can be chosen by name, which import an entry when it is used."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from vision.errors import UserError, suggestion


class Entry(NamedTuple):
    """What a name stands for.

    Attributes:
        target: where it is imported from, as `package.module:attribute`.
        description: one line for listings.
    """

    target: str
    description: str


class Registry(dict[str, Entry]):
    """Name → entry. Reading names and descriptions imports none of the entries.

    Args:
        kind: what an entry is, for messages: 'a model', 'a dataset'.
        entries: the table.
    """

    def __init__(self, kind: str, entries: Mapping[str, Entry]):
        super().__init__(entries)
        self.kind = kind

    def load(self, name: str) -> Any:
        """Imports the entry called `name`.

        Raises:
            UserError: there is no such entry.
        """
        if name not in self:
            raise UserError(
                f'Expected {self.kind} of {", ".join(self)}; received {name!r}.'
                f'{suggestion(name, self)}'
            )
        module, _, attribute = self[name].target.partition(':')
        return getattr(importlib.import_module(module), attribute)
