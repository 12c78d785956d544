"""What the settings mean for each phase."""

from trainers.settings.config import Config
from trainers.settings.parsing import Freeze


def test_one_phase_unless_told_otherwise():
    config = Config(epochs=7, freeze=('bn',))
    (only,) = config.phases()
    assert (only, only.features) == (config, 'live')
    assert only.freeze == Freeze(batch_norms=True)
    assert only.epochs == 7


def test_the_second_phase_has_its_own_length_rate_and_freedom():
    config = Config(
        epochs=7,
        learning_rate=0.1,
        freeze=('backbone',),
        features='cached',
        finetune_epochs=3,
        finetune_learning_rate=0.01,
        finetune_freeze=('last:2', 'bn'),
    )
    first, second = config.phases()
    assert (first.epochs, first.learning_rate) == (7, 0.1)
    assert (first.freeze, first.features) == (Freeze(0), 'cached')
    assert (second.epochs, second.learning_rate) == (3, 0.01)
    # Features of a backbone that changes cannot be kept.
    assert (second.freeze, second.features) == (Freeze(2, True), 'live')
    assert first.epochs + second.epochs == 10
