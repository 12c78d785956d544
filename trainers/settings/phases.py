"""The phases of a run: what each trains, for how many epochs, at what rate."""

import dataclasses
from typing import NamedTuple

from trainers.settings.config import Config
from trainers.settings.parsing import Freeze


class Phase(NamedTuple):
    """Consecutive epochs with one optimizer.

    Attributes:
        config: the run's settings with the epochs and the learning rate of this phase.
        freeze: the parts that are not trained: arguments of `Network.freeze`.
        cached: whether it trains on cached features instead of images.
    """

    config: Config
    freeze: Freeze
    cached: bool

    @property
    def epochs(self) -> int:
        """The number of its epochs."""
        return self.config.epochs


def phases(config: Config) -> list[Phase]:
    """The phases of a run in order."""
    first = Phase(config, config.freeze, config.features == 'cached')
    if not config.finetune_epochs:
        return [first]
    second = dataclasses.replace(
        config,
        epochs=config.finetune_epochs,
        learning_rate=config.finetune_learning_rate,
    )
    return [first, Phase(second, config.finetune_freeze, cached=False)]
