"""The training step, the evaluation step, and the phases that have their own."""

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.settings.config import Config
from trainers.step import metrics, optimizers, schedules
from trainers.step.losses import cross_entropy, l2
from trainers.step.state import TrainingState
from vision.data import Batch
from vision.models import Network


class TrainingPhase:
    """What a phase trains and with what; its functions are traced when first called.

    Args:
        config: the run's settings with those that differ in this phase.
        state: the variables that all phases share.
        steps_per_epoch: steps in one pass over the training split.
        precision: type of the arithmetic, for the choice of loss scaling.
        class_weights: float32 `[classes]`, or None for the same everywhere.

    Attributes:
        config, state, precision, class_weights: as given.
        weights: the variables that gradients are computed for.
        changing: all variables of the model that the training step changes.
        rates: factor of the learning rate for each of the weights.
        optimizer: built for the weights.
        learning_rate: by the steps since the phase began.
        forward: maps a batch's images, or features, to logits.
        predict: maps images to the most likely class of each, int32 `[B]`; traced.
        train_step: one update, traced.
        eval_step: adds one batch to the evaluation's totals; traced.

    Raises:
        ValueError: the model has no such part as is to be frozen.
    """

    def __init__(
        self,
        config: Config,
        state: TrainingState,
        steps_per_epoch: int,
        precision: str = 'float32',
        class_weights: np.ndarray | None = None,
    ):
        state.model.freeze(*config.freeze)
        depths, self.weights = zip(*state.model.depths())
        self.config = config
        self.state = state
        self.precision = precision
        self.class_weights = class_weights
        self.changing = state.model.unfrozen_variables
        self.rates = tuple(config.layer_decay**depth for depth in depths)
        self.optimizer = optimizers.create(config, self.weights, precision)
        self.learning_rate = schedules.create(config, steps_per_epoch)
        self.forward: Callable[..., Any] = (
            state.model.classify if config.features == 'cached' else state.model
        )
        self.predict = tf.function(
            lambda images: tf.argmax(
                state.model(images).main, axis=-1, output_type=tf.int32
            ),
            autograph=False,
        )
        self.train_step = self._traced(self._train_step)
        self.eval_step = self._traced(self._eval_step)
        self._estimate_step = self._traced(state.model.estimate_batch_statistics)
        self._several_steps = tf.function(self._take_steps, autograph=False)

    def train_steps(self, batches: tf.data.Iterator, count: int) -> None:
        """Takes `count` training steps in one call."""
        self._several_steps(batches, tf.constant(count))

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Loss, top-1 and top-5 over exactly the images of weight 1 in `batches`."""
        self.state.evaluation.reset()
        for batch in batches:
            self.eval_step(batch)
        return metrics.means(self.state.evaluation.read())

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

    def _take_steps(self, batches: tf.data.Iterator, count: tf.Tensor) -> None:
        def body(taken: tf.Tensor) -> tuple[tf.Tensor]:
            self.train_step(next(batches))
            return (taken + 1,)

        tf.while_loop(lambda taken: taken < count, body, [tf.constant(0)])

    def _traced(self, function: Callable[..., None]) -> Any:
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
        self.state.evaluation.add(
            {
                'weight': tf.reduce_sum(batch.sample_weights),
                'loss': tf.reduce_sum(
                    batch.sample_weights * cross_entropy(batch.labels, logits)
                ),
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
            TrainingPhase(phase, self.state, steps_per_epoch, precision, class_weights)
            for phase in config.phases()
        )

    def checkpointed(self) -> dict[str, Any]:
        """All that training changes, by the names in a checkpoint."""
        names = ['optimizer', 'finetune_optimizer'] + [
            f'optimizer_{index}' for index in range(2, len(self.phases))
        ]
        return {
            **self.state.evaluated(),
            'step': self.state.step,
            'plateau': self.state.plateau,
            'losses': self.state.losses,
            'accuracies': self.state.accuracies,
            **{name: phase.optimizer for name, phase in zip(names, self.phases)},
            **({'phase_start': self.state.phase_start} if len(self.phases) > 1 else {}),
        }
