"""What in an image speaks for a class: `METHODS[name](network, images, classes)`.

Every method takes images `[B, H, W, 3]` in 0..255, int32 `[B]` classes, and the name
of a stage of the network, and returns float32 maps: what is larger speaks more for the
class. `occlusion_check` tells whether a map means anything.
"""

from collections.abc import Callable

import tensorflow as tf

from vision.explain.endpoints import default_endpoint, endpoint_shapes
from vision.explain.grad_cam import grad_cam, grad_cam_plus_plus
from vision.explain.guided import guided_backpropagation, guided_grad_cam
from vision.explain.integrated_gradients import BASELINES, integrated_gradients
from vision.explain.occlusion import (
    OcclusionCheck,
    delete,
    highlighted,
    occlusion_check,
)

METHODS: dict[str, Callable[..., tf.Tensor]] = {
    'grad_cam': grad_cam,
    'grad_cam_plus_plus': grad_cam_plus_plus,
    'guided': guided_grad_cam,
    'integrated_gradients': integrated_gradients,
}

__all__ = [
    'BASELINES',
    'METHODS',
    'OcclusionCheck',
    'default_endpoint',
    'delete',
    'endpoint_shapes',
    'grad_cam',
    'grad_cam_plus_plus',
    'guided_backpropagation',
    'guided_grad_cam',
    'highlighted',
    'integrated_gradients',
    'occlusion_check',
]
