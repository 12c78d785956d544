"""The variables that training changes: all of them are in a checkpoint."""

import contextlib
from typing import Any, NamedTuple

import tensorflow as tf

from trainers.step import metrics
from trainers.step.averaging import MovingAverage
from trainers.step.metrics import Totals
from vision.models import Network


class TrainingTotals(NamedTuple):
    """Sums over the training steps since the last reset, by name."""

    losses: dict[str, float]
    accuracies: dict[str, float]


class TrainingState:
    """A network, its averages, the step and the running totals.

    Args:
        model: called as `model(images, training, seed)`.
        ema: decay of the moving average of the weights; 0: no average.

    Attributes:
        average: of the model's variables, or None.
        step: int64, training steps taken.
        phase_start: int64, the step at which the current phase began.
        plateau: float32, factor of the scheduled learning rate.
        heads: names of the heads, 'main' first.
        losses, accuracies: totals of training.
        evaluation: totals of an evaluation, which no checkpoint holds.
    """

    def __init__(self, model: Network, ema: float = 0.0):
        self.model = model
        self.average = MovingAverage(model.variables, ema) if ema else None
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name='step')
        self.phase_start = tf.Variable(
            0, dtype=tf.int64, trainable=False, name='phase_start'
        )
        self.plateau = tf.Variable(1.0, trainable=False, name='plateau')
        self.heads = metrics.head_names(1 + len(model.heads))
        self.losses = Totals(
            ['weight', 'loss', 'weight_decay', 'gradient_norm']
            + [f'{head}_loss' for head in self.heads]
        )
        self.accuracies = Totals(
            ['weight']
            + [f'{head}_{metric}' for head in self.heads for metric in ('top1', 'top5')]
        )
        self.evaluation = Totals(['weight', 'loss', 'top1', 'top5'])

    @property
    def steps_taken(self) -> int:
        """The step as a number, once the device has taken it."""
        return int(self.step.numpy())

    def begin_phase(self) -> None:
        """Starts the schedule, the plateau and the averages of a phase anew."""
        self.phase_start.assign(self.step)
        self.plateau.assign(1.0)
        if self.average is not None:
            self.average.reset()

    def totals(self) -> TrainingTotals:
        """Reads the totals of training."""
        return TrainingTotals(self.losses.read(), self.accuracies.read())

    def evaluated(self) -> dict[str, Any]:
        """The weights and their averages, by their names in a checkpoint."""
        averages = {} if self.average is None else {'averages': self.average.averages}
        return {'model': self.model, **averages}

    def averaged_weights(self) -> contextlib.AbstractContextManager[None]:
        """A context in which the model has the averaged weights, if there are any."""
        average = self.average
        return contextlib.nullcontext() if average is None else average.swapped_in()
