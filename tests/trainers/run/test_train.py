"""Whole runs in small: what they leave behind, and how they end."""

import csv
import json
import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainers.inference.classifier import from_run
from trainers.run.loop import DivergedError, Loop
from trainers.run.signals import Stopped
from trainers.run.source import load_source
from trainers.run.train import train
from trainers.settings.config import Config, ConfigError
from trainers.step.trainer import TrainingPhase
from trainers.storage.checkpoints import read_variables
from trainers.storage.resume import config_of, default_run_dir
from trainers.storage.run_directory import RunDirectoryError
from vision import data
from vision.data import DatasetError
from vision.errors import UserError
from vision.models import MODELS
from vision.registry import Entry

SHORT = {
    'dataset': 'shapes',
    'model': 'small',
    'epochs': 2,
    'batch_size': 8,
    'limit_train_batches': 3,
    'limit_eval_batches': 1,
    'log_every': 2,
    'precision': 'float32',
}

pytestmark = pytest.mark.usefixtures('no_drawings')

# Every figure that a run can have.
AVERAGED = {'optimizer': 'sgd', 'ema': 0.9, 'weight_decay': 1e-4}


@pytest.fixture(scope='module', autouse=True)
def registered():
    """The small network has a name."""
    MODELS['small'] = Entry('tests.helpers.small_network:one_convolution', 'Small.')
    yield
    del MODELS['small']


def run(run_dir: Path, **settings) -> dict:
    config = Config(**{**SHORT, 'run_dir': str(run_dir), **settings})
    return train(config)


