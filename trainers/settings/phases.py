"""The one or two phases of a run: what is trained, for how long, at what rate."""

import dataclasses
from typing import NamedTuple

from trainers.settings.config import Config


class Phase(NamedTuple):
    """A stretch of epochs with an optimizer of its own.

    Attributes:
        config: the run's settings with the epochs and the learning rate of this phase.
        freeze: what stays as it is, as `Network.freeze` takes it.
        cached: whether it trains on features instead of images.
    """

    config: Config
    freeze: tuple[str, ...]
    cached: bool

    @property
    def epochs(self) -> int:
        """How many epochs it has."""
        return self.config.epochs


def phases(config: Config) -> list[Phase]:
    """The phases of a run in their order."""
    first = Phase(config, config.freeze, config.features == 'cached')
    if not config.finetune_epochs:
        return [first]
    second = dataclasses.replace(
        config,
        epochs=config.finetune_epochs,
        learning_rate=config.finetune_learning_rate,
    )
    return [first, Phase(second, config.finetune_freeze, cached=False)]


def total_epochs(config: Config) -> int:
    """Epochs of all phases together, unless some end early."""
    return config.epochs + config.finetune_epochs
