"""Augmentations: pure functions of images and seeds, and their composition."""

from vision.data.augment.compose import Augmenter
from vision.data.augment.specs import (
    AUGMENTATIONS,
    MIXING,
    Augmentation,
    parameters,
    parse,
)

__all__ = [
    'AUGMENTATIONS',
    'Augmentation',
    'Augmenter',
    'MIXING',
    'parameters',
    'parse',
]
