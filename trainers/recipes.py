"""Named settings: a recipe overrides defaults, and flags given by hand override it."""

from typing import Any, NamedTuple

from trainers.config import Config, ConfigError
from vision.errors import suggestion


class Recipe(NamedTuple):
    """What a recipe is for, and the settings that it changes."""

    description: str
    settings: dict[str, Any]


RECIPES: dict[str, Recipe] = {}


def _recipe(name: str, description: str, **settings: Any) -> None:
    RECIPES[name] = Recipe(description, settings)


# The defaults of Config are chosen for the built-in dataset.
_recipe('default', 'Small steps and many of them, for the built-in dataset.')

_recipe(
    'tiny_imagenet_best',
    'Our best for 64-pixel pictures: batch norm, crops, small pictures first.',
    model='inception_v1_bn',
    dataset='tiny_imagenet',
    image_size=56,
    image_size_schedule=('32@0', '48@16'),
    augment=('random_resized_crop:0.35', 'flip'),
    batch_size=64,
    epochs=20,
    optimizer='adamw',
    learning_rate=1.5e-3,
    weight_decay=0.05,
    schedule='cosine',
    warmup_epochs=2.0,
    label_smoothing=0.1,
    dropout=0.2,
    aux_dropout=0.5,
    ema=0.995,
)

_recipe(
    'system_a',
    'Inception v1 on Tiny ImageNet as in "TensorFlow in Action", chapter 6.',
    model='inception_v1',
    dataset='tiny_imagenet',
    image_size=56,
    normalization='center',
    batch_size=128,
    epochs=50,
    optimizer='adam',
    learning_rate=1e-3,
    schedule='constant',
    warmup_epochs=0.0,
    dropout=0.0,
    aux_dropout=0.0,
    aux_weight=0.3,
)

_recipe(
    'system_b',
    'The same chapter told again: smaller stem, augmentation, early stopping.',
    model='inception_v1_compact',
    dataset='tiny_imagenet',
    image_size=56,
    normalization='unit',
    augment=('rotate:20', 'shift:0.2', 'flip'),
    batch_size=64,
    epochs=50,
    optimizer='adam',
    learning_rate=1e-3,
    schedule='constant',
    warmup_epochs=0.0,
    dropout=0.4,
    aux_dropout=0.7,
    aux_weight=0.3,
    early_stopping=5,
    monitor='top1',
)


def configure(recipe: str, overrides: dict[str, Any]) -> Config:
    """Defaults, then the recipe's settings, then `overrides`.

    Raises:
        ConfigError: the recipe is unknown or a value is not allowed.
    """
    if recipe not in RECIPES:
        raise ConfigError(f'Expected --recipe to be one of {", ".join(RECIPES)}; '
                          f'received {recipe!r}.{suggestion(recipe, RECIPES)}')
    settings = {**RECIPES[recipe].settings, 'recipe': recipe, **overrides}
    return Config.from_dict(settings)
