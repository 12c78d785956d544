"""How much arithmetic a training step does."""

import tensorflow as tf

from trainers.trainer import Trainer
from vision.data import Batch


def gflop_per_step(trainer: Trainer, batch: Batch) -> float:
    """Floating-point operations of one training step / 10⁹, two for each MAC.

    Counted in the traced graph of the step: all convolutions and matrix products,
    forward and backward, auxiliary heads included. That is three times the forward
    pass without the first convolution's gradient by the pictures, which nobody needs.
    Positions where a kernel hangs over the edge count like others. The sums inside
    local response norms are left out, since any implementation may choose its own.
    """
    graph = trainer.train_step.get_concrete_function(batch).graph
    return 2 * count_macs(graph) / 1e9


def count_macs(graph: tf.Graph) -> int:
    """Multiplications with accumulation of a function's convolutions and products.

    Args:
        graph: of a concrete function. What nothing depends on is not counted, since
            it is not carried out either: TensorFlow traces the gradients of a
            convolution by both of its inputs, whether they are asked for or not.
    """
    return sum(_macs(op) for op in _needed(graph) if 'neighbours' not in op.name)


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
    summed = kernel.shape[:3 if op.type.startswith('Conv2D') else 2]
    return output.shape.num_elements() * summed.num_elements()
