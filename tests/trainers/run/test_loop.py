"""The loop's decisions, on a trainer whose losses are given and a clock that is set."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from trainers.run import checkpointer as checkpointer_module
from trainers.run import loop as loop_module
from trainers.run.checkpointer import Checkpointer
from trainers.run.loop import DivergedError, Loop
from trainers.run.signals import Stopped, StopRequest
from trainers.settings.config import Config
from trainers.step.state import TrainingState
from trainers.step.trainer import Trainer
from trainers.storage.checkpoints import read_variables
from trainers.storage.history import History
from trainers.storage.run_directory import RunDirectory
from vision.data import SPLITS, ArraySplit, BadFiles, Batch, DatasetError, Source
from vision.errors import UserError
from vision.models.specification import Specification

CLASSES = tuple('abcdefghij')
IMAGE = np.zeros([1, 8, 8, 3], np.uint8)
SPLIT_OF = {name: ArraySplit(np.zeros(1, np.int32), [name], IMAGE) for name in SPLITS}
SOURCE = Source('scripted', CLASSES, SPLIT_OF, 8, True)
BATCH = Batch(
    np.arange(4 * 4 * 3, dtype=np.uint8).reshape(1, 4, 4, 3),
    np.array([1], np.int32),
    np.ones(1, np.float32),
)


class Clock:
    """Stands still unless it is set."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> Clock:
    clock = Clock()
    for module in (loop_module, checkpointer_module):
        monkeypatch.setattr(module, 'time', clock)
    return clock


class Model(tf.Module):
    """One weight, which counts the steps that it was trained in."""

    classes = len(CLASSES)
    heads: dict = {}

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(0.0)


class Optimizer(tf.Module):
    def __init__(self):
        super().__init__()
        self.learning_rate = tf.Variable(0.0, trainable=False)


class Phase:
    """A phase in which validation losses are given, and top-1 tells the weight."""

    def __init__(self, config: Config, state: TrainingState, script: 'Script'):
        self.config, self.state, self.script = config, state, script
        self.optimizer = Optimizer()
        self.weights = (state.model.weight,)
        self.calls: list[int] = []
        self.estimated: list[list] = []

    def train_steps(self, batches: Iterator[int], count: int) -> None:
        state = self.state
        self.calls.append(count)
        self.optimizer.learning_rate.assign(
            self.config.learning_rate * float(state.plateau)
        )
        for _ in range(count):
            assert next(batches) == state.steps_taken
            self.script.take_step()
            state.step.assign_add(1)
            state.model.weight.assign_add(1.0)
            if state.average is not None:
                state.average.averages[0].assign(state.model.weight + 0.5)
            values = dict.fromkeys(state.losses.names, 1.0)
            values['gradient_norm'] = self.script.gradient_norm(state.steps_taken)
            values['loss'] = self.script.loss(state.steps_taken)
            state.losses.add(values | {'main_loss': state.steps_taken})
            values = dict.fromkeys(state.accuracies.names, state.steps_taken / 100)
            state.accuracies.add(values | {'weight': 1.0})

    def evaluate(self, batches) -> dict[str, float]:
        list(batches)
        weight, epoch = float(self.state.model.weight), self.script.epoch(self.state)
        losses = self.script.averaged if weight % 1 else self.script.losses
        loss = losses[epoch - 1] if epoch else self.script.first_loss
        return {'loss': loss, 'top1': weight / 1000, 'top5': 1.0}

    def trains_batch_norms(self) -> bool:
        return 'bn' not in self.config.to_dict()['freeze']

    def estimate_batch_norms(self, batches) -> None:
        self.estimated.append(list(batches))

    def predict(self, images: np.ndarray) -> np.ndarray:
        return np.zeros(len(images), np.int32)


class Script:
    """What happens in a run, and how long a step takes."""

    def __init__(
        self,
        clock: Clock,
        losses: Sequence[float],
        averaged: Sequence[float] = (),
        steps: int = 2,
        seconds: float = 0.0,
        first_loss: float = math.log(10),
        bad_step: int = -1,
        bad_loss: int = -1,
    ):
        self.clock, self.losses, self.averaged = clock, losses, averaged
        self.steps, self.seconds = steps, seconds
        self.first_loss, self.bad_step, self.bad_loss = first_loss, bad_step, bad_loss

    def take_step(self) -> None:
        self.clock.now += self.seconds

    def gradient_norm(self, step: int) -> float:
        return math.nan if step == self.bad_step else 2.0

    def loss(self, step: int) -> float:
        return math.nan if step == self.bad_loss else 1.0

    def epoch(self, state: TrainingState) -> int:
        return state.steps_taken // self.steps


