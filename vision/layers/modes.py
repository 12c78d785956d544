"""In which mode a block is called."""

from typing import NamedTuple, TypeAlias

import tensorflow as tf


class Estimation(NamedTuple):
    """Inference in which batch norms estimate the statistics of all images.

    A batch norm that is not frozen normalizes the batch by its own statistics and takes
    them into its moving averages. "Precise batch norm", Wu and Johnson, 2021:
    Rethinking "batch" in batchnorm, https://arxiv.org/abs/2105.07576, section 3.

    Attributes:
        share: float32 scalar, the weight of this batch in the averages. With 1, 1/2,
            1/3, ... in turn, batches of one size leave the mean and the variance of all
            their images.
    """

    share: tf.Tensor


# True in training and False in inference.
Mode: TypeAlias = bool | Estimation
