"""The moving average by hand, and the exchange of weights bit for bit."""

import numpy as np
import pytest
import tensorflow as tf

from trainers.step.averaging import MovingAverage

# -0, subnormal and NaN: what arithmetic would not bring back as it was.
ODD = np.array([1.5, -0.0, 1e-45, np.nan, np.inf], np.float32)


@pytest.mark.parametrize('decay', [0.0, 0.5, 0.999])
def test_formula(decay):
    variable = tf.Variable(8.0)
    average = MovingAverage([variable], decay)
    update = tf.function(lambda step: average.update(step, [variable]))
    expected = 8.0
    for step in (0, 1, 2, 50, 10_000):
        variable.assign(float(step))
        update(tf.constant(step, tf.int64))
        kept = min(decay, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * step
        assert float(average.averages[0]) == pytest.approx(expected, rel=1e-4)


def test_averages_are_copies_that_nobody_trains():
    variable = tf.Variable([1.0])
    average = MovingAverage([variable], 0.9)
    variable.assign([2.0])
    assert average.averages[0].numpy() == [1.0]
    assert average.averages[0] not in average.trainable_variables


def test_what_does_not_change_costs_nothing():
    variables = [tf.Variable([1.0]), tf.Variable([1.0])]
    average = MovingAverage(variables, 0.5)
    for variable in variables:
        variable.assign([3.0])
    average.update(tf.constant(100), variables[1:])
    assert [variable.numpy() for variable in average.averages] == [1.0, 2.0]


def test_begins_again():
    variable = tf.Variable([1.0])
    average = MovingAverage([variable], 0.5)
    variable.assign([3.0])
    average.reset()
    assert average.averages[0].numpy() == [3.0]


def bits(variable: tf.Variable) -> bytes:
    return variable.numpy().tobytes()


def test_exchange_is_exact():
    variable = tf.Variable(ODD)
    average = MovingAverage([variable], 0.9)
    variable.assign(ODD[::-1])
    before = bits(variable), bits(average.averages[0])
    with average.swapped_in():
        assert (bits(average.averages[0]), bits(variable)) == before
    assert (bits(variable), bits(average.averages[0])) == before


def test_exchange_is_undone_after_an_error():
    variable = tf.Variable(ODD)
    average = MovingAverage([variable], 0.9)
    variable.assign(ODD[::-1])
    before = bits(variable), bits(average.averages[0])
    with pytest.raises(KeyboardInterrupt):
        with average.swapped_in():
            raise KeyboardInterrupt
    assert (bits(variable), bits(average.averages[0])) == before
