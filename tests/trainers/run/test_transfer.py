"""Whole runs that start from other weights, keep parts frozen, or have two phases."""

import csv
import dataclasses
import json
import os
import shutil
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny_run

from trainers.inference.classifier import from_run
from trainers.networks import build as networks
from trainers.reporting.reporter import Reporter
from trainers.run.loop import Loop
from trainers.run.signals import Stopped
from trainers.run.train import build, train
from trainers.settings.config import Config, ConfigError
from trainers.step.trainer import Trainer
from trainers.storage.checkpoints import Checkpoints, read_variables
from vision import data
from vision.data import Batch, Source
from vision.errors import UserError
from vision.models import Network
from vision.models.pretrained import variables_by_path

pytestmark = pytest.mark.usefixtures('no_drawings')

# One epoch of what the shared run is trained with.
SHORT = {**tiny_run.SETTINGS, 'epochs': 1, 'ema': 0.0}
TWO_PHASES = {
    'freeze': ('backbone',),
    'epochs': 2,
    'finetune_epochs': 2,
    'finetune_freeze': ('last:2', 'bn'),
    'finetune_learning_rate': 1e-4,
    'layer_decay': 0.5,
    'ema': 0.9,
    'monitor': 'loss',
    'schedule': 'constant',
}


def run(run_dir: Path, **settings) -> dict:
    config = Config(**{**SHORT, 'run_dir': str(run_dir), **settings})
    return train(config)