def metrics(run_dir: Path) -> list[dict[str, float]]:
    with (run_dir / 'metrics.csv').open(newline='') as file:
        return [
            {name: float(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('[!.]*')
        if path.is_file()
    }


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """The directory of a finished run, and the results that were returned."""
    run_dir = tmp_path_factory.mktemp('finished') / 'run'
    return run_dir, run(run_dir, **AVERAGED)


@pytest.mark.parametrize(
    'name',
    [
        'config.json',
        'environment.json',
        'labels.json',
        'train.log',
        'metrics.csv',
        'results.json',
        'checkpoints/last/step-000000006/manifest.json',
        'checkpoints/best/*/manifest.json',
        'plots/curves.png',
        'samples/training-step-000000000.png',
        'samples/predictions.png',
        'tensorboard/train/events*',
        'tensorboard/validation/events*',
        'export',
    ],
)
def test_everything_is_in_its_place(finished, name):
    assert list(finished[0].glob(name))


def test_nothing_else_is_there(finished):
    assert {path.name for path in finished[0].iterdir()} == {
        'checkpoints',
        'config.json',
        'environment.json',
        'export',
        'labels.json',
        'metrics.csv',
        'plots',
        'results.json',
        'samples',
        'tensorboard',
        'train.log',
    }


def test_log(finished):
    log = (finished[0] / 'train.log').read_text(encoding='utf-8')
    for part in (
        'Model       small',
        '3,000 train',
        'Epoch 1/2',
        'Epoch 2/2',
        'Best epoch',
        'Test        top-1',
        '(averaged weights)',
    ):
        assert part in log


def test_results(finished):
    run_dir, returned = finished
    results = json.loads((run_dir / 'results.json').read_text())
    assert results == returned
    assert (results['epochs'], results['steps']) == (2, 6)
    assert results['best_epoch'] in (1, 2)
    assert results['seconds'] > results['training_seconds'] > 0
    assert results['images_per_second'] > 0
    assert results['weights'] == 'averaged'
    for split in ('validation', 'test'):
        assert results[split] == results['by_weights']['averaged'][split]
        for result in (results[split], results['by_weights']['raw'][split]):
            assert list(result) == ['loss', 'top1', 'top5']
            assert result['loss'] > 0
            assert 8 * result['top1'] in range(9)  # one batch of 8 images
            assert result['top1'] <= result['top5'] <= 1


def test_metrics(finished):
    rows = metrics(finished[0])
    assert [(row['epoch'], row['step']) for row in rows] == [(1, 3), (2, 6)]
    heads = ('', 'aux1_')
    assert set(rows[0]) == {
        'epoch',
        'step',
        'learning_rate',
        'train_loss',
        'train_total_loss',
        'train_aux1_loss',
        'train_weight_decay',
        'train_gradient_norm',
        *(f'train_{h}top{k}' for h in heads for k in (1, 5)),
        *(
            f'validation{w}_{m}'
            for w in ('', '_averaged')
            for m in ('loss', 'top1', 'top5')
        ),
    }
    for row in rows:
        assert all(map(math.isfinite, row.values()))
        assert row['train_total_loss'] == pytest.approx(
            row['train_loss']
            + row['train_weight_decay']
            + 0.3 * row['train_aux1_loss'],
            rel=1e-5,
        )


def test_results_are_those_of_the_best_epoch(finished):
    run_dir, results = finished
    best = metrics(run_dir)[results['best_epoch'] - 1]
    for weights, prefix in (('averaged', 'validation_averaged'), ('raw', 'validation')):
        assert results['by_weights'][weights]['validation'] == {
            name: best[f'{prefix}_{name}'] for name in ('loss', 'top1', 'top5')
        }


@pytest.mark.parametrize(
    'part, scalars, images',
    [
        (
            'train',
            {
                'loss/total': 4,
                'loss/weight_decay': 4,
                'loss/main': 4,
                'loss/aux1': 4,
                'top1/main': 4,
                'top5/aux1': 4,
                'gradient_norm': 4,
                'learning_rate': 4,
                'images_per_second': 4,
            },
            'training images',
        ),
        (
            'validation',
            {
                'loss/main': 2,
                'top1/main': 2,
                'top5/main': 2,
                'loss/main_averaged': 2,
                'top1/main_averaged': 2,
                'top5/main_averaged': 2,
            },
            'validation predictions',
        ),
    ],
)
def test_tensorboard_can_read_it(finished, part, scalars, images):
    events = EventAccumulator(str(finished[0] / 'tensorboard' / part))
    events.Reload()
    assert images in events.Tags()['tensors']
    for tag, count in scalars.items():
        assert len(events.Tensors(tag)) == count, tag
    if part == 'train':
        assert [event.step for event in events.Tensors('loss/total')] == [2, 3, 4, 6]
        assert 'configuration' in events.Tags()['tensors']


def test_other_settings_are_refused_by_name(finished):
    before = contents(finished[0])
    with pytest.raises(RunDirectoryError, match='ema: 0.9 in the run, 0.8 now'):
        run(finished[0], **{**AVERAGED, 'ema': 0.8})
    assert contents(finished[0]) == before


def test_second_call_trains_no_more(finished):
    run_dir, first = finished
    before = contents(run_dir)
    second = run(run_dir, **AVERAGED, log_every=3, resume='must')
    changed = contents(run_dir)
    for name in before:
        if name.startswith(('checkpoints', 'metrics.csv', 'samples')):
            assert changed[name] == before[name]
    for key in ('best_epoch', 'epochs', 'steps', 'validation', 'test'):
        assert second[key] == first[key]
    assert second['training_seconds'] == first['training_seconds']
    assert len(json.loads(changed['environment.json'])) == 2


def test_never_resume(finished):
    with pytest.raises(RunDirectoryError, match='expected no run there'):
        run(finished[0], resume='never')


def test_must_resume(tmp_path):
    with pytest.raises(RunDirectoryError, match='expected a run to resume'):
        run(tmp_path / 'run', resume='must')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'settings, expected',
    [
        ({}, 'runs/inception_v1-shapes'),
        ({'recipe': 'shapes'}, 'runs/inception_v1-shapes'),
        ({'recipe': 'default'}, 'runs/inception_v1-shapes-default'),
        ({'recipe': 'default', 'dataset': 'cifar10'}, 'runs/inception_v1-cifar10'),
        (
            {'recipe': 'system_a', 'model': 'googlenet'},
            'runs/googlenet-shapes-system_a',
        ),
    ],
)
def test_default_run_dir(settings, expected):
    assert default_run_dir(Config(**settings)) == expected


ESTIMATED = {
    'model': 'cifar_cnn',
    'model_options': ('filters:4', 'block_dropout:0.5'),
    'dense': ('none',),
    'epochs': 1,
    'augment': ('rotate:90',),
    'ema': 0.9,
    'precise_bn': 16,
}


@pytest.fixture(scope='module')
def estimated(tmp_path_factory) -> Path:
    """A run whose batch norms have the statistics of unaugmented images."""
    run_dir = tmp_path_factory.mktemp('estimated') / 'run'
    run(run_dir, **ESTIMATED)
    return run_dir


def test_batch_norms_have_the_statistics_of_unaugmented_images(estimated):
    source = load_source(Config(**{**SHORT, **ESTIMATED}))
    batches = data.train_batches(
        source.splits['train'],
        batch_size=8,
        image_size=32,
        seed=0,
        augment=(),
        end_step=2,
    )
    for weights in ('best', 'last'):
        network = from_run(estimated, weights).network
        stored = [v.numpy() for v in network.variables]
        for count, batch in enumerate(batches, start=1):
            network.estimate_batch_statistics(batch.images, tf.constant(1 / count))
        for variable, value in zip(network.variables, stored):
            np.testing.assert_allclose(variable, value, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_stopped_while_it_evaluates_it_ends_with_the_same_bits(
    estimated, tmp_path, monkeypatch
):
    evaluate, calls = TrainingPhase.evaluate, []

    def interrupted(phase: TrainingPhase, batches) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 3:  # of the averaged weights, after the check of the start
            raise Stopped('now')
        return evaluate(phase, batches)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingPhase, 'evaluate', interrupted)
        with pytest.raises(Stopped):
            run(tmp_path / 'run', **ESTIMATED)
    run(tmp_path / 'run', resume='must', **ESTIMATED)
    for kind in ('last', 'best'):
        for part in ('model', 'averages'):
            arrays, _ = read_variables(tmp_path / 'run/checkpoints' / kind, part)
            expected, _ = read_variables(estimated / 'checkpoints' / kind, part)
            assert {n: a.tobytes() for n, a in arrays.items()} == {
                n: a.tobytes() for n, a in expected.items()
            }


@pytest.mark.slow
def test_size_schedule(tmp_path, finished):
    run(tmp_path, **AVERAGED, image_size_schedule=('16@0', '32@1'))
    small, full = metrics(tmp_path), metrics(finished[0])
    assert small[0]['train_loss'] != full[0]['train_loss']
    assert len(small) == 2


def test_size_that_the_heads_cannot_take(tmp_path):
    with pytest.raises(ConfigError, match='Train on larger images'):
        run(tmp_path / 'run', image_size_schedule=('32@0', '4@1'))


@pytest.mark.parametrize(
    'refused, error',
    [
        ({'image_size_schedule': ('4@0',)}, ConfigError),
        ({'augment': ('flop',)}, ConfigError),
        ({'batch_size': 4000}, DatasetError),
        ({'model': 'smal'}, UserError),
    ],
)
def test_refused_settings_leave_no_run_behind(tmp_path, refused, error):
    with pytest.raises(error):
        run(tmp_path / 'run', **refused)
    assert not (tmp_path / 'run').exists()


def test_overfitting_leaves_out_what_prevents_it(tmp_path, monkeypatch, caplog):
    loops: list[Loop] = []

    def run_loop(loop: Loop) -> None:
        loops.append(loop)
        raise Stopped('as soon as it begins')

    asked: list[bool] = []
    experimental = tf.config.experimental
    monkeypatch.setattr(
        experimental, 'enable_op_determinism', lambda: asked.append(True)
    )
    monkeypatch.setattr(Loop, 'run', run_loop)
    rates = ('dropout', 'feature_dropout', 'aux_dropout')
    prevented = {
        'augment': ('flip',),
        'image_size_schedule': ('16@0', '32@1'),
        'label_smoothing': 0.1,
        'weight_decay': 0.1,
        'finetune_learning_rate': 0.1,  # without effect, and said to be
        **dict.fromkeys(rates, 0.5),
    }
    settings = {
        'model': 'cifar_cnn',
        'model_options': ('block_dropout:0.5', 'filters:4'),
    }
    for count in (0, 1):
        with pytest.raises(Stopped):
            run(
                tmp_path / str(count),
                **settings | prevented,
                overfit_batches=count,
                deterministic=count == 1,
            )
        config, network = loops[-1].config, loops[-1].state.model
        values = {name: config.to_dict()[name] for name in prevented}
        if count:
            expected = {
                'augment': [],
                'image_size_schedule': [],
                'label_smoothing': 0.0,
                'weight_decay': 0.0,
                'finetune_learning_rate': 0.1,
                **dict.fromkeys(rates, 0.0),
            }
            assert values == expected
        assert set(network.dropout_rates.values()) == {0.0 if count else 0.5}
        assert dict(config.model_options)['filters'] == 4
        assert dict(config.model_options)['block_dropout'] == (0 if count else 0.5)
        assert len(asked) == count
        note = '--finetune_learning_rate has no effect without --finetune_epochs.'
        assert caplog.messages.count(note) == count + 1


def test_few_batches_are_overfitted(tmp_path):
    run(
        tmp_path,
        overfit_batches=2,
        limit_train_batches=0,
        limit_eval_batches=0,
        batch_size=4,
        epochs=8,
        learning_rate=3e-3,
        aux_weight=1.0,
        schedule='constant',
        augment=('flip',),
    )
    first, *_, last = metrics(tmp_path)
    assert first['step'] == 2
    assert last['train_aux1_top1'] == 1 > first['train_aux1_top1']
    assert last['train_total_loss'] < first['train_total_loss'] / 2


def test_dry_run_leaves_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    results = run(Path('run'), dry_run=True, resume='must', epochs=99)
    assert (results['epochs'], results['steps']) == (1, 1)
    assert not list(tmp_path.iterdir())


def test_dry_run_of_a_run_tries_what_it_recorded(
    finished, tmp_path, monkeypatch, caplog
):
    run_dir, _ = finished
    monkeypatch.chdir(run_dir.parent)
    config = config_of({'run_dir': 'run', 'dry_run': True})
    given = {**SHORT, 'log_every': config.log_every}
    assert config == config_of({**given, 'run_dir': 'run', 'dry_run': True})
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    before = contents(run_dir)
    with caplog.at_level('INFO'):
        results = train(config)
    assert (results['epochs'], results['steps']) == (1, 1)
    assert results['weights'] == 'averaged'
    assert 'Model       small' in caplog.text and 'Dry run passed' in caplog.text
    assert contents(run_dir) == before and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    'changed, message',
    [({'seed': 8}, 'seed: 0 in the run, 8 now'), ({'ema': 0.8}, 'ema: 0.9 in the run')],
)
def test_dry_run_with_other_settings_is_refused(finished, changed, message):
    run_dir, _ = finished
    before = contents(run_dir)
    for dry_run in (True, False):
        with pytest.raises(RunDirectoryError, match=message) as refused:
            run(run_dir, **{**AVERAGED, **changed}, dry_run=dry_run)
        assert str(run_dir) in str(refused.value)
    assert contents(run_dir) == before


