"""The return value of a model."""

from typing import NamedTuple

import tensorflow as tf


class Outputs(NamedTuple):
    """Logits of a model's heads, each float32 `[B, classes]`.

    Attributes:
        main: logits of the classifier at the end.
        aux: logits of the auxiliary heads, the shallowest first; empty outside
            training.
    """

    main: tf.Tensor
    aux: tuple[tf.Tensor, ...] = ()
