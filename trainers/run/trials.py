"""Settings of runs that try something out: overfitting and dry runs."""

import dataclasses

from trainers.networks import build as networks
from trainers.settings.config import Config


def overfitting(config: Config) -> Config:
    """With `overfit_batches`, the settings without anything that prevents overfitting.

    Without it, the settings unchanged.
    """
    if not config.overfit_batches:
        return config
    options = dict(config.model_options)
    if 'block_dropout' in networks.option_defaults(config.model):
        options['block_dropout'] = 0
    return dataclasses.replace(
        config,
        augment=(),
        image_size_schedule=(),
        dropout=0.0,
        feature_dropout=0.0,
        aux_dropout=0.0,
        model_options=tuple(options.items()),
        label_smoothing=0.0,
        weight_decay=0.0,
    )


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
