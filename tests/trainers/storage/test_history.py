"""Who was best, when to stop, and that a checkpoint brings it all back."""

import dataclasses
import json
import math

import pytest

from trainers.settings.config import Config
from trainers.storage.history import History


def replay(
    values: list[float], figure: str = 'validation_top1', **settings
) -> tuple[History, list[bool]]:
    """A history of epochs with these figures, and which of them were best."""
    history, config = History(), Config(**settings)
    rows = [{'epoch': epoch, figure: value} for epoch, value in enumerate(values, 1)]
    return history, [history.add(row, config) for row in rows]


@pytest.mark.parametrize(
    'settings, figure, values, best',
    [
        ({}, 'validation_top1', [0.1, 0.3, 0.2, 0.4], [True, True, False, True]),
        (
            {'monitor': 'loss'},
            'validation_loss',
            [2.0, 1.0, 1.5, 0.5],
            [True, True, False, True],
        ),
        (
            {'ema': 0.9},
            'validation_averaged_top1',
            [0.1, 0.05, 0.2],
            [True, False, True],
        ),
        ({}, 'validation_top1', [0.0, 0.0], [True, False]),
    ],
)
def test_best(settings, figure, values, best):
    history, bests = replay(values, figure, **settings)
    assert bests == best
    assert history.best_epoch == len(best) - best[::-1].index(True)
    assert history.best_value == values[history.best_epoch - 1]


@pytest.mark.parametrize('monitor', ['top1', 'loss'])
def test_ties_keep_the_earlier(monitor):
    history, _ = replay([0.5, 0.5, 0.5], f'validation_{monitor}', monitor=monitor)
    assert (history.best_epoch, history.stale_epochs) == (1, 2)


@pytest.mark.parametrize(
    'patience, values, exhausted',
    [
        (2, [0.5, 0.4], False),
        (2, [0.5, 0.4, 0.5], True),
        (2, [0.5, 0.4, 0.6, 0.1], False),
        (1, [0.5, 0.4], True),
        (0, [0.5] * 50, False),
    ],
)
def test_early_stopping(patience, values, exhausted):
    history, _ = replay(values)
    assert history.exhausted(Config(early_stopping=patience)) is exhausted


@pytest.mark.parametrize(
    'patience, losses, drops',
    [
        (2, [1, 1, 1, 1, 1], [False, False, True, False, True]),
        (2, [3, 3, 2, 2, 2], [False, False, False, False, True]),
        (1, [1, 2, 0.5, 0.6], [False, True, False, True]),
        (0, [1] * 9, [False] * 9),
    ],
)
def test_plateau(patience, losses, drops):
    history, config = History(), Config(plateau_patience=patience)
    dropped = []
    for loss in losses:
        history.rows.append({'validation_loss': loss})
        dropped.append(history.plateaued(config))
    assert dropped == drops


def test_a_phase_has_its_own_patience_and_the_run_one_best():
    config = Config(early_stopping=2, plateau_patience=2)
    history, _ = replay([0.5, 0.4, 0.3])
    history.lowest_loss, history.plateau_epochs = 0.1, 1
    assert history.exhausted(config)
    history.begin_phase()
    assert (history.phase, history.phase_began) == (1, 3)
    assert not history.exhausted(config)
    row = {'epoch': 4, 'validation_top1': 0.45, 'validation_loss': 2.0}
    assert not history.add(row, config)
    assert (history.best_epoch, history.best_value) == (1, 0.5)
    assert not history.plateaued(config) and history.lowest_loss == 2.0


@pytest.mark.parametrize(
    'history',
    [
        History(),
        History(
            rows=[{'epoch': 1, 'train_loss': math.nan, 'validation_loss': 0.1 + 0.2}],
            best_epoch=1,
            best_value=math.inf,
            stale_epochs=2,
            lowest_loss=-math.inf,
            plateau_epochs=3,
            phase=1,
            phase_began=4,
            seconds=1 / 3,
            images=10**12,
            elapsed=5.0,
        ),
    ],
)
def test_survives_json(history):
    text = json.dumps(dataclasses.asdict(history))
    assert repr(History(**json.loads(text))) == repr(history)


@pytest.mark.parametrize('images, seconds, expected', [(0, 0.0, 0), (30, 1.5, 20)])
def test_images_per_second(images, seconds, expected):
    assert History(images=images, seconds=seconds).images_per_second == expected
