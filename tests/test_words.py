"""One word for one thing: names and prose use the terms of the field."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ('vision', 'trainers', 'scripts', 'tests')
SOURCES = sorted(path for name in PACKAGES for path in ROOT.glob(f'{name}/**/*.py'))
PAGES = sorted(ROOT.glob('vision/export/**/*.html')) + sorted(
    ROOT.glob('vision/export/**/*.js')
)
DOCUMENTS = [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')]

# As a name each of these says nothing of what it holds.
VAGUE = {'found', 'each', 'ours', 'theirs', 'mine'}
# What to write in place of a word.
REPLACED = {
    r'(?<!<)(?<!</)pictures?(?!>)': 'image',  # <picture> is an element of HTML
    r'ours|theirs|mine': 'a name that says what it is',
    r"night's work": 'run',
    r'shapes_results': 'affects_results',
    r'held_back': 'suppressed',
    r'taken by (its|their) word': 'calibrated',
    r'surest': 'most confident',
}
# Files that may use a word, and why.
EXCEPTIONS = {
    'CHANGELOG.md': 'says what words replaced',
    'tests/scripts/explore/test_output.py': '`picture` is an element of HTML',
    'tests/test_words.py': 'lists the words',
    'tests/trainers/settings/test_earlier.py': 'reads what version 0.1 wrote',
    'trainers/settings/earlier.py': 'names settings of earlier versions',
    'tests/trainers/inference/test_classifier.py': 'reads what version 0.1 wrote',
}


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def names(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """All names that a module defines or assigns, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno


@pytest.mark.parametrize('path', SOURCES, ids=label)
def test_names_say_what_they_hold(path):
    tree = ast.parse(path.read_text(encoding='utf-8'))
    vague = [f'{name}, line {line}' for name, line in names(tree) if name in VAGUE]
    assert not vague


@pytest.mark.parametrize('path', [*SOURCES, *PAGES, *DOCUMENTS], ids=label)
def test_words_are_those_of_the_field(path):
    if label(path) in EXCEPTIONS:
        return
    text = path.read_text(encoding='utf-8')
    for word, better in REPLACED.items():
        match = re.search(rf'(?i)(?<![a-z])(?:{word})(?![a-z])', text)
        if match:
            line = text.count('\n', 0, match.start()) + 1
            pytest.fail(f'line {line}: {match[0]!r}; write {better}')
