"""Named settings: a recipe overrides defaults, and flags override the recipe."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from trainers.settings.config import Config, ConfigError
from vision.errors import suggestion


class Recipe(NamedTuple):
    """What a recipe is for, and the settings that it changes."""

    description: str
    settings: dict[str, Any]


# Cats and dogs in four steps.
_CATS_AND_DOGS = {
    'dataset': 'cats_and_dogs',
    'image_size': 160,
    'batch_size': 32,
    'epochs': 20,
    'optimizer': 'adam',
    'learning_rate': 1e-3,
    'schedule': 'constant',
    'warmup_epochs': 0.0,
    'dropout': 0.0,
}

# A workflow on CIFAR-10.
_CIFAR10 = {
    'dataset': 'cifar10',
    'validation_fraction': 0.2,
    'split_seed': 42,
    'augment': ('random_resolution:0.2', 'rotate:15', 'shift:0.1', 'flip'),
    'batch_size': 64,
    'epochs': 25,
    'optimizer': 'adam',
    'learning_rate': 1e-3,
    'schedule': 'step',
    'decay_rate': 0.95,
    'decay_epochs': 1.0,
    'warmup_epochs': 0.0,
    'plateau_patience': 5,
    'plateau_factor': 0.5,
    'early_stopping': 10,
    'monitor': 'loss',
    'dense': (512,),
    'dropout': 0.5,
    'precise_bn': 8192,
}

# Dogs and cats by transfer: "Deep Learning with Python", chapter 8.
_TRANSFER = {
    'dataset': 'cats_and_dogs',
    'model': 'xception',
    'image_size': 180,
    'pretrained': 'imagenet',
    'freeze': ('backbone',),
    'dense': (256,),
    'dropout': 0.25,
    'batch_size': 64,
    'epochs': 30,
    'optimizer': 'adam',
    'learning_rate': 1e-3,
    'schedule': 'constant',
    'warmup_epochs': 0.0,
    'monitor': 'loss',
}

RECIPES = {
    'default': Recipe("General defaults, and the network's own values.", {}),
    'shapes': Recipe(
        'For the built-in dataset, which takes it by default: minutes on a laptop.',
        {
            'dataset': 'shapes',
            'batch_size': 32,
            'epochs': 6,
            'optimizer': 'adam',
            'learning_rate': 5e-4,
            'schedule': 'cosine',
            'warmup_epochs': 0.25,
            'dropout': 0.1,
            'aux_dropout': 0.1,
        },
    ),
    'tiny_imagenet_best': Recipe(
        'Best results at 64 pixels: batch norm, crops, small images first.',
        {
            'model': 'inception_v1_bn',
            'dataset': 'tiny_imagenet',
            'image_size': 56,
            'image_size_schedule': ('32@0', '48@16'),
            'augment': ('random_resized_crop:0.35', 'flip'),
            'batch_size': 64,
            'epochs': 20,
            'optimizer': 'adamw',
            'learning_rate': 1.5e-3,
            'weight_decay': 0.05,
            'schedule': 'cosine',
            'warmup_epochs': 2.0,
            'label_smoothing': 0.1,
            'dropout': 0.2,
            'aux_dropout': 0.5,
            'ema': 0.995,
        },
    ),
    'system_a': Recipe(
        'Inception v1 on Tiny ImageNet as in "TensorFlow in Action", chapter 6.',
        {
            'model': 'inception_v1',
            'dataset': 'tiny_imagenet',
            'image_size': 56,
            'normalization': 'center',
            'batch_size': 128,
            'epochs': 50,
            'optimizer': 'adam',
            'learning_rate': 1e-3,
            'schedule': 'constant',
            'warmup_epochs': 0.0,
            'dropout': 0.0,
            'aux_dropout': 0.0,
            'aux_weight': 0.3,
        },
    ),
    'system_b': Recipe(
        'The same chapter: smaller stem, augmentation, early stopping.',
        {
            'model': 'inception_v1_compact',
            'dataset': 'tiny_imagenet',
            'image_size': 56,
            'normalization': 'unit',
            'augment': ('rotate:20', 'shift:0.2', 'flip'),
            'batch_size': 64,
            'epochs': 50,
            'optimizer': 'adam',
            'learning_rate': 1e-3,
            'schedule': 'constant',
            'warmup_epochs': 0.0,
            'dropout': 0.4,
            'aux_dropout': 0.7,
            'aux_weight': 0.3,
            'early_stopping': 5,
            'monitor': 'top1',
        },
    ),
    'system_c1': Recipe(
        'Cats and dogs, first step: two convolutions on raw pixels.',
        {
            **_CATS_AND_DOGS,
            'model': 'small_cnn',
            'normalization': 'raw',
            'model_options': ('filters:16-32', 'block_dropout:0.3'),
        },
    ),
    'system_c2': Recipe(
        'Second step: one convolution, random flips and rotations.',
        {
            **_CATS_AND_DOGS,
            'model': 'small_cnn',
            'normalization': 'raw',
            'model_options': ('filters:16',),
            'augment': ('flip', 'rotate:72'),
        },
    ),
    'system_c3': Recipe(
        'Third step: the network of the first, pixels scaled to [-1, 1].',
        {
            **_CATS_AND_DOGS,
            'model': 'small_cnn',
            'normalization': 'symmetric',
            'model_options': ('filters:16-32', 'block_dropout:0.3'),
        },
    ),
    'system_c4': Recipe(
        'Fourth step: a small head on a frozen MobileNetV2 trained on ImageNet.',
        {
            **_CATS_AND_DOGS,
            'model': 'mobilenet_v2',
            'pretrained': 'imagenet',
            'freeze': ('backbone',),
            'pooling': 'max',
            'feature_dropout': 0.3,
            'dense': (64,),
        },
    ),
    'system_d': Recipe(
        'CIFAR-10 with three blocks of convolutions and augmentation.',
        {
            **_CIFAR10,
            'schedule': 'cosine',
            'optimizer': 'adamw',
            'model': 'cifar_cnn',
            'model_options': ('convolutions:2', 'block_dropout:0.1'),
            'image_size': 32,
            'normalization': 'unit',
            'weight_decay': 0.05,
        },
    ),
    'system_d_transfer': Recipe(
        'The same with the last stages of a MobileNetV2 trained on ImageNet.',
        {
            **_CIFAR10,
            'model': 'mobilenet_v2',
            'image_size': 96,
            'pretrained': 'imagenet',
            'freeze': ('last:3',),
        },
    ),
    'system_e_features': Recipe(
        'Dogs and cats, "Deep Learning with Python", chapter 8: cached features.',
        {**_TRANSFER, 'features': 'cached'},
    ),
    'system_e_finetune': Recipe(
        'The same chapter: augmentation, then the last layers are trained as well.',
        {
            **_TRANSFER,
            'augment': ('flip', 'rotate:36', 'zoom:0.2'),
            'finetune_epochs': 30,
            'finetune_freeze': ('last:1', 'bn'),
            'finetune_learning_rate': 1e-5,
        },
    ),
    'cifar10_best': Recipe(
        'For CIFAR-10 in less than an hour: wide blocks, small images first.',
        {
            'dataset': 'cifar10',
            'model': 'cifar_cnn',
            'model_options': ('filters:64-256-256', 'behind_pool:1', 'block_dropout:0'),
            'dense': (),
            'dropout': 0.0,
            'image_size': 32,
            'image_size_schedule': ('24@0', '32@5'),
            'validation_fraction': 0.04,
            'normalization': 'symmetric',
            'augment': ('pad_crop:4', 'flip'),
            'batch_size': 128,
            'epochs': 10,
            'optimizer': 'sgd',
            'learning_rate': 0.1,
            'weight_decay': 5e-4,
            'schedule': 'cosine',
            'warmup_epochs': 1.0,
            'label_smoothing': 0.1,
            'ema': 0.99,
        },
    ),
    'cats_and_dogs_best': Recipe(
        'Best results for few images: the head of a MobileNetV2, then all of it.',
        {
            'dataset': 'cats_and_dogs',
            'model': 'mobilenet_v2',
            'pretrained': 'imagenet',
            'image_size': 224,
            'dropout': 0.1,
            'augment': ('random_resized_crop:0.5', 'flip'),
            'freeze': ('backbone',),
            'epochs': 4,
            'learning_rate': 2e-3,
            'finetune_epochs': 8,
            'finetune_freeze': ('bn',),
            'finetune_learning_rate': 3e-4,
            'layer_decay': 0.85,
            'batch_size': 32,
            'optimizer': 'adamw',
            'weight_decay': 0.05,
            'schedule': 'cosine',
            'warmup_epochs': 0.5,
            'label_smoothing': 0.05,
            'ema': 0.98,
            'monitor': 'loss',
        },
    ),
}


def recipe_of(dataset: str) -> str:
    """The recipe that a dataset takes where none is given."""
    return dataset if dataset in RECIPES else 'default'


def configure(recipe: str | None, overrides: Mapping[str, Any]) -> Config:
    """Defaults, then the recipe's settings, then `overrides`.

    Args:
        recipe: a key of `RECIPES`; None: the one in `overrides`, or that of the
            dataset there.
        overrides: settings by name.

    Raises:
        ConfigError: the recipe is unknown or a value is not allowed.
    """
    if not recipe:
        dataset = overrides.get('dataset', Config.dataset)
        recipe = overrides.get('recipe') or recipe_of(dataset)
    if recipe not in RECIPES:
        raise ConfigError(
            f'Expected --recipe to be one of {", ".join(RECIPES)}; '
            f'received {recipe!r}.{suggestion(recipe, RECIPES)}'
        )
    return Config.from_dict({**RECIPES[recipe].settings, **overrides, 'recipe': recipe})