def test_dry_run_with_other_classes_is_refused(finished, tmp_path):
    run_dir = tmp_path / 'run'
    shutil.copytree(finished[0], run_dir)
    labels = json.loads((run_dir / 'labels.json').read_bytes())
    (run_dir / 'labels.json').write_text(json.dumps(labels[::-1]))
    for dry_run in (True, False):
        with pytest.raises(RunDirectoryError, match='the data now has others'):
            run(run_dir, **AVERAGED, dry_run=dry_run)


def test_dry_run_that_is_never_to_resume_does_not_compare(finished, monkeypatch):
    monkeypatch.setattr(Loop, 'run', lambda loop: loop / 'is reached')
    with pytest.raises(TypeError, match='Loop'):
        run(finished[0], seed=8, resume='never', dry_run=True)


def test_divergence_ends_the_run_and_saves_no_bad_weights(tmp_path):
    # Every step ends with a checkpoint; the first leaves large but finite weights.
    with pytest.raises(DivergedError, match='lower --learning_rate'):
        run(tmp_path, optimizer='sgd', learning_rate=1e30, checkpoint_minutes=0.0)
    folders = list((tmp_path / 'checkpoints/last').glob('step-*'))
    assert folders
    for folder in folders:
        reader = tf.train.load_checkpoint(str(folder / 'variables'))
        for name, dtype in reader.get_variable_to_dtype_map().items():
            if dtype.is_floating:
                assert np.isfinite(reader.get_tensor(name)).all(), name
    assert not (tmp_path / 'results.json').exists()


