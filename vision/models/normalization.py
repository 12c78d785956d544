"""From pixel values to the input of a network.

A normalization takes float32 RGB `[B, H, W, 3]` in 0..255 and returns float32 of the
same shape. It belongs to the model's specification and is part of the model, so that
training, evaluation and every export use the same one. The table is in registry.py.
"""

import tensorflow as tf

# Mean of ImageNet's training images as blue, green, red, in BVLC's GoogLeNet
# (train_val.prototxt, https://github.com/BVLC/caffe/tree/master/models/bvlc_googlenet).
CAFFE_MEAN_BGR = (104.0, 117.0, 123.0)


def raw(images: tf.Tensor) -> tf.Tensor:
    """Returns the values unchanged, 0 to 255."""
    return images


def unit(images: tf.Tensor) -> tf.Tensor:
    """Scales to [0, 1]."""
    return images / 255


def symmetric(images: tf.Tensor) -> tf.Tensor:
    """Scales to [-1, 1]."""
    return images / 127.5 - 1


def center(images: tf.Tensor) -> tf.Tensor:
    """Subtracts the mean of each image over pixels and channels; range ±255."""
    return images - tf.reduce_mean(images, [1, 2, 3], keepdims=True)


def standardize(images: tf.Tensor) -> tf.Tensor:
    """Scales each image to mean 0 and standard deviation 1 over pixels and channels.

    It divides by at least 1/√(number of values), so that a uniform image becomes 0.
    """
    return tf.image.per_image_standardization(images)


def caffe(images: tf.Tensor) -> tf.Tensor:
    """Blue, green, red minus their ImageNet means, as for BVLC's weights."""
    return images[..., ::-1] - tf.constant(CAFFE_MEAN_BGR)
