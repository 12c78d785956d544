"""What a phase and an evaluation change of the state of a training."""

import pytest
import tensorflow as tf

from trainers.step.state import TrainingState


class Model(tf.Module):
    heads = {'aux': None}

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable([1.0, 2.0])


@pytest.mark.parametrize('ema', [0.0, 0.9])
def test_a_phase_begins_anew(ema):
    state = TrainingState(Model(), ema)  # type: ignore[arg-type]
    state.step.assign(7)
    state.plateau.assign(0.25)
    if state.average is not None:
        state.average.averages[0].assign([5.0, 6.0])
    state.begin_phase()
    assert (state.steps_taken, int(state.phase_start), float(state.plateau)) == (
        7,
        7,
        1,
    )
    assert state.model.weight.numpy().tolist() == [1, 2]
    if state.average is not None:
        assert state.average.averages[0].numpy().tolist() == [1, 2]


def test_averaged_weights_are_there_while_the_context_lasts():
    state = TrainingState(Model(), 0.9)  # type: ignore[arg-type]
    assert state.average is not None
    average = state.average.averages[0]
    average.assign([5.0, 6.0])
    with state.averaged_weights():
        assert state.model.weight.numpy().tolist() == [5, 6]
        assert state.evaluated() == {'model': state.model, 'averages': [average]}
    assert state.model.weight.numpy().tolist() == [1, 2]
    plain = TrainingState(Model())  # type: ignore[arg-type]
    with plain.averaged_weights():
        assert plain.model.weight.numpy().tolist() == [1, 2]
    assert plain.evaluated() == {'model': plain.model}
