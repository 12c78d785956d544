"""What the README shows is what the code does."""

import re
import textwrap
from pathlib import Path

import pytest

from trainers.settings.recipes import RECIPES
from vision import models
from vision.models.profile import count_parameters

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text(encoding='utf-8')
DOCUMENTS = [ROOT / 'README.md', ROOT / 'BUILD.md', *sorted(ROOT.glob('docs/*.md'))]


def table(document: str, title: str) -> dict[str, str]:
    """First and last column of the table whose first heading is `title`."""
    text = (ROOT / 'docs' / document).read_text(encoding='utf-8')
    rows = re.search(rf'^\| {title} \|.*\n\| -.*\n((?:\|.*\n)+)', text, re.MULTILINE)
    cells = [line.strip('|').split('|') for line in rows[1].splitlines()]
    return {first.strip(' `'): last.strip() for first, *_, last in cells}


def test_training_step_is_the_real_one():
    shown = re.search(r'```python\n(def _train_step.*?)```', README, re.DOTALL)[1]
    source = (ROOT / 'trainers/step/trainer.py').read_text(encoding='utf-8')
    assert f'{textwrap.indent(shown, " " * 4)}\n    def ' in source


def test_all_recipes_are_described():
    names = [
        name for row in table('recipes.md', 'recipe') for name in row.split('`, `')
    ]
    assert set(names) == RECIPES.keys()


@pytest.mark.parametrize('name', models.MODELS)
def test_parameters(name):
    count, _, size = table('models.md', 'model')[name].partition(' at ')
    model = models.create(name, classes=200, image_size=int(size.removesuffix(' px')))
    assert count_parameters(model) == int(count.replace(',', ''))


@pytest.mark.parametrize('document', DOCUMENTS, ids=lambda path: path.name)
def test_files_exist(document):
    text = document.read_text(encoding='utf-8')
    for target in re.findall(r'\]\((?!http)([^)#]+)\)', text):
        assert (document.parent / target).exists(), target