def metrics(run_dir: Path) -> list[dict[str, float]]:
    with (run_dir / 'metrics.csv').open(newline='') as file:
        return [
            {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def weights(run_dir: Path, kind: str = 'last') -> dict[str, np.ndarray]:
    arrays, _ = read_variables(run_dir / 'checkpoints' / kind, 'model')
    return arrays


def changed(before: dict[str, np.ndarray], after: dict[str, np.ndarray]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name].tobytes() != after[name].tobytes()}


def assert_same(run_dir: Path, other: Path) -> None:
    for kind in ('last', 'best'):
        assert not changed(weights(run_dir, kind), weights(other, kind))
    expected = (other / 'metrics.csv').read_bytes()
    assert (run_dir / 'metrics.csv').read_bytes() == expected


def stage_of(names: set[str]) -> set[str]:
    """'stages/conv1_1/conv/kernel' → 'conv1_1'; 'head' for the head's."""
    return {
        name.split('/')[1] if name.startswith('stages/') else name.split('/')[0]
        for name in names
    }


@pytest.fixture(scope='module')
def pretrained(trained_run) -> Path:
    """A run to take weights from."""
    return trained_run


@pytest.fixture(scope='module')
def source() -> Source:
    return data.load('shapes')


def start(source: Source, pretrained: Path, **settings) -> tuple[Trainer, list[str]]:
    """What a run starts with: its trainer, and notes on its settings."""
    config = Config(**{**SHORT, 'pretrained': str(pretrained), **settings})
    specification = networks.specify(config, source.classes, source.image_size)
    return build(config, specification, source)


def values(trainer: Trainer) -> dict[str, np.ndarray]:
    variables = variables_by_path(trainer.state.model)
    return {name: variable.numpy() for name, variable in variables.items()}


def take_step(trainer: Trainer, source: Source) -> None:
    """One training step, not traced."""
    split = source.splits['train']
    batch = Batch(split.images[:8], split.labels[:8], np.ones(8, np.float32))
    tf.config.run_functions_eagerly(True)
    try:
        trainer.phases[0].train_step(Batch(*map(tf.constant, batch[:3])))
    finally:
        tf.config.run_functions_eagerly(False)


@pytest.fixture(scope='module')
def interrupted(pretrained, tmp_path_factory) -> Path:
    """A run that trains its head, then more, in 'run'; and as it was after each epoch.

    What it started from is there no longer.
    """
    folder = tmp_path_factory.mktemp('two_phases')
    end_epoch = Loop._end_epoch

    def copying(loop: Loop) -> None:
        end_epoch(loop)
        shutil.copytree(folder / 'run', folder / f'epoch{len(loop.history.rows)}')

    shutil.copytree(pretrained, folder / 'start')
    with pytest.MonkeyPatch.context() as patch:
        tiny_run.draw_nothing(patch)
        patch.setattr(Loop, '_end_epoch', copying)
        run(folder / 'run', pretrained=str(folder / 'start'), **TWO_PHASES)
    shutil.rmtree(folder / 'start')
    return folder


@pytest.fixture(scope='module')
def two_phases(interrupted) -> Path:
    return interrupted / 'run'


def test_starts_from_the_best_weights_of_a_run(pretrained, source):
    trainer, _ = start(source, pretrained)
    assert not changed(weights(pretrained, 'best'), values(trainer))
    assert changed(weights(pretrained, 'last'), values(trainer))


def test_classes_are_balanced_on_request(pretrained, source):
    labels = source.splits['train'].labels
    few = data.take(
        source.splits['train'], np.flatnonzero((labels > 0) | (labels % 2 == 0))[::2]
    )
    rare = dataclasses.replace(source, splits={**source.splits, 'train': few})
    trainer, _ = start(rare, pretrained, class_weights='balanced')
    (phase,) = trainer.phases
    counts = np.bincount(few.labels, minlength=10)
    np.testing.assert_allclose(phase.class_weights * counts, len(few) / 10, rtol=1e-6)
    assert start(rare, pretrained)[0].phases[0].class_weights is None


def test_a_classifier_of_other_classes_is_replaced(pretrained, source, tmp_path):
    classifier = from_run(pretrained)
    first, *rest = classifier.classes
    specification = dataclasses.replace(
        classifier.specification, classes=('zebra', *rest)
    )
    Checkpoints(tmp_path, tf.train.Checkpoint(model=classifier.network)).save(
        1, {'specification': specification.to_dict()}
    )
    trainer, notes = start(source, tmp_path)
    moved = changed(weights(pretrained, 'best'), values(trainer))
    assert moved == {
        'head/classifier/bias',
        'head/classifier/kernel',
        'head/dense/0/bias',
        'head/dense/0/kernel',
    }
    assert any(
        f'other classes (zebra instead of {first}) and is replaced' in n for n in notes
    )


def test_a_frozen_backbone_is_the_same_bits_after_training(pretrained, tmp_path):
    run(
        tmp_path / 'run',
        pretrained=str(pretrained),
        freeze=('backbone',),
        epochs=2,
        ema=0.9,
        weight_decay=0.1,
        optimizer='adamw',
        learning_rate=0.1,
    )
    after = weights(tmp_path / 'run')
    moved = changed(weights(pretrained, 'best'), after)
    assert moved == {name for name in after if name.startswith('head/')}


@pytest.mark.parametrize(
    'freeze, stages',
    [
        ((), {'conv1_1', 'conv2_1', 'conv3_1', 'head'}),
        (('last:1',), {'conv3_1', 'head'}),
        (('last:2', 'bn'), {'conv2_1', 'conv3_1', 'head'}),
    ],
)
def test_what_is_not_frozen_learns(pretrained, source, freeze, stages):
    trainer, _ = start(
        source, pretrained, freeze=freeze, optimizer='adam', learning_rate=0.01
    )
    take_step(trainer, source)
    moved = changed(weights(pretrained, 'best'), values(trainer))
    assert stage_of(moved) == stages
    assert any('/norm/' in name for name in moved) is ('bn' not in freeze)


def test_two_phases_are_one_run(two_phases, pretrained):
    rows = metrics(two_phases)
    assert [row['epoch'] for row in rows] == [1, 2, 3, 4]
    assert [row['step'] for row in rows] == [3, 6, 9, 12]
    rates = [row['learning_rate'] for row in rows]
    assert rates == pytest.approx([5e-4, 5e-4, 1e-4, 1e-4])
    moved = changed(weights(pretrained, 'best'), weights(two_phases))
    assert stage_of(moved) == {'conv2_1', 'conv3_1', 'head'}
    assert not any('/norm/' in name for name in moved)
    log = (two_phases / 'train.log').read_text()
    assert 'Trained     162 parameters; 1,012 frozen' in log
    assert 'Phase 2 starts from the weights of epoch ' in log
    assert ': 1,026 parameters are trained.' in log


@pytest.mark.parametrize(
    'epoch',
    [
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(2, marks=pytest.mark.slow),
        3,
    ],
)
def test_interrupted_between_epochs_it_ends_with_the_same_bits(
    interrupted, two_phases, tmp_path, epoch
):
    # Each epoch is shorter than the time between two checkpoints.
    run_dir = Path(shutil.copytree(interrupted / f'epoch{epoch}', tmp_path / 'run'))
    settings = {**TWO_PHASES, 'pretrained': str(interrupted / 'start')}
    assert run(run_dir, resume='must', **settings)['epochs'] == 4
    assert_same(run_dir, two_phases)


@pytest.mark.slow
@pytest.mark.parametrize('step', [4, 10])
def test_interrupted_anywhere_it_ends_with_the_same_bits(
    two_phases, pretrained, tmp_path, monkeypatch, step
):
    settings = {**TWO_PHASES, 'pretrained': str(pretrained)}

    def interrupted(reporter: Reporter, *arguments) -> None:
        if reporter.state.step >= step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Reporter, 'show_progress', interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / 'run', checkpoint_minutes=0.0, **settings)
    run(tmp_path / 'run', resume='must', **settings)
    assert_same(tmp_path / 'run', two_phases)


