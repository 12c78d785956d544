"""A table imports an entry when it is used, and says what there is to choose from."""

import email.header
import subprocess
import sys

import pytest

from vision.errors import UserError
from vision.registry import Entry, Registry, lazy_attributes

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


def test_a_package_imports_its_modules_on_first_use():
    attribute = lazy_attributes('email', ['Header', 'message'], 'charset', 'header')
    assert attribute('Header') is email.header.Header
    for absent in ('Charset', 'message'):
        with pytest.raises(
            AttributeError, match=f"'email' has no attribute '{absent}'"
        ):
            attribute(absent)


def test_tables_and_packages_import_no_tensorflow():
    code = """
import sys, vision.layers.options, vision.models, vision.explain, vision.export
assert 'tensorflow' not in sys.modules
"""
    subprocess.run([sys.executable, '-c', code], check=True)
