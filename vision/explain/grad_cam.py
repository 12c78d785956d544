"""Class activation maps: channels weighted by their influence on the logit of a class.

Selvaraju et al., 2017: Grad-CAM: visual explanations from deep networks via
gradient-based localization, https://arxiv.org/abs/1610.02391.
Chattopadhay et al., 2018: Grad-CAM++: improved visual explanations for deep
convolutional networks, https://arxiv.org/abs/1710.11063.
Guided Grad-CAM is section 3.2 of the first, with the guided backpropagation of
Springenberg et al., 2014: https://arxiv.org/abs/1412.6806.
"""

import tensorflow as tf

from vision.explain.endpoints import class_gradients, default_endpoint
from vision.layers import activations
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


def guided_grad_cam(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str | None = None
) -> tf.Tensor:
    """Enlarged Grad-CAM times guided backpropagation; float32 `[B, H, W]`, ≥ 0.

    The value of a pixel is the largest absolute gradient of its channels. Arguments and
    errors are those of `grad_cam`.
    """
    gradients = _guided_gradients(
        network, tf.cast(images, tf.float32), tf.cast(classes, tf.int32)
    )
    edges = tf.reduce_max(tf.abs(gradients), -1)
    maps = grad_cam(network, images, classes, endpoint)
    return edges * tf.image.resize(maps[..., None], edges.shape[1:])[..., 0]


@tf.function(autograph=False, reduce_retracing=True)
def _guided_gradients(
    network: Network, images: tf.Tensor, classes: tf.Tensor
) -> tf.Tensor:
    """Gradients of logits by pixels; ReLUs propagate no negative gradients.

    float32 images to float32 `[B, H, W, 3]`, the change of the logit per step of a
    pixel value of 0..255.
    """
    with activations.guided_backpropagation():
        return class_gradients(network, images, classes)


def _weighted(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(tf.reduce_sum(weights * x, -1))


def _map_and_gradients(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str | None
) -> tuple[tf.Tensor, tf.Tensor]:
    """The output of a stage and the gradient of the logits by it, both float32."""
    images, classes = tf.convert_to_tensor(images), tf.cast(classes, tf.int32)
    return _traced(
        network,
        images,
        classes,
        endpoint or default_endpoint(network, images.shape[1]),
    )


@tf.function(autograph=False, reduce_retracing=True)
def _traced(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str
) -> tuple[tf.Tensor, tf.Tensor]:
    x = network.until(endpoint, images)
    return (
        tf.cast(x, tf.float32),
        tf.cast(class_gradients(network, x, classes, endpoint), tf.float32),
    )
