"""Lists of the choices of a setting, one per line."""

from absl import flags

from trainers.networks import build as networks
from trainers.settings.parsing import MODEL_OPTIONS
from trainers.settings.recipes import RECIPES
from vision.data import DATASETS
from vision.data.augment import AUGMENTATIONS, Augmentation, parameters
from vision.data.datasets import TFDS_DESCRIPTION, TFDS_PREFIX
from vision.models import MODELS


def show(values: flags.FlagValues) -> None:
    """Prints the choices that the flags `--list_<kind>` ask for."""
    listings = {
        'models': {
            name: f'{entry.description}{_options(name)}'
            for name, entry in MODELS.items()
        },
        'datasets': {
            **{name: entry.description for name, entry in DATASETS.items()},
            f'{TFDS_PREFIX}<name>': TFDS_DESCRIPTION,
        },
        'recipes': {name: recipe.description for name, recipe in RECIPES.items()},
        'augmentations': {
            # With the defaults of its numbers.
            str(
                Augmentation(name, tuple(p.default for p in parameters(name)))
            ): entry.description
            for name, entry in AUGMENTATIONS.items()
        },
    }
    for kind, entries in listings.items():
        if values[f'list_{kind}'].value:
            width = max(22, *map(len, entries))
            for name, text in entries.items():
                print(f'{name:<{width}} {text}')


def _options(model: str) -> str:
    """The options of a model with their defaults, as `--model_options` takes them."""
    texts = MODEL_OPTIONS.write(networks.option_defaults(model))
    return f' Options: {", ".join(texts)}.' if texts else ''
