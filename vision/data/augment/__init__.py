"""Augmentations: pure functions of images and seeds, and their composition.

An augmentation is one function and one line in `specs.py`. The package imports no
TensorFlow until `Augmenter` or an augmentation is used.
"""

from typing import TYPE_CHECKING

from vision.data.augment.specs import (
    AUGMENTATIONS,
    MIXING,
    Augmentation,
    checked,
    parameters,
)
from vision.registry import lazy_attributes

if TYPE_CHECKING:
    from vision.data.augment.compose import Augmenter

__all__ = [
    'AUGMENTATIONS',
    'Augmentation',
    'Augmenter',
    'MIXING',
    'checked',
    'parameters',
]

__getattr__ = lazy_attributes(__name__, ['Augmenter'], 'compose')