CACHED = {'freeze': ('backbone',), 'features': 'cached'}


@pytest.mark.slow
def test_kept_features_give_what_the_network_gives(pretrained, tmp_path):
    settings = {'pretrained': str(pretrained), 'freeze': ('backbone',), 'epochs': 3}
    run(tmp_path / 'live', **settings)
    run(tmp_path / 'cached', **settings, features='cached')
    for live, cached in zip(metrics(tmp_path / 'live'), metrics(tmp_path / 'cached')):
        assert cached == pytest.approx(live, rel=1e-4)
    for name, expected in weights(tmp_path / 'live').items():
        np.testing.assert_allclose(
            weights(tmp_path / 'cached')[name], expected, rtol=1e-3, atol=1e-5
        )


@pytest.mark.slow
def test_features_are_computed_once(pretrained, tmp_path, monkeypatch):
    traced = []
    features = Network.features
    monkeypatch.setattr(
        Network,
        'features',
        lambda *arguments: (traced.append(1), features(*arguments))[1],
    )
    settings = {**CACHED, 'pretrained': str(pretrained), 'cache_dir': str(tmp_path)}
    first = run(tmp_path / 'first', **settings)
    assert len(traced) == 1
    second = run(tmp_path / 'second', **settings)
    assert len(traced) == 1
    assert second['test'] == first['test']
    # Images prepared in another way have other features.
    run(tmp_path / 'third', **settings, image_size=24)
    assert len(traced) == 2


@pytest.mark.slow
def test_other_weights_have_other_features(pretrained, two_phases, tmp_path):
    settings = {**CACHED, 'cache_dir': str(tmp_path / 'cache')}
    for index, path in enumerate((pretrained, two_phases / 'checkpoints/last')):
        run(tmp_path / f'run{index}', pretrained=str(path), **settings)
    files = list((tmp_path / 'cache').glob('*.float32'))
    assert len({file.read_bytes() for file in files}) == 6


@pytest.mark.slow
def test_another_head_takes_the_same_features(pretrained, tmp_path, monkeypatch):
    settings = {
        **CACHED,
        'pretrained': str(pretrained),
        'cache_dir': str(tmp_path / 'cache'),
    }
    run(tmp_path / 'first', **settings)
    monkeypatch.setattr(Network, 'features', None)
    run(tmp_path / 'second', **settings, dense=('16',), feature_dropout=0.5)


def test_a_dry_run_computes_few_features_and_keeps_none(
    pretrained, tmp_path, monkeypatch
):
    seen = []
    features = Network.features

    def counting(network: Network, images: tf.Tensor) -> tf.Tensor:
        tf.py_function(lambda images: seen.append(len(images)), [images], [])
        return features(network, images)

    monkeypatch.setattr(Network, 'features', counting)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    cache = tmp_path / 'cache'
    run(
        tmp_path / 'run',
        **{**CACHED, 'pretrained': str(pretrained)},
        dry_run=True,
        cache_dir=str(cache),
    )
    assert sum(seen) == 3 * SHORT['batch_size']
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_without_the_weights_that_it_started_from(pretrained, tmp_path):
    run_dir = Path(shutil.copytree(pretrained, tmp_path / 'run'))
    config = json.loads((run_dir / 'config.json').read_bytes())
    config['settings']['pretrained'] = str(tmp_path / 'weights')
    (run_dir / 'config.json').write_text(json.dumps(config))
    settings = {**tiny_run.SETTINGS, 'pretrained': str(tmp_path / 'weights')}
    assert run(run_dir, **settings, dry_run=True)['steps'] == 1
    assert run(run_dir, **settings)['steps'] == 6
    with pytest.raises(UserError, match='there is nothing at'):
        run(tmp_path / 'new', **settings, dry_run=True)


