"""Augmentations as tests write them."""

from vision.data.augment import Augmentation, checked


def augmentation(spec: str) -> Augmentation:
    """'rotate:20' → Augmentation('rotate', (20.0,)), checked."""
    name, *numbers = spec.split(':')
    return checked(Augmentation(name, tuple(map(float, numbers))))
