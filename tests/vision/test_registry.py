"""A table imports an entry when it is used, and says what there is to choose from."""

import pytest

from vision.errors import UserError
from vision.registry import Entry, Registry

TABLE = Registry(
    'a function',
    {
        'sqrt': Entry('math:sqrt', 'Square root.'),
        'absent': Entry('vision.no_such_module:name', 'Its module cannot be imported.'),
    },
)


def test_an_entry_is_imported_when_it_is_used():
    assert TABLE.load('sqrt')(9) == 3
    assert TABLE['absent'].description == 'Its module cannot be imported.'
    with pytest.raises(ModuleNotFoundError):
        TABLE.load('absent')


def test_an_unknown_name():
    message = "^Expected a function of sqrt, absent; received 'sqr'. Did you mean sqrt?"
    with pytest.raises(UserError, match=message):
        TABLE.load('sqr')
