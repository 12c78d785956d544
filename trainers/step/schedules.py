"""The learning rate as a function of the step number."""

import math
from collections.abc import Callable

import tensorflow as tf

from trainers.settings.config import Config
from trainers.settings.tables import SCHEDULES

# Takes the step, an integer scalar tensor; returns the rate, a float32 scalar.
Schedule = Callable[[tf.Tensor], tf.Tensor]


def create(config: Config, steps_per_epoch: int) -> Schedule:
    """Makes the schedule that the configuration names, preceded by its warm-up.

    The warm-up rises linearly from 0 over `warmup_epochs` to where the schedule
    starts, which spans the rest of the run.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    total = max(1, config.epochs * steps_per_epoch - warmup)
    factor = SCHEDULES.load(config.schedule)(config, total, steps_per_epoch)

    def learning_rate(step: tf.Tensor) -> tf.Tensor:
        step = tf.cast(step, tf.float32)
        rate = config.learning_rate * factor(tf.maximum(step - warmup, 0))
        if warmup:
            rate *= tf.minimum((step + 1) / warmup, 1)
        return rate

    return learning_rate


def constant(config: Config, total_steps: int, steps_per_epoch: int) -> Schedule:
    """1 at every step."""
    return tf.ones_like


def exponential(config: Config, total_steps: int, steps_per_epoch: int) -> Schedule:
    """Falls by `decay_rate` over every `decay_epochs`, a little at each step."""
    interval = config.decay_epochs * steps_per_epoch
    return lambda step: config.decay_rate ** (step / interval)


def step(config: Config, total_steps: int, steps_per_epoch: int) -> Schedule:
    """Falls by `decay_rate` at once after every `decay_epochs`."""
    interval = config.decay_epochs * steps_per_epoch
    return lambda step: config.decay_rate ** tf.floor(step / interval)


def cosine(config: Config, total_steps: int, steps_per_epoch: int) -> Schedule:
    """Half a cosine from 1 to 0: https://arxiv.org/abs/1608.03983 without restarts."""
    return lambda step: _half_cosine(step / total_steps)


def one_cycle(config: Config, total_steps: int, steps_per_epoch: int) -> Schedule:
    """Up from 1/25 over the first 30 %, then down to 1/10,000 of that start.

    Smith and Topin, 2017, https://arxiv.org/abs/1708.07120; the numbers are PyTorch's.
    """
    low, end, rise = 1 / 25, 1 / 250_000, 0.3

    def factor(step: tf.Tensor) -> tf.Tensor:
        up = 1 - (1 - low) * _half_cosine(step / (rise * total_steps))
        down = end + (1 - end) * _half_cosine((step / total_steps - rise) / (1 - rise))
        return tf.where(step < rise * total_steps, up, down)

    return factor


def _half_cosine(fraction: tf.Tensor) -> tf.Tensor:
    """1 at 0, 0 at 1 and beyond."""
    return 0.5 * (1 + tf.cos(math.pi * tf.clip_by_value(fraction, 0, 1)))
