"""Optimizers of Keras, which apply gradients to plain `tf.Variable`s."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras.optimizers import Optimizer

from trainers.settings.config import Config
from trainers.settings.tables import OPTIMIZERS


def create(
    config: Config, variables: Sequence[tf.Variable], precision: str = 'float32'
) -> Optimizer:
    """Makes the optimizer that the configuration names, built for `variables`.

    Its slots exist from the start, so that a checkpoint can be restored into it. In
    float16 it is wrapped with dynamic loss scaling: `scale_loss` scales, `apply` undoes
    the scaling and skips a step whose gradients overflowed.

    Args:
        config: names the optimizer and its numbers. The learning rate is assigned anew
            in every training step.
        variables: what is trained, in the order of the gradients.
        precision: type of the arithmetic, float32, bfloat16 or float16.
    """
    optimizer = OPTIMIZERS.load(config.optimizer)(
        config,
        variables,
        learning_rate=config.learning_rate,
        global_clipnorm=config.clip_norm or None,
    )
    if precision == 'float16':
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(list(variables))
    return optimizer


def sgd(config: Config, variables: Sequence[tf.Variable], **options: Any) -> Optimizer:
    """Nesterov momentum, where momentum is not 0."""
    return keras.optimizers.SGD(
        momentum=config.momentum, nesterov=config.momentum > 0, **options
    )


def adam(config: Config, variables: Sequence[tf.Variable], **options: Any) -> Optimizer:
    """Adam: Kingma and Ba, 2014, https://arxiv.org/abs/1412.6980."""
    return keras.optimizers.Adam(**options)


def adamw(
    config: Config, variables: Sequence[tf.Variable], **options: Any
) -> Optimizer:
    """Adam whose decay is no part of the gradient; variables of rank 1 do not decay.

    Loshchilov and Hutter, 2017, https://arxiv.org/abs/1711.05101.
    """
    optimizer = keras.optimizers.AdamW(weight_decay=config.weight_decay, **options)
    optimizer.exclude_from_weight_decay(
        var_list=[v for v in variables if v.shape.rank <= 1]
    )
    return optimizer


def rmsprop(
    config: Config, variables: Sequence[tf.Variable], **options: Any
) -> Optimizer:
    """RMSprop with a decay of 0.9."""
    return keras.optimizers.RMSprop(rho=0.9, momentum=config.momentum, **options)
