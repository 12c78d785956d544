"""What there is to choose from, in a line each."""

import inspect

from absl import flags

from trainers.recipes import RECIPES
from vision.data import DATASETS
from vision.models import MODELS


def show(values: flags.FlagValues) -> bool:
    """Prints the lists that the flags ask for; returns whether there were any."""
    listings = {
        'list_models': {
            name: _summary(make) for name, make in MODELS.items()
        },
        'list_datasets': {
            name: _summary(load) for name, load in DATASETS.items()
        },
        'list_recipes': {
            name: recipe.description for name, recipe in RECIPES.items()
        },
    }
    asked = [entries for flag, entries in listings.items() if values[flag].value]
    for entries in asked:
        for name, text in entries.items():
            print(f'{name:<22} {text}')
    return bool(asked)


def _summary(documented: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(documented) or '').partition('\n')[0]
