"""The mathematics of a run: one training step, one evaluation step."""

from typing import Any, Iterable

import numpy as np
import tensorflow as tf

from trainers import metrics, optimizers, schedules
from trainers.averaging import MovingAverage
from trainers.config import Config
from trainers.losses import cross_entropy, l2
from trainers.metrics import Totals
from vision.data import Batch


class Trainer(tf.Module):
    """A model, its optimizer and the two steps.

    All that a step changes is a variable, and `checkpointed` names all of them: a
    checkpoint of those is the whole state of the training.

    Args:
        model: called as `model(images, training, seed)`.
        config: the run's settings.
        steps_per_epoch: steps in one pass over the training split.
        precision: type of the arithmetic, for the choice of loss scaling.
        class_weights: float32 `[classes]`, or None for the same everywhere.
    """

    def __init__(self, model: tf.Module, config: Config, steps_per_epoch: int,
                 precision: str = 'float32', class_weights: np.ndarray | None = None,
                 name: str = 'trainer'):
        super().__init__(name=name)
        self.model = model
        self.config = config
        self.precision = precision
        self.class_weights = class_weights
        self.weights = list(model.trainable_variables)
        self.learning_rate = schedules.create(config, steps_per_epoch)
        self.optimizer = optimizers.create(config, self.weights, precision)
        self.average = MovingAverage(model.variables,
                                     config.ema) if config.ema else None
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name='step')
        self.plateau = tf.Variable(1.0, trainable=False, name='plateau')

        self.heads = metrics.head_names(1 + len(getattr(model, 'heads', ())))
        self.losses = Totals(['weight', 'loss', 'weight_decay', 'gradient_norm'] +
                             [f'{head}_loss' for head in self.heads])
        self.accuracies = Totals(
            ['weight'] +
            [f'{head}_{metric}' for head in self.heads for metric in ('top1', 'top5')])
        self.evaluation = Totals(['weight', 'loss', 'top1', 'top5'])

        compiled = config.xla or None
        self.train_step = tf.function(self._train_step, jit_compile=compiled)
        self.eval_step = tf.function(self._eval_step, jit_compile=compiled)

    def checkpointed(self) -> dict[str, Any]:
        """All that training changes, by the names that a checkpoint has them under."""
        return {
            **self.evaluated(), 'optimizer': self.optimizer,
            'step': self.step,
            'plateau': self.plateau,
            'losses': self.losses,
            'accuracies': self.accuracies
        }

    def evaluated(self) -> dict[str, Any]:
        """The weights, and their averages where there are any."""
        if self.average is None:
            return {'model': self.model}
        return {'model': self.model, 'averages': self.average.averages}

    @tf.function
    def train_steps(self, batches: tf.data.Iterator, count: tf.Tensor) -> None:
        """Takes `count` training steps, an int32 scalar, in one call."""
        for _ in tf.range(count):
            self.train_step(next(batches))

    def _train_step(self, batch: Batch) -> None:
        """One update by loss = main + aux_weight · Σ aux + weight decay."""
        seed = tf.stack([tf.constant(self.config.seed, tf.int64), self.step])
        with tf.GradientTape() as tape:
            outputs = self.model(batch.images, training=True, seed=seed)
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

        self.optimizer.learning_rate.assign(
            self.learning_rate(self.step) * self.plateau)
        self.optimizer.apply(gradients, self.weights)
        if self.average is not None:
            self.average.update(self.step)
        self.step.assign_add(1)

        self.losses.add({
            'weight': 1,
            'loss': loss,
            'weight_decay': decay,
            'gradient_norm': gradient_norm,
            **{
                f'{head}_loss': term for head, term in zip(self.heads, [main, *aux])
            },
        })
        self._count_hits(batch, [outputs.main, *outputs.aux])

    def _eval_step(self, batch: Batch) -> None:
        """Adds one batch to the evaluation's totals: plain cross-entropy, main head."""
        logits = self.model(batch.images, training=False).main
        losses = cross_entropy(batch.labels, logits)
        self.evaluation.add({
            'weight': tf.reduce_sum(batch.weights),
            'loss': tf.reduce_sum(batch.weights * losses),
            'top1': metrics.hits(batch.labels, logits, batch.weights, 1),
            'top5': metrics.hits(batch.labels, logits, batch.weights, 5),
        })

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Loss, top-1 and top-5 over exactly the pictures of weight 1 in `batches`."""
        self.evaluation.reset()
        for batch in batches:
            self.eval_step(batch)
        return metrics.means(self.evaluation.read())

    @tf.function
    def predict(self, images: tf.Tensor) -> tf.Tensor:
        """Most likely class of each picture, int32 `[B]`."""
        return tf.argmax(self.model(images).main, axis=-1, output_type=tf.int32)

    def _mean_loss(self, batch: Batch, logits: tf.Tensor) -> tf.Tensor:
        """Sum over the pictures that count, divided by the size of the whole batch."""
        losses = self._losses(batch.labels, logits)
        if batch.partners is not None and batch.shares is not None:
            theirs = self._losses(batch.partners, logits)
            losses = batch.shares * losses + (1 - batch.shares) * theirs
        return tf.reduce_sum(batch.weights * losses) / batch.labels.shape[0]

    def _losses(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        """Cross-entropy of each picture, weighted by its class."""
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
        values = {'weight': tf.reduce_sum(batch.weights)}
        for head, scores in zip(self.heads, logits):
            for k in (1, 5):
                values[f'{head}_top{k}'] = metrics.hits(batch.labels, scores,
                                                        batch.weights, k)
        self.accuracies.add(values)
