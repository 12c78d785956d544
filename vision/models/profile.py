"""How large a model is and how much work it does."""

from collections.abc import Iterable

import tensorflow as tf

from vision.layers.normalization import CHANNEL_SUM_SCOPE


def count_parameters(module: tf.Module) -> int:
    """Trainable numbers in a module, those of frozen parts included."""
    return count_numbers(v for v in module.variables if v.trainable)


def count_numbers(variables: Iterable[tf.Variable]) -> int:
    """Numbers in variables."""
    return sum(variable.shape.num_elements() for variable in variables)


def count_macs(model: tf.Module, image_size: int) -> int:
    """Multiplications with accumulation in one image's forward pass, without heads.

    Counted in the traced graph, by `count_graph_macs`.
    """
    spec = tf.TensorSpec([1, image_size, image_size, 3], tf.uint8)
    forward = tf.function(lambda images: model(images).main)
    return count_graph_macs(forward.get_concrete_function(spec).graph)


def count_graph_macs(graph: tf.Graph) -> int:
    """Multiplications with accumulation of a function's convolutions and products.

    The sums inside local response norms are left out, since any implementation may
    choose its own.

    Args:
        graph: of a concrete function. What nothing depends on is not counted, since
            it is not carried out either: TensorFlow traces the gradients of a
            convolution by both of its inputs, whether they are asked for or not.
    """
    return sum(_macs(op) for op in _needed(graph) if CHANNEL_SUM_SCOPE not in op.name)


def _needed(graph: tf.Graph) -> set[tf.Operation]:
    """The operations that results or changes of variables depend on."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed: set[tf.Operation] = set()
    while waiting:
        op = waiting.pop()
        if op not in needed:
            needed.add(op)
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return needed


def _macs(op: tf.Operation) -> int:
    """Elements of the result times the terms that each one sums up.

    The gradients of a convolution pair up the same numbers as the convolution itself,
    so they are counted by its kernel and its output.
    """
    if op.type == 'MatMul':
        terms = op.inputs[0].shape[0 if op.get_attr('transpose_a') else 1]
        return op.outputs[0].shape.num_elements() * terms
    if not op.type.startswith(('Conv2D', 'DepthwiseConv2dNative')):
        return 0
    kernel = op.outputs[0] if op.type.endswith('BackpropFilter') else op.inputs[1]
    output = op.inputs[2] if 'Backprop' in op.type else op.outputs[0]
    # [height, width, in, out]; a depthwise one does not sum over channels.
    summed = kernel.shape[: 3 if op.type.startswith('Conv2D') else 2]
    return output.shape.num_elements() * summed.num_elements()
