"""Which images a command reads: flags for what the run does not know or has moved."""

import dataclasses
from typing import Any

from scripts.common import flags
from trainers.settings.config import Config

_IMAGES = 'Images; of a run, it knows them'
SPLIT_SETTINGS = ('validation_fraction', 'test_fraction', 'split_seed')
_OF_IMAGES = ('dataset', 'data_dir', *SPLIT_SETTINGS, 'max_bad_fraction')


def image_fields() -> list[dataclasses.Field]:
    """The flags that say which images, where the run does not or they have moved."""
    # What stands here when nothing is given is the run's.
    changes = {'dataset': {'default': ''}}
    return [
        flags.regrouped(field, _IMAGES, **changes.get(field.name, {}))
        for field in dataclasses.fields(Config)
        if field.name in _OF_IMAGES
    ]


def image_config(config: Config, given: dict[str, Any]) -> Config:
    """The settings that say which images: of a run, except for what is given by hand.

    Nothing is downloaded unless asked for again, and a run on a few batches is
    evaluated on all images.

    Raises:
        ConfigError: a value is not allowed.
    """
    moved = (
        {'data_dir': ''}
        if given.get('dataset', config.dataset) != config.dataset
        else {}
    )
    return dataclasses.replace(
        config, **{'download': False, 'overfit_batches': 0, **moved, **given}
    )
