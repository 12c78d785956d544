"""What is written for each event of a run, without a run."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from trainers.reporting import plots
from trainers.reporting.reporter import Reporter
from trainers.settings.config import Config
from trainers.step.state import TrainingState, TrainingTotals
from trainers.storage.history import History
from trainers.storage.run_directory import RunDirectory
from vision.data import Batch

CLASSES = ('cat', 'dog', 'owl')


class Model(tf.Module):
    heads = {'aux': None}

    def __init__(self):
        super().__init__()
        self.weight = tf.Variable([1.0, 2.0, 3.0])


class Bar:
    """A progress bar that lists what it is told."""

    def __init__(self):
        self.calls: list[tuple] = []

    def expect(self, total: int) -> None:
        self.calls.append(('expect', total))

    def update(self, *arguments: Any) -> None:
        self.calls.append(('update', *arguments))

    def finish(self) -> None:
        self.calls.append(('finish',))


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[str, tuple, dict]]:
    """Names and arguments of the drawings, which are not made."""
    calls: list[tuple[str, tuple, dict]] = []

    def draw(name: str) -> Any:
        def drawing(*arguments: Any, **options: Any) -> np.ndarray:
            calls.append((name, arguments, options))
            return np.zeros([1, 1, 3], np.uint8)

        return drawing

    for name in ('plot_curves', 'image_grid'):
        monkeypatch.setattr(plots, name, draw(name))
    return calls


@pytest.fixture
def make_reporter(tmp_path, drawn, caplog):
    """Called with settings and the step; its messages are in `caplog`."""
    caplog.set_level('INFO')

    def make(step: int = 0, ema: float = 0.0, **settings: Any) -> Any:
        config = Config(run_dir=str(tmp_path / 'run'), ema=ema, **settings)
        directory = RunDirectory.open(tmp_path / 'run', config, [])
        state = TrainingState(Model(), ema)  # type: ignore[arg-type]
        state.step.assign(step)
        reporter: Any = Reporter(config, directory, state, CLASSES, Bar())  # type: ignore[arg-type]
        reporter.push(directory)
        return reporter

    return make


def events(reporter: Any, part: str) -> EventAccumulator:
    """What TensorBoard reads; the reporter is closed."""
    reporter.close()
    folder = getattr(reporter._directory, f'tensorboard_{part}')
    return EventAccumulator(str(folder)).Reload()


def scalars(accumulator: EventAccumulator) -> dict[str, tuple[int, float]]:
    """Tag -> step and value of the only event of each scalar."""
    values = {}
    for tag in accumulator.Tags()['tensors']:
        (event,) = accumulator.Tensors(tag)
        array = tf.make_ndarray(event.tensor_proto)
        if array.dtype == np.float32 and array.shape == ():
            values[tag] = (event.step, pytest.approx(float(array), rel=1e-6))
    return values


def batch(labels: list[int]) -> Batch:
    images = np.arange(len(labels) * 12, dtype=np.uint8).reshape(-1, 2, 2, 3)
    return Batch(
        tf.constant(images), tf.constant(labels), tf.ones(len(labels), tf.float32)
    )


def test_a_start_shows_images_and_settings(make_reporter, drawn):
    reporter = make_reporter(augment=('flip', 'rotate:5'))
    given = batch([2, 0] * 11)
    reporter.start(given)
    ((name, (images, titles, path), _),) = drawn
    assert name == 'image_grid' and path.name == 'training-step-000000000.png'
    np.testing.assert_array_equal(images, given.images[:20])
    assert titles == ['owl', 'cat'] * 10
    accumulator = events(reporter, 'train')
    assert 'training images' in accumulator.Tags()['tensors']
    (text,) = accumulator.Tensors('configuration')
    (line,) = tf.make_ndarray(text.tensor_proto).reshape(-1).tolist()
    assert '\n      "batch_size": ' in line.decode() and '"rotate:5"' in line.decode()
    contents = accumulator.PluginTagToContent('hparams').values()
    (started,) = (HParamsPluginData.FromString(c).session_start_info for c in contents)
    assert started.hparams['batch_size'].number_value == 32
    assert started.hparams['augment'].string_value == 'flip,rotate:5'
    assert 'image_size' not in started.hparams


def test_training_is_the_mean_between_two_totals(make_reporter):
    reporter = make_reporter(step=7)
    losses, accuracies = reporter.state.losses.names, reporter.state.accuracies.names
    before = TrainingTotals(dict.fromkeys(losses, 1.0), dict.fromkeys(accuracies, 2.0))
    after = TrainingTotals(
        {name: 1.0 + 2 * place for place, name in enumerate(losses, 2)},
        {name: 2.0 + 4 * place for place, name in enumerate(accuracies, 1)},
    )
    after.losses['weight'], after.accuracies['weight'] = 1 + 2, 2 + 16
    reporter.training(before, after, 0.25, 99.0)
    expected = {
        f'loss/{name}': losses.index(key)
        for name, key in (
            ('total', 'loss'),
            ('weight_decay', 'weight_decay'),
            ('main', 'main_loss'),
            ('aux1', 'aux1_loss'),
        )
    }
    expected['gradient_norm'] = losses.index('gradient_norm')
    expected = {tag: place + 2 for tag, place in expected.items()}
    for head in ('main', 'aux1'):
        for k in (1, 5):
            place = accuracies.index(f'{head}_top{k}')
            expected[f'top{k}/{head}'] = (place + 1) / 4
    expected |= {'learning_rate': 0.25, 'images_per_second': 99.0}
    assert scalars(events(reporter, 'train')) == {
        tag: (7, value) for tag, value in expected.items()
    }


def test_progress_shows_the_means_so_far(make_reporter):
    reporter = make_reporter(step=3)
    totals = TrainingTotals(
        {'weight': 2, 'main_loss': 5.0}, {'weight': 16, 'main_top1': 4.0}
    )
    reporter.show_progress(totals, History(seconds=2.0, images=2468), 2, 9)
    reporter.close()
    fields = {'loss': '2.500', 'top-1': '25.0%', 'images/s': '1,234'}
    assert reporter._progress.calls == [
        ('update', 3, 'Epoch 2/9', fields),
        ('finish',),
    ]


ROW = {
    'epoch': 2,
    'train_loss': 1.5,
    'train_top1': 0.25,
    'validation_loss': 2.5,
    'validation_top1': 0.5,
    'validation_top5': 0.75,
}
AVERAGED = {
    'validation_averaged_loss': 2.0,
    'validation_averaged_top1': 0.625,
    'validation_averaged_top5': 1.0,
}


@pytest.mark.parametrize(
    'ema, best, text',
    [
        (0.0, False, 'validation loss 2.500, top-1 50.00%'),
        (0.9, True, 'top-1 50.00%, averaged 62.50% (best so far)'),
    ],
)
def test_an_epoch_is_logged_and_written(make_reporter, caplog, ema, best, text):
    reporter = make_reporter(step=6, ema=ema)
    row = ROW | AVERAGED if ema else ROW
    reporter.epoch(History(rows=[row]), best, 4)
    (message,) = caplog.messages
    assert message.startswith('Epoch 2/4: train loss 1.500, top-1 25.00%; validation ')
    assert message.endswith(text)
    path: Path = reporter._directory.metrics
    with path.open(newline='') as file:
        (stored,) = csv.DictReader(file)
    assert {name: float(value) for name, value in stored.items()} == row
    expected = {
        name.replace('validation_averaged_', '') + '/main_averaged'
        if 'averaged' in name
        else name.replace('validation_', '') + '/main': (6, value)
        for name, value in row.items()
        if name.startswith('validation')
    }
    assert scalars(events(reporter, 'validation')) == expected
    assert 'weight' not in events(reporter, 'train').Tags()['tensors']


def test_histograms_of_weights_on_request(make_reporter):
    reporter = make_reporter(histograms=True)
    reporter.epoch(History(rows=[ROW]), True, 1)
    assert events(reporter, 'train').Tags()['tensors'] == ['weight']


def test_drawings_mark_what_is_wrong(make_reporter, drawn):
    reporter = make_reporter(step=6)
    assert reporter.drawn == -math.inf
    history = History(rows=[ROW], best_epoch=1, phase_began=3)
    given = batch([0, 1, 2])
    reporter.draw(history, given, tf.constant([0, 2, 2]))
    (_, curves, _), (_, (images, titles, path), options) = drawn
    directory = reporter._directory
    assert curves == ([ROW], directory.plots / 'curves.png', 1, 3)
    np.testing.assert_array_equal(images, given.images)
    assert titles == ['cat', 'owl (dog)', 'owl']
    assert options == {'correct': [True, False, True]}
    assert path == directory.samples / 'predictions.png'
    assert math.isfinite(reporter.drawn)
    accumulator = events(reporter, 'validation')
    (event,) = accumulator.Tensors('validation predictions')
    assert event.step == 6


@pytest.mark.parametrize('rows', [[], [ROW]])
def test_a_resumed_run_shows_what_there_is(make_reporter, drawn, caplog, rows):
    reporter = make_reporter(step=1500)
    reporter.resume(History(rows=rows), 4000)
    assert caplog.messages == ['Resuming after step 1,500 of 4,000.']
    assert [name for name, *_ in drawn] == len(rows) * ['plot_curves']
    assert reporter._directory.metrics.exists() is bool(rows)
    reporter.close()
    assert reporter._progress.calls == [('expect', 4000), ('finish',)]


def test_messages_of_phases_plateaus_and_stopping(make_reporter, caplog):
    reporter = make_reporter(plateau_patience=3, early_stopping=5)
    reporter.begin_phase(1, 4, [tf.zeros([1000, 2])], 80)
    reporter.lower_rate(0.5)
    reporter.stop_early()
    assert caplog.messages == [
        'Phase 2 starts from the weights of epoch 4: 2,000 parameters are trained.',
        'No lower validation loss for 3 epochs: the learning rate drops to 0.5 of its '
        'schedule.',
        'No better epoch for 5 epochs: stopped early.',
    ]
    reporter.close()
    assert reporter._progress.calls == [('expect', 80), ('finish',)]
