"""The stages of a network whose output can be explained, and gradients by it."""

import tensorflow as tf

from vision.models import Network


def endpoint_shapes(
    network: Network, image_size: int | None = None
) -> dict[str, tuple[int, int, int]]:
    """Height, width and channels of the output of each stage.

    Args:
        network: is traced only.
        image_size: side in pixels of the images; by default that of the network.
    """
    side = image_size or network.image_size
    shapes: dict[str, tuple[int, int, int]] = {}

    def trace(images: tf.Tensor) -> None:
        first, *others = network.stages
        x = network.until(first, images)
        shapes[first] = tuple(x.shape[1:])
        for name in others:
            x = network.stages[name](x)
            shapes[name] = tuple(x.shape[1:])

    tf.function(trace, autograph=False).get_concrete_function(
        tf.TensorSpec([1, side, side, 3], tf.uint8)
    )
    return shapes


def default_endpoint(network: Network, image_size: int | None = None) -> str:
    """The last stage whose output has more than one pixel, or the last of all.

    Args:
        network, image_size: as of `endpoint_shapes`.
    """
    shapes = endpoint_shapes(network, image_size)
    maps = [name for name, (height, width, _) in shapes.items() if height * width > 1]
    return maps[-1] if maps else list(shapes)[-1]


def class_gradients(
    network: Network, x: tf.Tensor, classes: tf.Tensor, endpoint: str | None = None
) -> tf.Tensor:
    """Gradients of the logits of the classes by `x`, of its shape and type.

    Args:
        network: the trained network.
        x: the output of the stage, or images.
        classes: int32 `[B]`.
        endpoint: name of the stage; None: `x` are images.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        outputs = network(x) if endpoint is None else network.after(endpoint, x)
        logits = tf.gather(outputs.main, classes, batch_dims=1)
    return tape.gradient(logits, x)
