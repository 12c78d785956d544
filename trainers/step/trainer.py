"""The training step, the evaluation step, and the phases that have their own."""

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import PolymorphicFunction

from trainers.settings.config import Config
from trainers.step import metrics, optimizers, schedules
from trainers.step.losses import cross_entropy, l2
from trainers.step.state import TrainingState
from vision.data import Batch
from vision.models import Network


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingPhase:
    """What a phase trains and with what; its functions are traced when first called.

    Attributes:
        config: the run's settings with those that differ in this phase.
        state: the variables that all phases share.
        weights: the variables that gradients are computed for.
        changing: all variables of the model that the training step changes.
        rates: factor of the learning rate for each of the weights.
        optimizer: built for the weights.
        learning_rate: by the steps since the phase began.
        precision: type of the arithmetic, for the choice of loss scaling.
        class_weights: float32 `[classes]`, or None for the same everywhere.
    """

    config: Config
    state: TrainingState
    weights: tuple[tf.Variable, ...]
    changing: tuple[tf.Variable, ...]
    rates: tuple[float, ...]
    optimizer: keras.optimizers.Optimizer
    learning_rate: schedules.Schedule
    precision: str
    class_weights: np.ndarray | None

    @classmethod
    def build(
        cls,
        config: Config,
        state: TrainingState,
        steps_per_epoch: int,
        precision: str = 'float32',
        class_weights: np.ndarray | None = None,
    ) -> 'TrainingPhase':
        """Makes a phase with its optimizer and schedule.

        Raises:
            ValueError: the model has no such part as is to be frozen.
        """
        state.model.freeze(*config.freeze)
        depths, weights = zip(*state.model.depths())
        return cls(
            config,
            state,
            weights,
            state.model.unfrozen_variables,
            tuple(config.layer_decay**depth for depth in depths),
            optimizers.create(config, weights, precision),
            schedules.create(config, steps_per_epoch),
            precision,
            class_weights,
        )

    @property
    def forward(self) -> Callable[..., Any]:
        """Maps a batch's images, or features, to logits."""
        model = self.state.model
        return model.classify if self.config.features == 'cached' else model

    def train_steps(self, batches: tf.data.Iterator, count: int) -> None:
        """Takes `count` training steps in one call."""
        self._train_steps(batches, tf.constant(count))

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Loss, top-1 and top-5 over exactly the images of weight 1 in `batches`."""
        self.state.evaluation.reset()
        for batch in batches:
            self.eval_step(batch)
        return metrics.means(self.state.evaluation.read())

    @functools.cached_property
    def trains_batch_norms(self) -> bool:
        """Whether there are batch norms whose statistics training changes."""
        changing = {variable.ref() for variable in self.changing}
        return any(
            norm.moving_mean.ref() in changing
            for norm in self.state.model.batch_norms()
        )

    def estimate_batch_norms(self, batches: Iterable[Batch]) -> None:
        """Sets the statistics of the trained batch norms to those of these images."""
        for count, batch in enumerate(batches, start=1):
            self._estimate_step(batch.images, tf.constant(1 / count))

    @functools.cached_property
    def predict(self) -> PolymorphicFunction:
        """The most likely class of each image, int32 `[B]`."""
        return tf.function(
            lambda images: tf.argmax(
                self.state.model(images).main, axis=-1, output_type=tf.int32
            ),
            autograph=False,
        )

    @functools.cached_property
    def _train_steps(self) -> PolymorphicFunction:
        def train_steps(batches: tf.data.Iterator, count: tf.Tensor) -> None:
            def body(taken: tf.Tensor) -> tuple[tf.Tensor]:
                self.train_step(next(batches))
                return (taken + 1,)

            tf.while_loop(lambda taken: taken < count, body, [tf.constant(0)])

        return tf.function(train_steps, autograph=False)

    @functools.cached_property
    def train_step(self) -> PolymorphicFunction:
        """One update, traced."""
        return self._traced(self._train_step)

    @functools.cached_property
    def eval_step(self) -> PolymorphicFunction:
        """Adds one batch to the evaluation's totals, traced."""
        return self._traced(self._eval_step)

    @functools.cached_property
    def _estimate_step(self) -> PolymorphicFunction:
        return self._traced(self.state.model.estimate_batch_statistics)

    def _traced(self, function: Callable[..., None]) -> PolymorphicFunction:
        """Traces a function with the parts frozen that this phase freezes.

        AutoGraph is off: it would read the function's source from its file, which may
        have changed hours later.
        """

        @functools.wraps(function)
        def frozen(*arguments: Any) -> None:
            self.state.model.freeze(*self.config.freeze)
            function(*arguments)

        return tf.function(frozen, jit_compile=self.config.xla or None, autograph=False)

    def _train_step(self, batch: Batch) -> None:
        """One update by loss = main + aux_weight · Σ aux + weight decay."""
        state = self.state
        seed = tf.stack([tf.constant(self.config.seed, tf.int64), state.step])
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.weights)  # frozen variables need no gradient
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

        phase_step = state.step - state.phase_start
        self.optimizer.learning_rate.assign(
            self.learning_rate(phase_step) * state.plateau
        )
        self._apply(gradients)
        if state.average is not None:
            state.average.update(phase_step, self.changing)
        state.step.assign_add(1)

        losses = dict(zip(state.heads, [main, *aux]))
        state.losses.add(
            {
                'weight': 1,
                'loss': loss,
                'weight_decay': decay,
                'gradient_norm': gradient_norm,
                **{f'{head}_loss': value for head, value in losses.items()},
            }
        )
        self._count_hits(batch, [outputs.main, *outputs.aux])

    def _mean_loss(self, batch: Batch, logits: tf.Tensor) -> tf.Tensor:
        """Sum of the losses by sample weight, divided by the size of the batch."""
        losses = self._losses(batch.labels, logits)
        if batch.partners is not None and batch.shares is not None:
            mixed_in = self._losses(batch.partners, logits)
            losses = batch.shares * losses + (1 - batch.shares) * mixed_in
        return tf.reduce_sum(batch.sample_weights * losses) / batch.labels.shape[0]

    def _losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of each image, multiplied by the weight of its class."""
        losses = cross_entropy(labels, logits, self.config.label_smoothing)
        if self.class_weights is None:
            return losses
        return losses * tf.gather(self.class_weights, labels)

    def _weight_decay(self) -> tf.Tensor:
        """Decay as a term of the loss; adamw decays in its update instead."""
        if not self.config.weight_decay or self.config.optimizer == 'adamw':
            return tf.constant(0.0)
        return self.config.weight_decay * l2(self.weights)

    def _apply(self, gradients: list[tf.Tensor]) -> None:
        """Applies gradients; with layer decay, stages far from the head change less.

        The change is scaled and not the gradient: optimizers that divide by the
        gradient's size would undo that.
        """
        scaled = [
            (weight, rate, tf.identity(weight))
            for weight, rate in zip(self.weights, self.rates)
            if rate != 1
        ]
        self.optimizer.apply(gradients, self.weights)
        for weight, rate, before in scaled:
            weight.assign(before + rate * (weight - before))

    def _count_hits(self, batch: Batch, logits: list[tf.Tensor]) -> None:
        values = {'weight': tf.reduce_sum(batch.sample_weights)}
        for head, scores in zip(self.state.heads, logits):
            for k in (1, 5):
                values[f'{head}_top{k}'] = metrics.hits(
                    batch.labels, scores, batch.sample_weights, k
                )
        self.state.accuracies.add(values)

    def _eval_step(self, batch: Batch) -> None:
        """Adds cross-entropy and hits of the main head to the evaluation's totals."""
        logits = self.forward(batch.images, training=False).main
        losses = cross_entropy(batch.labels, logits)
        self.state.evaluation.add(
            {
                'weight': tf.reduce_sum(batch.sample_weights),
                'loss': tf.reduce_sum(batch.sample_weights * losses),
                'top1': metrics.hits(batch.labels, logits, batch.sample_weights, 1),
                'top5': metrics.hits(batch.labels, logits, batch.sample_weights, 5),
            }
        )


class Trainer:
    """The state of a training and its phases.

    Args:
        model: called as `model(images, training, seed)`.
        config: the run's settings.
        steps_per_epoch: steps in one pass over the training split.
        precision: type of the arithmetic, float32, bfloat16 or float16.
        class_weights: float32 `[classes]`, or None for the same everywhere.

    Attributes:
        state: the variables that training changes.
        phases: the phases in their order.

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
    ):
        self.state = TrainingState(model, config.ema)
        self.phases = tuple(
            TrainingPhase.build(
                phase, self.state, steps_per_epoch, precision, class_weights
            )
            for phase in config.phases()
        )

    def checkpointed(self) -> dict[str, Any]:
        """All that training changes, by the names in a checkpoint."""
        state = self.state
        names = ['optimizer', 'finetune_optimizer'] + [
            f'optimizer_{index}' for index in range(2, len(self.phases))
        ]
        return {
            **state.evaluated(),
            'step': state.step,
            'plateau': state.plateau,
            'losses': state.losses,
            'accuracies': state.accuracies,
            **{name: phase.optimizer for name, phase in zip(names, self.phases)},
            **({'phase_start': state.phase_start} if len(self.phases) > 1 else {}),
        }
