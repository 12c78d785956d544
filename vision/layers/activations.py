"""ReLUs whose gradient can be replaced by that of guided backpropagation.

Springenberg et al., 2014: Striving for simplicity: the all convolutional net,
https://arxiv.org/abs/1412.6806, section 3.4.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import tensorflow as tf

_guided: ContextVar[bool] = ContextVar('guided', default=False)


@contextlib.contextmanager
def guided_backpropagation() -> Iterator[None]:
    """The ReLUs computed in this context propagate no negative gradients.

    The context has to be active when a `tf.function` is traced: enter it inside of a
    function that is traced only for this.
    """
    token = _guided.set(True)
    try:
        yield
    finally:
        _guided.reset(token)


def relu(x: tf.Tensor) -> tf.Tensor:
    """`tf.nn.relu`, of any shape and floating-point type."""
    return _guided_relu(x, tf.nn.relu, math.inf) if _guided.get() else tf.nn.relu(x)


def relu6(x: tf.Tensor) -> tf.Tensor:
    """`tf.nn.relu6`, of any shape and floating-point type."""
    return _guided_relu(x, tf.nn.relu6, 6) if _guided.get() else tf.nn.relu6(x)


def _guided_relu(
    x: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor], limit: float
) -> tf.Tensor:
    """A function that is the identity in (0, limit) and constant elsewhere."""

    @tf.custom_gradient
    def guided(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        active = (x > 0) & (x < limit)
        return function(x), lambda upstream: tf.where(
            active, tf.nn.relu(upstream), tf.zeros_like(upstream)
        )

    return guided(x)
