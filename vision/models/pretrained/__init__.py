"""Weights that others trained, and those of our own runs, for networks of ours."""

from vision.models.pretrained.arrays import PretrainedError
from vision.models.pretrained.loading import Loaded, load, load_googlenet
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
    'load_googlenet',
    'normalization_of',
    'published',
    'variables_by_path',
]
