"""Settings of runs that try something out: overfitting and dry runs."""

import dataclasses
from typing import Any

from trainers.networks import build as networks
from trainers.settings.config import CUSTOM, Config


def overfitting(config: Config) -> Config:
    """With `overfit_batches`, the settings without anything that prevents overfitting.

    Without it, the settings unchanged.
    """
    if not config.overfit_batches:
        return config
    changes: dict[str, Any] = {
        'augment': (),
        'image_size_schedule': (),
        'label_smoothing': 0.0,
        'weight_decay': 0.0,
    }
    if config.model != CUSTOM:
        changes |= dict.fromkeys(networks.DROPOUT, 0.0)
        if 'block_dropout' in networks.option_defaults(config.model):
            options = {**dict(config.model_options), 'block_dropout': 0}
            changes['model_options'] = tuple(options.items())
    return dataclasses.replace(config, **changes)


def dry(config: Config, folder: str) -> Config:
    """The settings of one step of everything, with all files in a folder."""
    return dataclasses.replace(
        config,
        dry_run=False,
        resume='auto',
        epochs=1,
        finetune_epochs=min(config.finetune_epochs, 1),
        limit_train_batches=1,
        limit_eval_batches=1,
        run_dir=f'{folder}/run',
        cache_dir=f'{folder}/cache',
    )
