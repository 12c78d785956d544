"""The stages of a network whose output can be explained."""

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
    shapes = {}

    def trace(images: tf.Tensor) -> None:
        first, *others = network.stages
        x = network.until(first, images)
        shapes[first] = tuple(x.shape[1:])
        for name in others:
            x = network.stages[name](x)
            shapes[name] = tuple(x.shape[1:])

    spec = tf.TensorSpec([1, side, side, 3], tf.uint8)
    tf.function(trace, autograph=False).get_concrete_function(spec)
    return shapes


def default_endpoint(network: Network, image_size: int | None = None) -> str:
    """The last stage whose output has more than one pixel, or the last of all.

    Args:
        network, image_size: as of `endpoint_shapes`.
    """
    shapes = endpoint_shapes(network, image_size)
    maps = [name for name, (height, width, _) in shapes.items() if height * width > 1]
    return maps[-1] if maps else list(shapes)[-1]