class ScriptedTrainer:
    checkpointed = Trainer.checkpointed

    def __init__(self, config: Config, script: Script):
        self.state = TrainingState(Model(), config.ema)
        self.phases = tuple(
            Phase(phase, self.state, script) for phase in config.phases()
        )


class NumberedBatches:
    """Batches that are numbers; `asked` has what was asked for."""

    shown = BATCH
    for_statistics = ('statistics',)

    def __init__(self, config: Config, steps: int):
        self._config, self.steps_per_epoch = config, steps
        self.asked: list[tuple[int, int, int]] = []

    def image_size(self, epoch: int) -> int:
        begun = [s for start, s in self._config.image_size_schedule if start <= epoch]
        return begun[-1] if begun else 8

    def first(self) -> Batch:
        return BATCH

    def train(self, phase: Config, start: int, end: int, size: int) -> Sequence:
        self.asked.append((start, end, size))
        return range(start, end) if size else [BATCH]

    def evaluation(self, phase: Config, split: str) -> Sequence:
        return [split, split]


class Events:
    """A reporter that lists what it is told."""

    def __init__(self, clock: Clock, act: Callable[[int, str], None]):
        self.names: list[str] = []
        self.arguments: dict[str, list] = {}
        self.drawn = -math.inf
        self._clock, self._act = clock, act

    def __getattr__(self, name: str) -> Callable[..., None]:
        def report(*arguments: Any) -> None:
            self.names.append(name)
            self.arguments.setdefault(name, []).append(arguments)
            if name == 'draw':
                self.drawn = self._clock.now
            if name != 'close':
                self._act(len(self.names), name)

        return report


@pytest.fixture
def make_run(tmp_path, clock):
    """Called with validation losses and settings; runs once and returns the loop.

    The results are in its attribute `results`, or the error in `error`.
    """

    def run(
        losses: Sequence[float],
        folder: str = 'run',
        act: Callable[[int, str], None] = lambda count, name: None,
        script: dict[str, Any] | None = None,
        stop: StopRequest | None = None,
        bad_files: BadFiles | None = None,
        **settings: Any,
    ) -> Any:
        given = {'epochs': len(losses), 'monitor': 'loss', 'batch_size': 4}
        config = Config(**{**given, 'learning_rate': 0.5, **settings})
        scripted = Script(clock, losses, **(script or {}))
        trainer: Any = ScriptedTrainer(config, scripted)
        batches: Any = NumberedBatches(config, scripted.steps)
        events: Any = Events(clock, act)
        with RunDirectory.open(tmp_path / folder, config, []) as directory:
            loop: Any = Loop(
                config,
                trainer,
                batches,
                Checkpointer(
                    config,
                    Specification('small_cnn', CLASSES, 8, 'unit'),
                    trainer,
                    directory,
                    SOURCE,
                    bad_files or BadFiles(),
                ),
                events,
                StopRequest() if stop is None else stop,
            )
            loop.error = loop.results = None
            try:
                loop.results = loop.run()
            except (KeyboardInterrupt, UserError, Stopped) as error:
                loop.error = error
        return loop

    return run


def steps_kept(folder: Path) -> list[int]:
    return sorted(int(path.name.removeprefix('step-')) for path in folder.iterdir())


def weights_of(folder: Path) -> float:
    """The weight in the newest checkpoint of a folder."""
    arrays, _ = read_variables(folder, 'model')
    return float(arrays['weight'])


