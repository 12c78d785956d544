"""The learning rate at single steps, against formulas and against Keras."""

import math

import keras
import pytest
import tensorflow as tf

from trainers.settings.config import Config
from trainers.settings.tables import SCHEDULES
from trainers.step import schedules

PEAK = 0.4
STEPS_PER_EPOCH = 10


def rate(step: int, epochs: int = 4, **settings) -> float:
    """The learning rate at a step of a run of 10 steps an epoch."""
    config = Config(
        **{'learning_rate': PEAK, 'epochs': epochs, 'warmup_epochs': 0, **settings}
    )
    learning_rate = schedules.create(config, STEPS_PER_EPOCH)
    return float(learning_rate(tf.constant(step, tf.int64)))


@pytest.mark.parametrize(
    'schedule, settings, expected',
    [
        ('constant', {}, {0: 1, 1: 1, 39: 1}),
        (
            'exponential',
            {'decay_rate': 0.5},
            {0: 1, 5: math.sqrt(0.5), 10: 0.5, 20: 0.25, 40: 0.0625},
        ),
        (
            'exponential',
            {'decay_rate': 0.96, 'decay_epochs': 2.5},
            {25: 0.96, 50: 0.96**2},
        ),
        (
            'step',
            {'decay_rate': 0.1, 'decay_epochs': 2},
            {0: 1, 19: 1, 20: 0.1, 39: 0.1, 40: 0.01},
        ),
        ('step', {'decay_rate': 0.5, 'decay_epochs': 0.5}, {4: 1, 5: 0.5, 10: 0.25}),
        ('cosine', {}, {0: 1, 10: 0.5 + 0.5 * math.sqrt(0.5), 20: 0.5, 40: 0, 50: 0}),
        (
            'one_cycle',
            {},
            {
                0: 1 / 25,
                6: 0.52,
                12: 1,
                26: 0.5 + 0.5 / 250_000,
                40: 1 / 250_000,
                50: 1 / 250_000,
            },
        ),
    ],
)
def test_closed_form(schedule, settings, expected):
    for step, share in expected.items():
        assert rate(step, schedule=schedule, **settings) == pytest.approx(
            PEAK * share, rel=1e-5, abs=1e-7
        ), step


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_warm_up_rises_linearly_to_the_full_rate(schedule):
    start = rate(0, schedule=schedule)
    risen = [rate(step, schedule=schedule, warmup_epochs=1) for step in range(10)]
    assert risen == pytest.approx([start * (step + 1) / 10 for step in range(10)])


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_the_schedule_spans_what_the_warm_up_leaves(schedule):
    for step in range(0, 31, 5):
        shorter = rate(step, epochs=3, schedule=schedule)
        assert rate(10 + step, schedule=schedule, warmup_epochs=1) == shorter


@pytest.mark.parametrize('schedule', SCHEDULES)
def test_warm_up_longer_than_the_run(schedule):
    last = rate(9, epochs=1, schedule=schedule, warmup_epochs=5)
    assert last == pytest.approx(rate(0, schedule=schedule) * 10 / 50)


@pytest.mark.parametrize(
    'schedule, oracle',
    [
        ('cosine', keras.optimizers.schedules.CosineDecay(PEAK, 40)),
        ('exponential', keras.optimizers.schedules.ExponentialDecay(PEAK, 15, 0.7)),
        (
            'step',
            keras.optimizers.schedules.ExponentialDecay(PEAK, 15, 0.7, staircase=True),
        ),
    ],
)
def test_agrees_with_keras(schedule, oracle):
    for step in range(45):
        actual = rate(step, schedule=schedule, decay_rate=0.7, decay_epochs=1.5)
        assert actual == pytest.approx(float(oracle(step)), rel=1e-5, abs=1e-7), step
