"""The learning rate as a function of the step number."""

import math
from collections.abc import Callable

import tensorflow as tf

from trainers.settings.config import Config

# Takes the step, an integer scalar tensor; returns the rate, a float32 scalar.
Schedule = Callable[[tf.Tensor], tf.Tensor]


def create(config: Config, steps_per_epoch: int) -> Schedule:
    """The schedule that the configuration names, with its warm-up in front.

    The warm-up rises linearly from 0 over `warmup_epochs` to where the schedule
    starts, which spans the rest of the run.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    total = max(1, config.epochs * steps_per_epoch - warmup)
    course = SCHEDULES[config.schedule](config, total, steps_per_epoch)

    def learning_rate(step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rate = config.learning_rate * course(tf.maximum(step - warmup, 0))
        if warmup:
            rate *= tf.minimum((step + 1) / warmup, 1)
        return rate

    return learning_rate


def _constant(config: Config, total: int, steps_per_epoch: int) -> Schedule:
    del config, total, steps_per_epoch
    return tf.ones_like


def _exponential(config: Config, total: int, steps_per_epoch: int) -> Schedule:
    """Falls by `decay_rate` over every `decay_epochs`, a little at each step."""
    del total
    interval = config.decay_epochs * steps_per_epoch
    return lambda step: config.decay_rate ** (step / interval)


def _step(config: Config, total: int, steps_per_epoch: int) -> Schedule:
    """Falls by `decay_rate` at once after every `decay_epochs`."""
    del total
    interval = config.decay_epochs * steps_per_epoch
    return lambda step: config.decay_rate ** tf.floor(step / interval)


def _cosine(config: Config, total: int, steps_per_epoch: int) -> Schedule:
    """Half a cosine from 1 to 0: https://arxiv.org/abs/1608.03983 without restarts."""
    del config, steps_per_epoch
    return lambda step: _half_cosine(step / total)


def _one_cycle(config: Config, total: int, steps_per_epoch: int) -> Schedule:
    """Up from 1/25 over the first 30 %, then down to 1/10,000 of that start.

    Smith and Topin, 2017, https://arxiv.org/abs/1708.07120; the numbers are PyTorch's.
    """
    del config, steps_per_epoch
    low, end, rise = 1 / 25, 1 / 250_000, 0.3

    def course(step: tf.Tensor) -> tf.Tensor:
        up = 1 - (1 - low) * _half_cosine(step / (rise * total))
        down = end + (1 - end) * _half_cosine((step / total - rise) / (1 - rise))
        return tf.where(step < rise * total, up, down)

    return course


def _half_cosine(fraction: tf.Tensor) -> tf.Tensor:
    """1 at 0, 0 at 1 and beyond."""
    return 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value(fraction, 0, 1)))


SCHEDULES: dict[str, Callable[[Config, int, int], Schedule]] = {
    'constant': _constant,
    'exponential': _exponential,
    'step': _step,
    'cosine': _cosine,
    'one_cycle': _one_cycle,
}