@pytest.fixture
def one_broken(tmp_path) -> Path:
    """Tiny ImageNet in small, 3 classes of 10 images, one of which is none."""
    rng = np.random.default_rng(0)

    def image() -> bytes:
        pixels = rng.integers(0, 256, [64, 64, 3], np.uint8)
        return tf.io.encode_jpeg(pixels).numpy()

    root = tmp_path / 'tiny-imagenet-200'
    wnids = ('n01', 'n02', 'n03')
    for wnid in wnids:
        folder = root / 'train' / wnid / 'images'
        folder.mkdir(parents=True)
        for index in range(10):
            (folder / f'{wnid}_{index}.JPEG').write_bytes(image())
    (root / 'train/n02/images/n02_4.JPEG').write_bytes(b'not an image')
    val = root / 'val/images'
    val.mkdir(parents=True)
    for index in range(len(wnids)):
        (val / f'val_{index}.JPEG').write_bytes(image())
    lines = [f'val_{index}.JPEG\t{wnid}\n' for index, wnid in enumerate(wnids)]
    (root / 'val/val_annotations.txt').write_text(''.join(lines))
    (root / 'wnids.txt').write_text('\n'.join(wnids))
    (root / 'words.txt').write_text('n01\tgoldfish\nn02\ttabby, cat\nn03\tbucket')
    return root


