"""Weights from files and from runs for the networks of this project."""

from vision.models.pretrained.arrays import PretrainedError
from vision.models.pretrained.loading import Loaded, load
from vision.models.pretrained.names import normalization_of, variables_by_path
from vision.models.pretrained.published import (
    Published,
    check_published,
    fetch_published,
    published,
)

__all__ = [
    'Loaded',
    'PretrainedError',
    'Published',
    'check_published',
    'fetch_published',
    'load',
    'normalization_of',
    'published',
    'variables_by_path',
]
