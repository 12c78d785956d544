"""Dropout by a seed, without a random state."""

import tensorflow as tf

from vision.layers.modes import Estimation, Mode


class Dropout(tf.Module):
    """Sets a share of its input to 0 in training and scales the rest to keep the mean.

    The mask depends on `seed` and `salt` only, so a resumed run draws the same masks as
    an uninterrupted one. (XLA has another generator: compiled steps draw other masks.)
    Srivastava et al., 2014: Dropout: a simple way to prevent neural networks from
    overfitting.

    Args:
        rate: share of the values that become 0, in [0, 1).
        salt: a number that no other dropout of the model has, for different masks.

    Raises:
        ValueError: the rate is outside [0, 1); or, when called in training, the seed
            is missing.
    """

    def __init__(self, rate: float, salt: int = 0, name: str | None = None):
        super().__init__(name=name)
        if not 0 <= rate < 1:
            raise ValueError(f'Expected a dropout rate in [0, 1), received {rate}.')
        self.rate = rate
        self.salt = salt

    def __call__(
        self, x: tf.Tensor, training: Mode = False, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Returns `x` with values dropped; `seed` is an integer tensor of shape [2]."""
        if not training or isinstance(training, Estimation) or self.rate == 0:
            return x
        if seed is None:
            raise ValueError(
                'Expected a seed of shape [2] for dropout in training, received none. '
                'Call model(images, training, seed).'
            )
        seed = tf.random.experimental.stateless_fold_in(seed, self.salt)
        return tf.nn.experimental.stateless_dropout(x, self.rate, seed)