def test_a_run_reports_what_it_does(make_run):
    loop = make_run([1.0, 0.5], script={'steps': 3}, log_every=2)
    epoch = ['show_progress', 'training', 'show_progress', 'training', 'show_progress']
    second = ['training', 'show_progress', 'training', 'show_progress']
    assert loop.reporter.names == [
        'start',
        *epoch,
        'epoch',
        'draw',
        *second,
        'epoch',
        'draw',
        'close',
    ]
    # Between two reports are the steps up to the next multiple of 2, or the epoch's.
    assert [
        (
            after.losses['weight'] - before.losses['weight'],
            after.losses['main_loss'] - before.losses['main_loss'],
            rate,
        )
        for before, after, rate, _ in loop.reporter.arguments['training']
    ] == [(2, 1 + 2, 0.5), (1, 3, 0.5), (1, 4, 0.5), (2, 5 + 6, 0.5)]
    assert [
        (history.rows[-1]['epoch'], best, epochs)
        for history, best, epochs in loop.reporter.arguments['epoch']
    ] == [(2, True, 2), (2, True, 2)]
    assert [
        (epoch, epochs)
        for *_, epoch, epochs in loop.reporter.arguments['show_progress']
    ] == 3 * [(1, 2)] + 2 * [(2, 2)]
    _, (history, shown, predicted) = loop.reporter.arguments['draw']
    assert history is loop.history and shown is BATCH and predicted.tolist() == [0]


def test_rows_and_results(make_run):
    loop = make_run([1.0, 0.5, 0.7])
    assert loop.history.rows[2] == {
        'epoch': 3,
        'step': 6,
        'learning_rate': 0.5,
        'train_total_loss': 1.0,
        'train_weight_decay': 1.0,
        'train_gradient_norm': 2.0,
        'train_loss': 5.5,  # of the steps 5 and 6
        'train_top1': pytest.approx(0.055),
        'train_top5': pytest.approx(0.055),
        'validation_loss': 0.7,
        'validation_top1': 0.006,
        'validation_top5': 1.0,
    }
    evaluated = {'loss': 0.7, 'top1': 0.004, 'top5': 1.0}  # the weights of epoch 2
    assert loop.results == {
        'best_epoch': 2,
        'epochs': 3,
        'steps': 6,
        'seconds': 0,
        'training_seconds': 0,
        'images_per_second': 0,
        'weights': 'raw',
        'validation': evaluated,
        'test': evaluated,
        'by_weights': {'raw': {'validation': evaluated, 'test': evaluated}},
    }
    directory = loop.checkpointer.directory
    assert weights_of(directory.checkpoints_best) == 4
    assert weights_of(directory.checkpoints_last) == 6


def test_averaged_weights_are_monitored_and_stored_as_the_best(make_run):
    script = {'averaged': [0.9, 0.3, 0.4]}
    loop = make_run([0.5, 0.6, 0.2], script=script, ema=0.9)
    row = loop.history.rows[1]
    assert (row['validation_loss'], row['validation_averaged_loss']) == (0.6, 0.3)
    assert (row['validation_top1'], row['validation_averaged_top1']) == (0.004, 0.0045)
    assert (loop.results['best_epoch'], loop.results['weights']) == (2, 'averaged')
    assert loop.results['test']['top1'] == 0.0045
    assert loop.results['by_weights']['raw']['test']['top1'] == 0.004
    directory = loop.checkpointer.directory
    assert weights_of(directory.checkpoints_best) == 4.5
    assert weights_of(directory.checkpoints_last) == 6


def test_early_stopping_ends_with_the_best_and_stays_ended(make_run):
    losses, settings = [1.0, 0.5, 0.6, 0.7, 0.1], {'early_stopping': 2}
    loop = make_run(losses, **settings)
    assert [row['epoch'] for row in loop.history.rows] == [1, 2, 3, 4]
    assert (loop.results['best_epoch'], loop.results['steps']) == (2, 8)
    assert loop.results['validation']['top1'] == 0.004
    assert loop.reporter.names[-2:] == ['stop_early', 'close']
    again = make_run(losses, **settings)
    assert again.results == loop.results
    assert again.history.rows == loop.history.rows
    assert 'show_progress' not in again.reporter.names


def test_the_last_epoch_does_not_stop_early(make_run):
    loop = make_run([1.0, 0.5], early_stopping=1)
    assert 'stop_early' not in loop.reporter.names


def test_a_plateau_lowers_the_rate(make_run):
    loop = make_run([1.0, 1.0, 0.5, 0.5, 0.5], plateau_patience=1, plateau_factor=0.25)
    rates = [row['learning_rate'] for row in loop.history.rows]
    assert rates == [0.5, 0.5, 0.125, 0.125, 0.5 / 16]
    lowered = loop.reporter.arguments['lower_rate']
    assert lowered == [(0.25,), (0.0625,), (1 / 64,)]


