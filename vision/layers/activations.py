"""ReLUs whose gradient can be exchanged for that of guided backpropagation.

Springenberg et al., 2014: Striving for simplicity: the all convolutional net,
https://arxiv.org/abs/1412.6806, section 3.4.
"""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import tensorflow as tf

_guided: ContextVar[bool] = ContextVar('guided', default=False)


@contextlib.contextmanager
def guided_backpropagation() -> Iterator[None]:
    """Has the ReLUs that are computed meanwhile pass no negative gradients back.

    In a `tf.function` it is the time of tracing that counts: enter the context inside
    of a function that is traced for this alone.
    """
    token = _guided.set(True)
    try:
        yield
    finally:
        _guided.reset(token)


def relu(x: tf.Tensor) -> tf.Tensor:
    """`tf.nn.relu`, of any shape and floating-point type."""
    return _guided_relu(x) if _guided.get() else tf.nn.relu(x)


def relu6(x: tf.Tensor) -> tf.Tensor:
    """`tf.nn.relu6`, of any shape and floating-point type."""
    return _guided_relu6(x) if _guided.get() else tf.nn.relu6(x)


@tf.custom_gradient
def _guided_relu(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    return tf.nn.relu(x), lambda upstream: _passed(upstream, x > 0)


@tf.custom_gradient
def _guided_relu6(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    return tf.nn.relu6(x), lambda upstream: _passed(upstream, (x > 0) & (x < 6))


def _passed(upstream: tf.Tensor, active: tf.Tensor) -> tf.Tensor:
    """What goes back: where the unit is active and its gradient is positive."""
    return tf.where(active, tf.nn.relu(upstream), tf.zeros_like(upstream))
