"""ReLUs whose gradient can be replaced by that of guided backpropagation.

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
    return tf.nn.relu(_positively(x) if _guided.get() else x)


def relu6(x: tf.Tensor) -> tf.Tensor:
    """`tf.nn.relu6`, of any shape and floating-point type."""
    return tf.nn.relu6(_positively(x) if _guided.get() else x)


@tf.custom_gradient
def _positively(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """The identity, through which only positive gradients pass."""
    return tf.identity(x), tf.nn.relu
