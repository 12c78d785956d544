"""The floating-point operations of a training step."""

from trainers.step.trainer import TrainingPhase
from vision.data import Batch
from vision.models.profile import count_graph_macs


def gflop_per_step(phase: TrainingPhase, batch: Batch) -> float:
    """Floating-point operations of one training step / 10⁹, two for each MAC.

    Counted in the traced graph of the step: all convolutions and matrix products,
    forward and backward, auxiliary heads included. That is three times the forward
    pass without the first convolution's gradient by the images, which is not computed.
    Padded positions count like others. The sums inside local response norms are left
    out, since implementations differ in them.
    """
    graph = phase.train_step.get_concrete_function(batch).graph
    return 2 * count_graph_macs(graph) / 1e9