@pytest.mark.parametrize(
    'schedule, asked',
    [
        ((), [(0, 8, 8)]),
        (('4@0', '6@1', '8@3'), [(0, 2, 4), (2, 6, 6), (6, 8, 8)]),
        (('4@0', '6@9'), [(0, 8, 4)]),
        (('6@0', '4@1'), [(0, 2, 6), (2, 8, 4)]),
    ],
)
def test_sizes_have_their_epochs(make_run, schedule, asked):
    loop = make_run([4.0, 3.0, 2.0, 1.0], image_size_schedule=schedule)
    assert loop.batches.asked == asked
    assert len(loop.history.rows) == 4


TWO_PHASES = {
    'epochs': 3,
    'finetune_epochs': 2,
    'finetune_learning_rate': 0.125,
    'freeze': ('backbone',),
    'finetune_freeze': ('bn',),
    'precise_bn': 8,
}
LOSSES = [1.0, 0.5, 2.0, 0.4, 0.6]


def test_a_second_phase_begins_with_the_best_weights(make_run):
    script = {'averaged': LOSSES}
    loop = make_run(LOSSES, script=script, ema=0.9, plateau_patience=1, **TWO_PHASES)
    # 4 steps to the best epoch; in its checkpoint the model has the averaged weights.
    assert [row['validation_top1'] for row in loop.history.rows] == [
        0.002,
        0.004,
        0.006,
        0.0065,
        0.0085,
    ]
    assert [row['learning_rate'] for row in loop.history.rows] == (
        [0.5, 0.5, 0.5, 0.125, 0.125]  # the plateau ends with its phase
    )
    ((index, epoch, weights, steps),) = loop.reporter.arguments['begin_phase']
    assert (index, epoch, steps) == (1, 2, 10)
    assert weights == (loop.state.model.weight,)
    assert (loop.results['best_epoch'], loop.results['epochs']) == (4, 5)
    assert loop.state.phase_start.numpy() == 6
    # Statistics are those of the phase that trains batch norms.
    assert [len(phase.estimated) for phase in loop.trainer.phases] == [6, 0]
    assert loop.trainer.phases[0].estimated[0] == ['statistics']


def test_early_stopping_ends_a_phase_and_not_the_run(make_run):
    settings = {**TWO_PHASES, 'epochs': 9}
    loop = make_run([1.0, 1.0, 0.8, 0.9], early_stopping=1, **settings)
    assert [row['epoch'] for row in loop.history.rows] == [1, 2, 3, 4]
    assert loop.results['best_epoch'] == 3
    assert loop.reporter.names.count('stop_early') == 1
    ((*_, steps),) = loop.reporter.arguments['begin_phase']
    assert steps == 8
    assert [epochs for *_, epochs in loop.reporter.arguments['epoch']] == [11, 11, 4, 4]


def test_interrupted_at_any_event_it_ends_the_same(make_run):
    settings = {**TWO_PHASES, 'ema': 0.9, 'checkpoint_minutes': 0.0}
    losses = [1.0, 0.5, 0.6]
    settings |= {'epochs': 2, 'finetune_epochs': 1, 'plateau_patience': 1}
    script = {'averaged': losses}
    expected = make_run(losses, 'undisturbed', script=script, **settings)
    count = len(expected.reporter.names) - 1
    assert count > 12
    for last in range(1, count + 1):

        def interrupt(event: int, name: str, last: int = last) -> None:
            if event == last:
                raise KeyboardInterrupt

        folder = f'run{last}'
        first = make_run(losses, folder, interrupt, script=script, **settings)
        assert isinstance(first.error, KeyboardInterrupt)
        second = make_run(losses, folder, script=script, **settings)
        assert second.history.rows == expected.history.rows
        assert second.results == expected.results
        for name in ('weight', 'rate'):
            assert final(second)[name] == final(expected)[name]


def final(loop: Any) -> dict[str, float]:
    directory = loop.checkpointer.directory
    return {
        'weight': weights_of(directory.checkpoints_last),
        'rate': float(loop.state.plateau),
    }


def test_a_resumed_run_does_not_start_again(make_run):
    def interrupt(event: int, name: str) -> None:
        if name == 'epoch':
            raise KeyboardInterrupt

    settings = {'checkpoint_minutes': 0.0}
    make_run([1.0, 0.5], act=interrupt, **settings)
    loop = make_run([1.0, 0.5], script={'first_loss': math.nan}, **settings)
    assert loop.reporter.names[0] == 'resume'
    ((history, steps),) = loop.reporter.arguments['resume']
    assert history is loop.history and steps == 4
    assert loop.batches.asked == [(1, 4, 8)]


