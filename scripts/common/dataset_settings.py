"""The flags that name images, where a run does not record them or they have moved."""

import dataclasses
from typing import Any

from scripts.common import flags
from trainers.settings.config import Config

SPLIT_SETTINGS = ('validation_fraction', 'test_fraction', 'split_seed')
_IMAGE_SETTINGS = ('dataset', 'data_dir', *SPLIT_SETTINGS, 'max_bad_fraction')


def image_fields() -> list[dataclasses.Field]:
    """The flags that name images."""
    fields = {
        field.name: flags.regrouped(field, 'Images; by default those of the run')
        for field in dataclasses.fields(Config)
        if field.name in _IMAGE_SETTINGS
    }
    # The default of a run is its own dataset, which the help text cannot name.
    fields['dataset'].default = ''
    return list(fields.values())


def image_config(config: Config, given: dict[str, Any]) -> Config:
    """The settings of a run with other images.

    Nothing is downloaded unless `given` says so, and a run on a few batches
    (`overfit_batches`) is evaluated on all images.

    Args:
        config: the settings of the run.
        given: the flags on the command line.

    Raises:
        ConfigError: a value is not allowed.
    """
    changes: dict[str, Any] = {'download': False, 'overfit_batches': 0}
    if given.get('dataset', config.dataset) != config.dataset:
        changes['data_dir'] = ''
    return dataclasses.replace(config, **{**changes, **given})
