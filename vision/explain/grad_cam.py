"""Class activation maps: channels weighted by their influence on the logit of a class.

Selvaraju et al., 2017: Grad-CAM: visual explanations from deep networks via
gradient-based localization, https://arxiv.org/abs/1610.02391.
Chattopadhay et al., 2018: Grad-CAM++: improved visual explanations for deep
convolutional networks, https://arxiv.org/abs/1710.11063.
"""

import tensorflow as tf

from vision.explain.endpoints import default_endpoint
from vision.models import Network


def grad_cam(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str | None = None
) -> tf.Tensor:
    """Weights each channel by the mean of its gradient; float32 `[B, h, w]`, ≥ 0.

    All zeros if nothing in the map increases the logit.

    Args:
        network: the trained network.
        images: `[B, H, W, 3]` RGB in 0..255, uint8 or floating point.
        classes: int32 `[B]`, the class of the logit to explain for each image.
        endpoint: the stage whose output is weighted; by default `default_endpoint`.

    Raises:
        ValueError: there is no such stage.
    """
    x, gradients = _map_and_gradients(network, images, classes, endpoint)
    return _weighted(x, tf.reduce_mean(gradients, [1, 2], keepdims=True))


def grad_cam_plus_plus(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str | None = None
) -> tf.Tensor:
    """Grad-CAM by positive gradients only, which finds several objects better.

    By the gradients of the exponential of the logit (equation 19), each pixel has the
    weight 1 / (2 + gradient · sum of the channel). Arguments, result and errors are
    those of `grad_cam`.
    """
    x, gradients = _map_and_gradients(network, images, classes, endpoint)
    positive = tf.nn.relu(gradients)
    # The paper's maps are outputs of ReLUs. The sum of others can be negative, and so
    # can the denominator.
    total = tf.nn.relu(tf.reduce_sum(x, [1, 2], keepdims=True))
    return _weighted(
        x, tf.reduce_sum(positive / (2 + positive * total), [1, 2], keepdims=True)
    )


def _weighted(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(tf.reduce_sum(weights * x, -1))


def _map_and_gradients(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output of a stage and the gradient of the logits by it, both float32."""
    images, classes = tf.convert_to_tensor(images), tf.cast(classes, tf.int32)
    endpoint = endpoint or default_endpoint(network, images.shape[1])
    return _traced(network, images, classes, endpoint)


@tf.function(autograph=False, reduce_retracing=True)
def _traced(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str
) -> tuple[tf.Tensor, tf.Tensor]:
    x = network.until(endpoint, images)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        logits = tf.gather(network.after(endpoint, x).main, classes, batch_dims=1)
    gradients = tape.gradient(logits, x)
    return tf.cast(x, tf.float32), tf.cast(gradients, tf.float32)