@pytest.mark.parametrize(
    'loss, settings, warns',
    [
        (math.log(10), {}, False),
        (9.0, {}, True),
        (9.0, {'pretrained': 'somewhere'}, False),
        (9.0, {'model': 'custom'}, False),
    ],
)
def test_the_loss_of_random_weights_is_checked(make_run, caplog, loss, settings, warns):
    loop = make_run([1.0], script={'first_loss': loss}, **settings)
    assert ('guessing among 10 classes' in caplog.text) is warns
    assert len(loop.history.rows) == 1


def test_nothing_is_trained_where_the_first_loss_is_no_number(make_run):
    loop = make_run([1.0], script={'first_loss': math.inf})
    assert 'near 2.30 before' in str(loop.error)
    assert loop.reporter.names == ['start', 'close']


def test_features_are_checked_instead_of_images(make_run):
    loop = make_run([1.0], features='cached', freeze=('backbone',))
    assert loop.batches.asked == [(0, 1, 0), (0, 2, 8)]


@pytest.mark.parametrize('step', [1, 2, 3])
def test_a_stop_saves_and_says_so(make_run, step):
    request = StopRequest()
    events = []

    def stop(event: int, name: str) -> None:
        events.append(name)
        if events.count('show_progress') == step:
            request.signal_name = 'SIGTERM'

    script = {'seconds': 1.0}
    loop = make_run([1.0, 0.5], act=stop, stop=request, script=script)
    assert isinstance(loop.error, Stopped)
    directory = loop.checkpointer.directory
    assert str(loop.error) == (
        f'SIGTERM received: everything up to step {step} is saved in {directory.path}. '
        'Run the same command again to resume.'
    )
    assert max(steps_kept(directory.checkpoints_last)) == step
    assert weights_of(directory.checkpoints_last) == step
    assert make_run([1.0, 0.5]).results['steps'] == 4


@pytest.mark.parametrize('during', ['evaluate', 'estimate_batch_norms'])
def test_a_stop_is_noticed_between_the_batches_of_an_evaluation(
    make_run, monkeypatch, during
):
    settings = {'script': {'averaged': [0.9, 0.3]}, 'ema': 0.9, 'precise_bn': 8}
    expected = make_run([1.0, 0.5], 'undisturbed', **settings)
    request, whole = StopRequest(), getattr(Phase, during)

    def stopping(phase: Phase, batches: Iterator) -> Any:
        if phase.state.steps_taken == 2:
            request.signal_name = 'SIGINT'
        return whole(phase, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Phase, during, stopping)
        loop = make_run([1.0, 0.5], stop=request, **settings)
    assert isinstance(loop.error, Stopped) and 'up to step 2 is saved' in str(
        loop.error
    )
    assert not loop.history.rows
    assert len(loop.phase.estimated) == (during == 'evaluate')
    again = make_run([1.0, 0.5], **settings)
    assert (again.history.rows, again.results) == (
        expected.history.rows,
        expected.results,
    )


@pytest.mark.parametrize('fraction, ends', [(0.4, True), (0.3, False)])
def test_images_that_cannot_be_decoded_are_counted_at_each_save(
    make_run, fraction, ends
):
    files = BadFiles()

    def fail(event: int, name: str) -> None:
        if name == 'show_progress':
            files.record('train/1.png', 3, 'no image')

    settings: dict = {'max_bad_fraction': fraction, 'script': {'steps': 3}}
    loop = make_run([1.0, 0.5], act=fail, bad_files=files, **settings)
    directory = loop.checkpointer.directory
    assert directory.bad_files.read_text().splitlines() == [
        'path,class,reason',
        'train/1.png,d,no image',
    ]
    if ends:
        assert loop.results['steps'] == 6
        # A run that goes on knows of them.
        again = BadFiles()
        make_run([1.0, 0.5], bad_files=again, **settings)
        assert again.items() == files.items()
        # It ends before its first step where they are too many by now.
        last = make_run([1.0, 0.5], **settings | {'max_bad_fraction': 0.3})
        assert isinstance(last.error, DatasetError)
        assert last.reporter.names == ['resume', 'close']
    else:
        assert isinstance(loop.error, DatasetError)
        assert 'At most 30.00% of the 3 images' in str(loop.error)
        assert not list(directory.checkpoints_last.iterdir())