@pytest.mark.parametrize(
    'cache, max_bad_fraction',
    [
        ('ram', 0.05),
        pytest.param('ram', 0.01, marks=pytest.mark.slow),
        pytest.param('off', 0.05, marks=pytest.mark.slow),
        pytest.param('off', 0.01, marks=pytest.mark.slow),
    ],
)
def test_broken_image(tmp_path, one_broken, cache, max_bad_fraction):
    run_dir = tmp_path / 'run'
    settings = {
        'dataset': 'tiny_imagenet',
        'data_dir': str(one_broken),
        'image_size': 32,
        'batch_size': 3,
        'limit_train_batches': 0,
        'limit_eval_batches': 0,
        'epochs': 1,
        'log_every': 50,
        'cache': cache,
        'max_bad_fraction': max_bad_fraction,
    }
    if max_bad_fraction == 0.05:
        assert run(run_dir, **settings)['epochs'] == 1
    else:  # one of 33 is more than 1 %
        with pytest.raises(DatasetError, match='of the 33 images .*undecodable'):
            run(run_dir, **settings)
    with (run_dir / 'bad_files.csv').open(newline='') as file:
        header, (path, name, reason) = csv.reader(file)
    assert header == ['path', 'class', 'reason']
    assert (path, name) == ('train/n02/images/n02_4.JPEG', 'tabby')
    assert reason
