"""Guided Grad-CAM: guided backpropagation in the regions that Grad-CAM highlights.

Selvaraju et al., 2017: https://arxiv.org/abs/1610.02391, section 3.2, and Springenberg
et al., 2014: https://arxiv.org/abs/1412.6806.
"""

import tensorflow as tf

from vision.explain.grad_cam import grad_cam
from vision.layers import activations
from vision.models import Network


def guided_grad_cam(
    network: Network, images: tf.Tensor, classes: tf.Tensor, endpoint: str | None = None
) -> tf.Tensor:
    """Enlarged Grad-CAM times guided backpropagation; float32 `[B, H, W]`, ≥ 0.

    The value of a pixel is the largest absolute gradient of its channels. Arguments and
    errors are those of `grad_cam`.
    """
    edges = tf.reduce_max(tf.abs(guided_backpropagation(network, images, classes)), -1)
    maps = grad_cam(network, images, classes, endpoint)
    return edges * tf.image.resize(maps[..., None], edges.shape[1:])[..., 0]


def guided_backpropagation(
    network: Network, images: tf.Tensor, classes: tf.Tensor
) -> tf.Tensor:
    """Gradients of logits by pixels; ReLUs propagate no negative gradients.

    Args:
        network, images, classes: as of `grad_cam`.

    Returns:
        float32 `[B, H, W, 3]`, change of the logit per step of a pixel value of 0..255.
    """
    return _traced(network, tf.cast(images, tf.float32), tf.cast(classes, tf.int32))


@tf.function(autograph=False, reduce_retracing=True)
def _traced(network: Network, images: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
    with (
        activations.guided_backpropagation(),
        tf.GradientTape(watch_accessed_variables=False) as tape,
    ):
        tape.watch(images)
        logits = tf.gather(network(images).main, classes, batch_dims=1)
        return tape.gradient(logits, images)