def test_stopped_while_features_are_computed(pretrained, tmp_path, monkeypatch):
    features = Network.features

    def signalling(network: Network, images: tf.Tensor) -> tf.Tensor:
        tf.py_function(lambda: os.kill(os.getpid(), signal.SIGTERM), [], [])
        return features(network, images)

    settings = {
        **CACHED,
        'pretrained': str(pretrained),
        'cache_dir': str(tmp_path / 'cache'),
    }
    with monkeypatch.context() as patch:
        patch.setattr(Network, 'features', signalling)
        with pytest.raises(Stopped, match='SIGTERM received: the features of 8 of '):
            run(tmp_path / 'run', **settings)
    assert not list((tmp_path / 'cache').glob('*.float32'))
    # It is no error, and the log says so.
    last = (tmp_path / 'run/train.log').read_text().splitlines()[-1]
    assert ' INFO SIGTERM received: ' in last
    assert run(tmp_path / 'run', **settings)['epochs'] == 1


@pytest.mark.slow
def test_kept_features_then_images(pretrained, tmp_path):
    settings = {**TWO_PHASES, 'pretrained': str(pretrained), 'features': 'cached'}
    run(tmp_path / 'run', **settings)
    moved = changed(weights(pretrained, 'best'), weights(tmp_path / 'run'))
    assert stage_of(moved) == {'conv2_1', 'conv3_1', 'head'}


@pytest.mark.parametrize(
    'settings, error, message',
    [
        (
            {'normalization': 'symmetric'},
            ConfigError,
            'Expected --normalization=unit, which the weights of --pretrained=.* were '
            'trained with, received --normalization=symmetric. Pass '
            '--normalization=unit.$',
        ),
        (
            {'model': 'small_cnn', 'model_options': ()},
            ConfigError,
            'Expected --pretrained to be a run of small_cnn, received .*, a run of '
            'cifar_cnn. Pass --model=cifar_cnn, or another folder.$',
        ),
        ({'model_options': ('filters:4-8',)}, UserError, 'conv3_1'),
        (
            {'freeze': ('last:4',)},
            ConfigError,
            '--freeze: Expected trainable_stages in 0..3, .* received 4',
        ),
        (
            {'freeze': ('head',)},
            ConfigError,
            "--freeze as one of backbone, last:N .*; received 'head'",
        ),
        (
            {'finetune_freeze': ('none', 'bn')},
            ConfigError,
            "--finetune_freeze as .* and last:N,bn; received 'none,bn'",
        ),
    ],
)
def test_weights_that_do_not_fit(pretrained, tmp_path, settings, error, message):
    with pytest.raises(error, match=message):
        run(tmp_path / 'run', pretrained=str(pretrained), **settings)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'path, message',
    [
        (
            'nowhere',
            'Expected --pretrained to be imagenet, a file of weights or the folder of '
            'a run; there is nothing at',
        ),
        (
            'empty',
            'Expected --pretrained to be the folder of a run, or of one of its '
            'checkpoints; there is no checkpoint in .*empty.$',
        ),
        ('file.txt', 'Expected weights at .*file.txt'),
    ],
)
def test_weights_that_are_none(tmp_path, path, message):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'file.txt').write_text('no weights')
    with pytest.raises(UserError, match=message):
        run(tmp_path / 'run', pretrained=str(tmp_path / path))
    assert not (tmp_path / 'run').exists()


def test_a_damaged_checkpoint_is_not_taken(pretrained, tmp_path):
    copy = tmp_path / 'copy'
    shutil.copytree(pretrained, copy)
    (data_file,) = copy.glob('checkpoints/best/*/variables.data*')
    content = bytearray(data_file.read_bytes())
    content[len(content) // 2] ^= 1
    data_file.write_bytes(content)
    with pytest.raises(UserError, match='damaged'):
        run(tmp_path / 'run', pretrained=str(copy))
