"""Tables of what can be chosen by name, which import an entry when it is used."""

import importlib
import pkgutil
from collections.abc import Callable, Collection, Mapping
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
        return pkgutil.resolve_name(self[name].target)


def lazy_attributes(
    package: str, names: Collection[str], *modules: str
) -> Callable[[str], Any]:
    """The `__getattr__` of a package that imports its modules on first use (PEP 562).

    Args:
        package: the package's name.
        names: what it offers.
        *modules: its modules that define those names.
    """

    def load(name: str) -> Any:
        if name in names:
            for module in modules:
                attributes = vars(importlib.import_module(f'{package}.{module}'))
                if name in attributes:
                    return attributes[name]
        raise AttributeError(f'module {package!r} has no attribute {name!r}')

    return load
