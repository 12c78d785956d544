"""A moving average of the weights, which is evaluated in addition to the weights."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf


class MovingAverage(tf.Module):
    """Exponential moving average of variables (Polyak and Juditsky, 1992).

    Early on the decay is (1 + updates) / (10 + updates), so that the
    random initial weights soon have no influence.

    Args:
        variables: weights and the moving statistics of batch norms.
        decay: share of the old average that an update keeps, in [0, 1).
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        decay: float,
        name: str = 'moving_average',
    ):
        super().__init__(name=name)
        self.variables_averaged = tuple(variables)
        self.decay = decay
        self.averages = [
            tf.Variable(variable, trainable=False, name='average')
            for variable in variables
        ]

    def update(self, step: tf.Tensor, changed: Sequence[tf.Variable]) -> None:
        """Updates the averages of `changed` after `step` earlier updates."""
        step = tf.cast(step, tf.float32)
        share = 1 - tf.minimum(self.decay, (1 + step) / (10 + step))
        references = {variable.ref() for variable in changed}
        for average, variable in zip(self.averages, self.variables_averaged):
            if variable.ref() in references:
                average.assign_sub(share * (average - variable))

    def reset(self) -> None:
        """Sets the averages to the variables."""
        for average, variable in zip(self.averages, self.variables_averaged):
            average.assign(variable)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Exchanges variables and averages while the context lasts, bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for average, variable in zip(self.averages, self.variables_averaged):
            value = variable.numpy()
            variable.assign(average)
            average.assign(value)
