"""Initial values of kernels, drawn from TensorFlow's global generator.

Call `tf.random.set_seed` before a model is made for reproducible values.
"""

import math
from collections.abc import Callable

import tensorflow as tf

Initializer = Callable[[tuple[int, ...]], tf.Tensor]


def glorot_uniform(shape: tuple[int, ...]) -> tf.Tensor:
    """Uniform in ±√(6 / (fan_in + fan_out)), float32, as in Caffe's GoogLeNet.

    Glorot and Bengio, 2010: Understanding the difficulty of training deep
    feedforward neural networks.
    """
    *area, channels_in, channels_out = shape
    limit = math.sqrt(6 / (math.prod(area) * (channels_in + channels_out)))
    return tf.random.uniform(shape, -limit, limit)


def he_normal(shape: tuple[int, ...]) -> tf.Tensor:
    """Normal with deviation √(2 / fan_in), float32, for kernels in front of a ReLU.

    He et al., 2015: Delving deep into rectifiers, https://arxiv.org/abs/1502.01852.
    """
    return tf.random.normal(shape, stddev=math.sqrt(2 / math.prod(shape[:-1])))


def centered_he_normal(shape: tuple[int, ...]) -> tf.Tensor:
    """`he_normal` with the mean over each unit's inputs subtracted.

    The output of a ReLU is positive, so a kernel with a mean other than 0 adds the same
    offset to all images, and after twenty layers their features hardly differ. With
    centered kernels a network without batch norm starts to learn much sooner. Huang et
    al., 2017: Centered weight normalization in accelerating training of deep neural
    networks.
    """
    kernel = he_normal(shape)
    return kernel - tf.reduce_mean(kernel, range(len(shape) - 1), keepdims=True)
