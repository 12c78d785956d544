"""Optimizers: those of Keras, which apply gradients to plain `tf.Variable`s."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from trainers.settings.config import Config


def create(
    config: Config, variables: Sequence[tf.Variable], precision: str = 'float32'
) -> keras.optimizers.Optimizer:
    """The optimizer that the configuration names, built for `variables`.

    Its slots exist from the start, so that a checkpoint can be restored into it. In
    float16 it is wrapped with dynamic loss scaling: `scale_loss` scales, `apply` undoes
    the scaling and skips a step whose gradients overflowed.

    Args:
        config: names the optimizer and its numbers. The learning rate is assigned anew
            in every training step.
        variables: what will be trained, in the order in which gradients will come.
        precision: type of the arithmetic, float32, bfloat16 or float16.
    """
    rate = config.learning_rate
    clip = config.clip_norm or None
    if config.optimizer == 'sgd':
        optimizer = keras.optimizers.SGD(
            rate,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            global_clipnorm=clip,
        )
    elif config.optimizer == 'adam':
        optimizer = keras.optimizers.Adam(rate, global_clipnorm=clip)
    elif config.optimizer == 'adamw':
        optimizer = keras.optimizers.AdamW(
            rate, weight_decay=config.weight_decay, global_clipnorm=clip
        )
        optimizer.exclude_from_weight_decay(
            var_list=[v for v in variables if v.shape.rank <= 1]
        )
    else:
        optimizer = keras.optimizers.RMSprop(
            rate, rho=0.9, momentum=config.momentum, global_clipnorm=clip
        )
    if precision == 'float16':
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(list(variables))
    return optimizer
