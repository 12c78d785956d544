"""What every format computes: the probabilities of images, as a TensorFlow graph."""

from typing import Any, TypeAlias

import tensorflow as tf

from vision.export.formats import Bundle

# A tf.function, which has no type that a checker knows.
Function: TypeAlias = Any
Named = dict[str, tf.Tensor]


def answer(bundle: Bundle, images: tf.Tensor) -> Named:
    """Calibrated probabilities and logits, each float32 `[B, classes]`.

    This is the one softmax of an export.

    Args:
        bundle: what is exported.
        images: `[B, S, S, 3]`, RGB in 0..255, of any numeric type.
    """
    logits = bundle.network(images).main
    return {
        'probabilities': tf.nn.softmax(logits / bundle.temperature),
        'logits': logits,
    }


def images_spec(bundle: Bundle, dtype: tf.DType) -> tf.TensorSpec:
    """The images that an export takes: any number of them, of one size."""
    side = bundle.specification.image_size
    return tf.TensorSpec([None, side, side, 3], dtype, name='images')


def answers(bundle: Bundle, dtype: tf.DType) -> Function:
    """`images -> {'probabilities', 'logits'}`."""

    def of_images(images: tf.Tensor) -> Named:
        return answer(bundle, images)

    return tf.function(of_images, [images_spec(bundle, dtype)], autograph=False)


def probabilities(bundle: Bundle, dtype: tf.DType = tf.float32) -> Function:
    """`images -> {'probabilities'}`, for formats that number outputs, not name them."""

    def of_images(images: tf.Tensor) -> Named:
        return {'probabilities': answer(bundle, images)['probabilities']}

    return tf.function(of_images, [images_spec(bundle, dtype)], autograph=False)
