"""The numbers of parameters and of operations of a model."""

from collections.abc import Iterable

import tensorflow as tf

from vision.layers.normalization import CHANNEL_SUM_SCOPE


def count_parameters(module: tf.Module) -> int:
    """The number of parameters of a module, those of frozen parts included."""
    return count_numbers(v for v in module.variables if v.trainable)


def count_numbers(variables: Iterable[tf.Variable]) -> int:
    """The number of values in variables."""
    return sum(variable.shape.num_elements() for variable in variables)


def count_macs(model: tf.Module, image_size: int) -> int:
    """Multiply-accumulate operations of the forward pass of an image.

    Auxiliary heads are not counted.
    """
    forward = tf.function(lambda images: model(images).main, autograph=False)
    spec = tf.TensorSpec([1, image_size, image_size, 3], tf.uint8)
    return count_graph_macs(forward.get_concrete_function(spec).graph)


def count_graph_macs(graph: tf.Graph) -> int:
    """Multiply-accumulate operations of a graph's convolutions and matrix products.

    The sums in local response norms are not counted, since other implementations
    compute them without products.

    Args:
        graph: of a concrete function. Operations whose results are not used are not
            counted: TensorFlow traces the gradients of a convolution by both of its
            inputs and does not execute the one that is not used.
    """
    return sum(_macs(op) for op in _needed(graph) if CHANNEL_SUM_SCOPE not in op.name)


def _needed(graph: tf.Graph) -> set[tf.Operation]:
    """The operations that the outputs or changes of variables depend on."""
    waiting = [tensor.op for tensor in graph.outputs] + list(graph.control_outputs)
    needed: set[tf.Operation] = set()
    while waiting:
        op = waiting.pop()
        if op not in needed:
            needed.add(op)
            waiting += [tensor.op for tensor in op.inputs] + list(op.control_inputs)
    return needed


def _macs(op: tf.Operation) -> int:
    """Elements of the result times the terms in the sum of each element.

    The gradients of a convolution multiply the same pairs of numbers as the
    convolution, so they are counted by its kernel and its output.
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
