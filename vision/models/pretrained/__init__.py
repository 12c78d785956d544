"""Weights from files and from runs for the networks of this project."""

from vision.models.pretrained.loading import Loaded, load
from vision.models.pretrained.names import normalization_of, variables_by_path
from vision.models.pretrained.published import (
    Published,
    check_published,
    fetch_published,
    published,
)
from vision.models.pretrained.reading import PretrainedError

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
