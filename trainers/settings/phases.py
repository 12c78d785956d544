"""The phases of a run: consecutive epochs with one optimizer each."""

import dataclasses

from trainers.settings.config import Config


def phases(config: Config) -> list[Config]:
    """The settings of each phase in order: what it trains, how long, at what rate."""
    if not config.finetune_epochs:
        return [config]
    second = dataclasses.replace(
        config,
        epochs=config.finetune_epochs,
        freeze=config.finetune_freeze,
        learning_rate=config.finetune_learning_rate,
        features='live',  # Those of a backbone that changes cannot be kept.
    )
    return [config, second]
