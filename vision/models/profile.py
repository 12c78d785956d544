"""How large a model is and how much work it does."""

import math

import tensorflow as tf


def count_parameters(module: tf.Module) -> int:
    """Trainable numbers in a module."""
    return sum(v.shape.num_elements() for v in module.trainable_variables)


def count_macs(model: tf.Module, image_size: int) -> int:
    """Multiplications with accumulation in one picture's forward pass, without heads.

    Counted in the traced graph: convolutions and matrix products. The sums inside
    local response norms are left out, since any implementation may choose its own.
    """
    pictures = tf.TensorSpec([1, image_size, image_size, 3], tf.uint8)
    graph = tf.function(lambda images: model(images).main).get_concrete_function(
        pictures).graph
    operations = graph.get_operations()
    return sum(_macs(op) for op in operations if 'neighbours' not in op.name)


def _macs(op: tf.Operation) -> int:
    if op.type not in ('Conv2D', 'MatMul'):
        return 0
    kernel = op.inputs[1].shape.as_list()  # [..., in, out]
    positions = math.prod(op.outputs[0].shape.as_list()[:-1])
    return positions * math.prod(kernel)
