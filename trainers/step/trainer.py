"""The mathematics of a run: one training step, one evaluation step."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from trainers.settings.config import Config
from trainers.settings.phases import Phase, phases
from trainers.step import metrics, optimizers, schedules
from trainers.step.averaging import MovingAverage
from trainers.step.losses import cross_entropy, l2
from trainers.step.metrics import Totals
from vision.data import Batch
from vision.models import Network


class PhaseState(NamedTuple):
    """What a phase changes, and with what.

    Attributes:
        phase: what it is about.
        weights: the variables that gradients are taken by.
        changing: all that the training step changes in the model.
        rates: factor of the learning rate for each of the weights.
        optimizer: built for the weights.
        learning_rate: by the steps since the phase began.
    """

    phase: Phase
    weights: list[tf.Variable]
    changing: tuple[tf.Variable, ...]
    rates: list[float]
    optimizer: keras.optimizers.Optimizer
    learning_rate: schedules.Schedule


class Trainer(tf.Module):
    """A model, its optimizers and the two steps.

    All that a step changes is a variable, and `checkpointed` names all of them: a
    checkpoint of those is the whole state of the training.

    Args:
        model: called as `model(images, training, seed)`.
        config: the run's settings.
        steps_per_epoch: steps in one pass over the training split.
        precision: type of the arithmetic, for the choice of loss scaling.
        class_weights: float32 `[classes]`, or None for the same everywhere.

    Attributes:
        phase: the phase that the steps are of; `begin` changes it.
        weights, optimizer, learning_rate: those of the phase.

    Raises:
        ValueError: the model has no such part as is to be frozen.
    """

    def __init__(
        self,
        model: Network,
        config: Config,
        steps_per_epoch: int,
        precision: str = 'float32',
        class_weights: np.ndarray | None = None,
        name: str = 'trainer',
    ):
        super().__init__(name=name)
        self.model = model
        self.config = config
        self.precision = precision
        self.class_weights = class_weights
        self._states = tuple(
            self._state(phase, steps_per_epoch) for phase in phases(config)
        )
        self.average = (
            MovingAverage(model.variables, config.ema) if config.ema else None
        )
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
        self.begin(0)

    def _state(self, phase: Phase, steps_per_epoch: int) -> PhaseState:
        self.model.freeze(*phase.freeze)
        depths, weights = zip(*self.model.depths())
        return PhaseState(
            phase,
            list(weights),
            self.model.unfrozen_variables,
            [self.config.layer_decay**depth for depth in depths],
            optimizers.create(phase.config, weights, self.precision),
            schedules.create(phase.config, steps_per_epoch),
        )

    @property
    def weights_by_phase(self) -> list[list[tf.Variable]]:
        """What each phase trains."""
        return [state.weights for state in self._states]

    def begin(self, index: int) -> None:
        """Makes the steps those of a phase, and changes no variable."""
        state = self._states[index]
        self.phase = state.phase
        self.weights = state.weights
        self.changing = state.changing
        self.rates = state.rates
        self.optimizer = state.optimizer
        self.learning_rate = state.learning_rate
        self.model.freeze(*state.phase.freeze)
        self.forward = self.model.classify if state.phase.cached else self.model
        # Traced anew: what is frozen is part of a trace. AutoGraph would read these
        # methods from their files, which hours later may be other ones.
        options = {'jit_compile': self.config.xla or None, 'autograph': False}
        self.train_step = tf.function(self._train_step, **options)
        self.eval_step = tf.function(self._eval_step, **options)
        self.measure_step = tf.function(self.model.estimate_batch_statistics, **options)
        self.train_steps = tf.function(self._train_steps, autograph=False)
        self.predict = tf.function(self._predict, autograph=False)

    def start_phase(self, index: int) -> None:
        """Begins a phase at the weights as they are now."""
        self.begin(index)
        self.phase_start.assign(self.step)
        self.plateau.assign(1.0)
        if self.average is not None:
            self.average.reset()

    def checkpointed(self) -> dict[str, Any]:
        """All that training changes, by the names that a checkpoint has them under."""
        found = {
            **self.evaluated(),
            'step': self.step,
            'plateau': self.plateau,
            'losses': self.losses,
            'accuracies': self.accuracies,
            'optimizer': self._states[0].optimizer,
        }
        if len(self._states) > 1:
            found['finetune_optimizer'] = self._states[1].optimizer
            found['phase_start'] = self.phase_start
        return found

    def evaluated(self) -> dict[str, Any]:
        """The weights, and their averages where there are any."""
        if self.average is None:
            return {'model': self.model}
        return {'model': self.model, 'averages': self.average.averages}

    def _train_steps(self, batches: tf.data.Iterator, count: tf.Tensor) -> None:
        """Takes `count` training steps, an int32 scalar, in one call."""

        def step(taken: tf.Tensor) -> tuple[tf.Tensor]:
            self.train_step(next(batches))
            return (taken + 1,)

        tf.while_loop(lambda taken: taken < count, step, [tf.constant(0)])

    def _train_step(self, batch: Batch) -> None:
        """One update by loss = main + aux_weight · Σ aux + weight decay."""
        seed = tf.stack([tf.constant(self.config.seed, tf.int64), self.step])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.weights)  # what is frozen needs no gradient
            outputs = self.forward(batch.images, training=True, seed=seed)
            main = self._mean_loss(batch, outputs.main)
            aux = [self._mean_loss(batch, logits) for logits in outputs.aux]
            decay = self._weight_decay()
            loss = main + self.config.aux_weight * sum(aux) + decay
            scaled_loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled_loss, self.weights)
        unscale = tf.math.divide_no_nan(loss, scaled_loss)  # the loss may be 0
        gradient_norm = tf.linalg.global_norm(gradients) * unscale
        if self.precision == 'float16':  # an overflow: `apply` skips this update
            gradient_norm = tf.where(tf.math.is_finite(gradient_norm), gradient_norm, 0)

        phase_step = self.step - self.phase_start
        self.optimizer.learning_rate.assign(
            self.learning_rate(phase_step) * self.plateau
        )
        self._update(gradients)
        if self.average is not None:
            self.average.update(phase_step, self.changing)
        self.step.assign_add(1)

        self.losses.add(
            {
                'weight': 1,
                'loss': loss,
                'weight_decay': decay,
                'gradient_norm': gradient_norm,
                **{
                    f'{head}_loss': term for head, term in zip(self.heads, [main, *aux])
                },
            }
        )
        self._count_hits(batch, [outputs.main, *outputs.aux])

    def _update(self, gradients: list[tf.Tensor]) -> None:
        """Applies gradients; with layer decay, stages far from the head move less.

        Steps are shortened after the fact, since to scale gradients would change
        nothing for optimizers that divide by their size.
        """
        slower = [
            (weight, rate, tf.identity(weight))
            for weight, rate in zip(self.weights, self.rates)
            if rate != 1
        ]
        self.optimizer.apply(gradients, self.weights)
        for weight, rate, before in slower:
            weight.assign(before + rate * (weight - before))

    def _eval_step(self, batch: Batch) -> None:
        """Adds one batch to the evaluation's totals: plain cross-entropy, main head."""
        logits = self.forward(batch.images, training=False).main
        losses = cross_entropy(batch.labels, logits)
        self.evaluation.add(
            {
                'weight': tf.reduce_sum(batch.sample_weights),
                'loss': tf.reduce_sum(batch.sample_weights * losses),
                'top1': metrics.hits(batch.labels, logits, batch.sample_weights, 1),
                'top5': metrics.hits(batch.labels, logits, batch.sample_weights, 5),
            }
        )

    def measure(self, batches: Iterable[Batch]) -> None:
        """Gives the batch norms that learn the statistics of these images."""
        for count, batch in enumerate(batches, start=1):
            self.measure_step(batch.images, tf.constant(1 / count))

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Loss, top-1 and top-5 over exactly the images of weight 1 in `batches`."""
        self.evaluation.reset()
        for batch in batches:
            self.eval_step(batch)
        return metrics.means(self.evaluation.read())

    def _predict(self, images: tf.Tensor) -> tf.Tensor:
        """Most likely class of each image, int32 `[B]`."""
        return tf.argmax(self.model(images).main, axis=-1, output_type=tf.int32)

    def _mean_loss(self, batch: Batch, logits: tf.Tensor) -> tf.Tensor:
        """Sum over the images that count, divided by the size of the whole batch."""
        losses = self._losses(batch.labels, logits)
        if batch.partners is not None and batch.shares is not None:
            theirs = self._losses(batch.partners, logits)
            losses = batch.shares * losses + (1 - batch.shares) * theirs
        return tf.reduce_sum(batch.sample_weights * losses) / batch.labels.shape[0]

    def _losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of each image, weighted by its class."""
        losses = cross_entropy(labels, logits, self.config.label_smoothing)
        if self.class_weights is None:
            return losses
        return losses * tf.gather(self.class_weights, labels)

    def _weight_decay(self) -> tf.Tensor:
        """Decay as a term of the loss; adamw decays in its update instead."""
        if not self.config.weight_decay or self.config.optimizer == 'adamw':
            return tf.constant(0.0)
        return self.config.weight_decay * l2(self.weights)

    def _count_hits(self, batch: Batch, logits: list[tf.Tensor]) -> None:
        values = {'weight': tf.reduce_sum(batch.sample_weights)}
        for head, scores in zip(self.heads, logits):
            for k in (1, 5):
                values[f'{head}_top{k}'] = metrics.hits(
                    batch.labels, scores, batch.sample_weights, k
                )
        self.accuracies.add(values)
