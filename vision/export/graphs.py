"""What every format computes: the probabilities of images, as a TensorFlow graph."""

from typing import Any, TypeAlias

import tensorflow as tf

from vision.export.formats import Bundle

# A tf.function, which has no type that a checker knows.
Function: TypeAlias = Any
Named = dict[str, tf.Tensor]


def predict(bundle: Bundle, images: tf.Tensor) -> Named:
    """Calibrated probabilities and logits, each float32 `[B, classes]`.

    This is the only softmax of an export.

    Args:
        bundle: what is exported.
        images: `[B, S, S, 3]`, RGB in 0..255, of any numeric type.
    """
    logits = bundle.network(images).main
    return {
        'probabilities': tf.nn.softmax(logits / bundle.temperature),
        'logits': logits,
    }


def signature(bundle: Bundle, dtype: tf.DType, logits: bool = True) -> Function:
    """`images -> {'probabilities', 'logits'}`, for any number of images of one size.

    Args:
        bundle: what is exported.
        dtype: of the images.
        logits: False for the probabilities alone, for formats that number outputs.
    """

    def of_images(images: tf.Tensor) -> Named:
        named = predict(bundle, images)
        return named if logits else {'probabilities': named['probabilities']}

    side = bundle.specification.image_size
    spec = tf.TensorSpec([None, side, side, 3], dtype, name='images')
    return tf.function(of_images, [spec], autograph=False)
