"""The history of a run: the rows of metrics.csv, the best epoch, early stopping."""

import dataclasses
import math

from trainers.settings.config import Config

Row = dict[str, float]


@dataclasses.dataclass
class History:
    """The part of a run's state that is not variables; checkpoints hold it as JSON.

    Attributes:
        rows: one dictionary per epoch, the rows of metrics.csv.
        best_epoch: the epoch with the best monitored metric, from 1; 0 before any.
        best_value: the value of that metric.
        stale_epochs: epochs since then.
        lowest_loss: lowest validation loss of the phase.
        plateau_epochs: epochs without a lower one.
        phase: index of the current phase.
        phase_began: epochs before the phase.
        seconds: time in training steps of the phase.
        images: training images in that time.
        earlier_seconds: time in training steps of earlier phases.
        elapsed: seconds since the run began, without pauses.
    """

    rows: list[Row] = dataclasses.field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.nan
    stale_epochs: int = 0
    lowest_loss: float = math.inf
    plateau_epochs: int = 0
    phase: int = 0
    phase_began: int = 0
    seconds: float = 0.0
    images: int = 0
    earlier_seconds: float = 0.0
    elapsed: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Training images per second in this phase; 0 before the first reading.

        Evaluation and the first call, which traces the step, do not count.
        """
        return self.images / self.seconds if self.seconds else 0.0

    def add(self, row: Row, config: Config) -> bool:
        """Adds an epoch; returns whether it is the best so far.

        The metric is that of the averaged weights, if there are any.
        """
        self.rows.append(row)
        weights = 'validation_averaged' if config.ema else 'validation'
        value = row[f'{weights}_{config.monitor}']
        best = self.best_epoch == 0 or (
            value < self.best_value
            if config.monitor == 'loss'
            else value > self.best_value
        )
        if best:
            self.best_epoch, self.best_value = int(row['epoch']), value
        self.stale_epochs = 0 if best else self.stale_epochs + 1
        return best

    def begin_phase(self) -> None:
        """Starts the next phase, which counts its epochs and its time anew."""
        self.phase += 1
        self.phase_began = len(self.rows)
        self.stale_epochs = self.plateau_epochs = 0
        self.lowest_loss = math.inf
        self.earlier_seconds += self.seconds
        self.seconds, self.images = 0.0, 0

    def exhausted(self, config: Config) -> bool:
        """Whether early stopping ends the phase after this epoch."""
        return 0 < config.early_stopping <= self.stale_epochs

    def plateaued(self, config: Config) -> bool:
        """Whether the learning rate drops after this epoch; called once per epoch."""
        loss = self.rows[-1]['validation_loss']
        if loss < self.lowest_loss:
            self.lowest_loss, self.plateau_epochs = loss, 0
        else:
            self.plateau_epochs += 1
        if not 0 < config.plateau_patience <= self.plateau_epochs:
            return False
        self.plateau_epochs = 0
        return True
