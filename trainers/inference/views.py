"""Views of images for test-time augmentation.

Each function takes uint8 images `[B, S, S, 3]` and returns a list of such batches.
"""

import tensorflow as tf

from vision.data.decoding.decode import resize


def unchanged(images: tf.Tensor) -> list[tf.Tensor]:
    """The images."""
    return [images]


def flipped(images: tf.Tensor) -> list[tf.Tensor]:
    """The images and their mirror images."""
    return [images, images[:, :, ::-1]]


def cropped(images: tf.Tensor) -> list[tf.Tensor]:
    """The images, crops of 7/8 of the side at the corners and centre, and mirrors."""
    side = images.shape[1]
    crop = max(side * 7 // 8, 1)
    end = side - crop
    corners = [(0, 0), (0, end), (end, 0), (end, end), (end // 2, end // 2)]
    crops = [
        resize(images[:, top : top + crop, left : left + crop], side)
        for top, left in corners
    ]
    return [view for batch in (images, *crops) for view in flipped(batch)]