@pytest.mark.parametrize('bad', ['bad_step', 'bad_loss'])
@pytest.mark.parametrize('step', [1, 2, 4])
def test_weights_that_diverged_are_not_saved(make_run, step, bad):
    # In float16 the norm of gradients that are not finite counts as 0.
    script = {bad: step, 'seconds': 1.0}
    loop = make_run([1.0, 0.5], script=script, checkpoint_minutes=0.0)
    assert isinstance(loop.error, DivergedError)
    directory = loop.checkpointer.directory
    assert str(loop.error) == (
        f'The loss became nan by step {step}. Checkpoints in '
        f'{directory.checkpoints_last} are from before that step. Start a run with a '
        'lower --learning_rate, or with --clip_norm, in another --run_dir.'
    )
    assert steps_kept(directory.checkpoints_last) == list(range(max(1, step - 2), step))
    assert 'training' not in loop.reporter.names[2 * step :]


def test_a_validation_loss_that_is_no_number_ends_the_run(make_run):
    loop = make_run([1.0, math.inf])
    assert 'The loss became inf by step 4. ' in str(loop.error)
    assert steps_kept(loop.checkpointer.directory.checkpoints_last) == [2]
    assert len(loop.history.rows) == 1


def test_calls_take_about_a_second(make_run):
    script = {'steps': 12, 'seconds': 0.25}
    loop = make_run([1.0, 0.5], script=script, log_every=5)
    # A call is timed from the second on, and ends where something is reported.
    assert loop.phase.calls == [1, 1, 3, 4, 1, 2, 3, 4, 1, 4]
    assert loop.history.seconds == 23 * 0.25
    assert loop.history.images == 23 * 4
    assert loop.results['images_per_second'] == 16
    assert loop.results['training_seconds'] == 23 * 0.25
    assert loop.results['seconds'] == 6


def test_slow_steps_are_taken_one_by_one(make_run):
    loop = make_run([1.0], script={'steps': 5, 'seconds': 3.0}, log_every=5)
    assert loop.phase.calls == [1, 1, 1, 1, 1]


def test_pauses_do_not_count(make_run, clock):
    def interrupt(event: int, name: str) -> None:
        if name == 'epoch':
            raise KeyboardInterrupt

    settings = {'script': {'seconds': 2.0}, 'checkpoint_minutes': 0.0}
    make_run([1.0, 0.5], act=interrupt, **settings)
    clock.now += 1000
    loop = make_run([1.0, 0.5], **settings)
    assert loop.results['seconds'] == 2 + 3 * 2  # saved after one step


@pytest.mark.parametrize(
    'minutes, saved', [(0.0, [1, 2, 3, 4, 5, 6]), (0.5, [3, 6]), (9.0, [6])]
)
def test_checkpoints_come_by_the_clock(make_run, monkeypatch, minutes, saved):
    steps = []
    save = Checkpointer.save

    def saving(checkpointer: Checkpointer, history: History) -> None:
        save(checkpointer, history)
        steps.append(max(steps_kept(checkpointer.directory.checkpoints_last)))

    monkeypatch.setattr(Checkpointer, 'save', saving)
    make_run([1.0], script={'steps': 6, 'seconds': 10.0}, checkpoint_minutes=minutes)
    assert steps == saved


def test_short_epochs_share_a_checkpoint_and_a_drawing(make_run, monkeypatch):
    steps = []
    save = Checkpointer.save
    monkeypatch.setattr(
        Checkpointer,
        'save',
        lambda checkpointer, history: (
            steps.append(len(history.rows)),
            save(checkpointer, history),
        ),
    )
    losses = [0.5, 0.9, 0.9, 0.9, 0.4, 0.9, 0.9, 0.9, 0.9]
    loop = make_run(losses, script={'steps': 1, 'seconds': 2.0})
    # Where an epoch is the best, after 5 seconds, and at the end.
    assert steps == [1, 4, 5, 8, 9]
    drawn = [event for event in loop.reporter.names if event in ('epoch', 'draw')]
    assert drawn == ['epoch', 'draw', *8 * ['epoch'], 'draw']
