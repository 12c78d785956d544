"""A classifier from a run, a checkpoint, or weights that are not of a run."""

import functools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny_run
from small_network import one_convolution

from trainers.inference.classifier import (
    Classifier,
    Temperature,
    from_pretrained,
    from_run,
    read_temperature,
    softmax,
    store_temperature,
)
from trainers.inference.labels import read_labels
from trainers.run.source import load_source
from trainers.settings.config import Config
from trainers.storage.checkpoints import CheckpointError
from trainers.storage.run_directory import RunDirectoryError
from vision.data import eval_batches
from vision.errors import UserError
from vision.models import MODELS, Network, create, imagenet
from vision.models.pretrained import variables_by_path
from vision.models.specification import Specification
from vision.registry import Entry


@pytest.fixture(scope='module')
def run_dir(trained_run) -> Path:
    return trained_run


@pytest.fixture
def copy(run_dir, tmp_path) -> Path:
    return Path(shutil.copytree(run_dir, tmp_path / 'copy'))


def steps(run_dir: Path, kind: str) -> list[Path]:
    return sorted((run_dir / 'checkpoints' / kind).glob('step-*'))


@pytest.fixture(scope='module')
def images() -> tf.Tensor:
    rng = np.random.default_rng(1)
    return tf.constant(rng.integers(0, 256, [4, 32, 32, 3], np.uint8))


def test_a_run_is_read_with_everything_it_recorded(run_dir):
    classifier = from_run(run_dir)
    results = json.loads((run_dir / 'results.json').read_text())
    source = load_source(Config(**tiny_run.SETTINGS))
    assert classifier.classes == source.classes and classifier.ids == source.ids
    assert classifier.image_size == 32
    in_force = {  # of the network and the dataset
        'dropout': 0.5,
        'feature_dropout': 0.0,
        'image_size': 32,
        'normalization': 'unit',
        'pooling': 'average',
    }
    assert classifier.run.config == Config(
        **tiny_run.SETTINGS, **in_force, run_dir=str(run_dir)
    )
    assert classifier.run.epoch == results['best_epoch']
    assert classifier.run.step == 3 * results['best_epoch']
    assert classifier.temperature == Temperature(1.0, '', 0)
    assert classifier.origin == (
        f'{run_dir}, best weights, epoch {results["best_epoch"]}'
    )
    last = from_run(run_dir, 'last')
    assert (last.run.step, last.run.epoch) == (6, 2)
    assert last.origin == f'{run_dir}, last weights, epoch 2'


def test_it_scores_the_test_images_as_the_run_did(run_dir):
    # The whole way: weights, normalization and images are those of training.
    classifier = from_run(run_dir)
    source = load_source(Config(**tiny_run.SETTINGS))
    hits = 0
    for batch in eval_batches(
        source.splits['test'], batch_size=8, image_size=32, limit=2
    ):
        logits = classifier.logits(batch.images).main.numpy()
        hits += int((logits.argmax(1) == batch.labels.numpy()).sum())
    results = json.loads((run_dir / 'results.json').read_text())
    assert hits / 16 == pytest.approx(results['test']['top1'])


@pytest.mark.parametrize('kind', ['best', 'last'])
def test_a_checkpoint_of_a_run_still_belongs_to_it(run_dir, images, kind):
    whole = from_run(run_dir, kind)
    for path in (run_dir / 'checkpoints' / kind, steps(run_dir, kind)[-1]):
        part = from_run(path)
        assert part.run.step == whole.run.step and part.ids == whole.ids
        np.testing.assert_array_equal(
            part.logits(images).main, whole.logits(images).main
        )


def test_a_checkpoint_on_its_own(run_dir, tmp_path, images):
    step = steps(run_dir, 'best')[-1]
    shutil.copytree(step, tmp_path / step.name)
    whole = from_run(run_dir)
    for path in (tmp_path, tmp_path / step.name):
        alone = from_run(path)
        assert alone.run is None and alone.classes == whole.classes
        assert alone.origin == f'{path}, of epoch {whole.run.epoch}'
        np.testing.assert_array_equal(
            alone.logits(images).main, whole.logits(images).main
        )


def test_a_checkpoint_by_another_name(run_dir, tmp_path):
    shutil.copytree(steps(run_dir, 'best')[-1], tmp_path / 'renamed')
    with pytest.raises(RunDirectoryError) as error:
        from_run(tmp_path / 'renamed')
    assert str(error.value) == (
        f'{tmp_path}/renamed: expected the name of a checkpoint to be step-<number>, '
        'such as step-12. Rename the folder.'
    )


def test_a_folder_without_a_run(tmp_path, run_dir):
    (tmp_path / 'file.txt').write_text('no run')
    for path in (tmp_path, tmp_path / 'nothing', tmp_path / 'file.txt'):
        with pytest.raises(RunDirectoryError) as error:
            from_run(path)
        assert str(error.value) == (
            f'{path}: expected the folder of a run, with a config.json in it, or a '
            'checkpoint. Give the --run_dir that the training was started with.'
        )
    for path in (run_dir / 'checkpoints/nothing', run_dir / 'config.json'):
        with pytest.raises(CheckpointError, match=str(path)):
            from_run(path)


def test_a_run_without_its_first_epoch(copy):
    shutil.rmtree(copy / 'checkpoints/best')
    with pytest.raises(CheckpointError, match='best weights after its first epoch'):
        from_run(copy)
    assert from_run(copy, 'last').run.step == 6


@pytest.mark.parametrize('which', ['weights', 'labels', 'config'])
def test_a_damaged_run(copy, which):
    if which == 'weights':
        for step in steps(copy, 'best'):
            for file in step.iterdir():
                file.write_bytes(file.read_bytes()[:100])
    else:
        (copy / f'{which}.json').write_text('{')
    with pytest.raises(UserError):
        from_run(copy)


def test_types_of_the_arithmetic(run_dir, images):
    exact = from_run(run_dir).logits(images).main
    for precision, tolerance in (('bfloat16', 0.1), ('float16', 0.02)):
        logits = from_run(run_dir, precision=precision).logits(images).main
        assert logits.dtype == tf.float32
        np.testing.assert_allclose(logits, exact, atol=tolerance)
        assert (logits != exact).numpy().any()


def test_any_number_of_images_is_one_trace(run_dir, images, monkeypatch):
    traced, every_head = [], Network.every_head
    monkeypatch.setattr(
        Network, 'every_head', lambda *args: traced.append(1) or every_head(*args)
    )
    classifier = from_run(run_dir)
    two = classifier.logits(images[:2]).main
    np.testing.assert_array_equal(two, classifier.logits(images).main[:2])
    assert len(traced) == 1


with_heads = functools.partial(one_convolution, image_size=16, normalization='unit')


def test_auxiliary_heads_answer():
    network = with_heads(3)
    specification = Specification('custom', ('a', 'b', 'c'), 16, 'unit')
    images = tf.zeros([2, 16, 16, 3], tf.uint8)
    outputs = Classifier(network, specification, '').logits(images)
    assert outputs.main.shape == (2, 3)
    (aux,) = outputs.aux
    np.testing.assert_allclose(aux, network.every_head(images).aux[0], atol=1e-6)


def test_memory_of_the_largest_operation():
    network = create('cifar_cnn', classes=2, image_size=32, filters=(4, 8, 8))
    specification = Specification('cifar_cnn', ('a', 'b'), 32, 'unit')
    # The first convolution's map of 4 channels goes in, and another comes out.
    assert Classifier(network, specification, '').bytes_per_image >= (
        2 * 4 * 32 * 32 * 4
    )


def test_softmax():
    logits = np.array(
        [[1000.0, 1000.0, -1000.0], [0.0, np.log(2), np.log(5)]], np.float32
    )
    probabilities = softmax(logits)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(
        probabilities, [[0.5, 0.5, 0], [1 / 8, 2 / 8, 5 / 8]], rtol=1e-6
    )


@pytest.mark.parametrize(
    'temperature, expected',
    [
        (1.0, [1 / 4, 3 / 4]),
        (0.5, [1 / 10, 9 / 10]),
        (1e6, [1 / 2, 1 / 2]),
        (1e-60, [0, 1]),
    ],
)
def test_probabilities_at_a_temperature(run_dir, temperature, expected):
    classifier = from_run(run_dir, temperature=temperature)
    assert classifier.temperature == Temperature(temperature)
    logits = np.array([0, np.log(3)], np.float32)
    np.testing.assert_allclose(classifier.probabilities(logits), expected, rtol=1e-5)


def test_a_stored_temperature_is_that_of_its_weights(copy, caplog):
    temperature = Temperature(1.7, 'validation', 16)
    run = from_run(copy).run
    assert store_temperature(run, temperature) == copy / 'calibration.json'
    assert from_run(copy).temperature == temperature
    assert from_run(copy, temperature=2.5).temperature == Temperature(2.5)
    assert not caplog.records
    for other in (run._replace(step=run.step + 1), run._replace(averaged=False)):
        caplog.clear()
        assert read_temperature(other) == Temperature()
        kind = 'averaged' if other.averaged else 'raw'
        assert caplog.messages == [
            f'{copy}/calibration.json is not used: it was fitted for the averaged '
            f'weights of step {run.step}; these are the {kind} ones of step '
            f'{other.step}.'
        ]


def test_raw_and_averaged_weights_of_one_step_have_temperatures_of_their_own(copy):
    (best,) = steps(copy, 'best')
    last = copy / 'checkpoints' / 'last' / best.name
    assert last in steps(copy, 'last')
    store_temperature(from_run(best).run, Temperature(1.7))
    assert from_run(best).temperature.value == 1.7
    assert from_run(last).temperature.value == 1


def test_a_temperature_stored_by_version_0_1(copy):
    run = from_run(copy).run
    (copy / 'calibration.json').write_text(
        f'{{"temperature": 1.5, "split": "validation", "pictures": 40, '
        f'"step": {run.step}, "averaged": true}}'
    )
    assert from_run(copy).temperature == Temperature(1.5, 'validation', 40)


@pytest.mark.parametrize(
    'content',
    [
        '{',
        '[]',
        '{}',
        '{"step": 0, "averaged": true}',
        'null',
        '{"step": STEP, "averaged": true, "temperature": 0, "split": "test", '
        '"images": 1}',
        '{"step": STEP, "averaged": true, "temperature": NaN, "split": "test", '
        '"images": 1}',
        '{"step": STEP, "averaged": true, "temperature": "1", "split": "test", '
        '"images": 1}',
    ],
)
def test_a_garbled_temperature(copy, content):
    step = from_run(copy).run.step
    (copy / 'calibration.json').write_text(content.replace('STEP', str(step)))
    if content.startswith('{"step": 0'):  # of other weights, so the rest is not read
        assert from_run(copy).temperature == Temperature()
        return
    with pytest.raises(RunDirectoryError) as error:
        from_run(copy)
    if content == '{':
        assert f'{copy}/calibration.json: expected the JSON that' in str(error.value)
    else:
        assert str(error.value).startswith(
            f'{copy}/calibration.json: expected a temperature as python -m '
            'scripts.evaluate --calibrate writes it, got '
        )
        assert str(error.value).endswith('. Remove the file, or run that again.')
    assert from_run(copy, temperature=2.0).temperature.value == 2


@pytest.fixture(scope='module')
def weights(tmp_path_factory) -> Path:
    """The weights of a network of 3 classes in a file."""
    network = create('small_cnn', classes=3, image_size=16, filters=(4,))
    path = tmp_path_factory.mktemp('weights') / 'weights.npz'
    arrays = {name: v.numpy() for name, v in variables_by_path(network).items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def _config(weights: Path | str, **settings) -> Config:
    return Config(
        **{
            'model': 'small_cnn',
            'model_options': ('filters:4',),
            'image_size': 16,
            'pretrained': str(weights),
            **settings,
        }
    )


def _labels(folder: Path, *lines: str) -> str:
    path = folder / 'labels.txt'
    path.write_text('\n'.join(lines), encoding='utf-8')
    return str(path)


def test_weights_that_are_not_of_a_run(weights, tmp_path):
    labels = _labels(tmp_path, 'cat', 'dog', 'owl')
    half = from_pretrained(_config(weights), labels, precision='bfloat16')
    assert half.network.dtype == tf.bfloat16 and half.temperature == Temperature()
    classifier = from_pretrained(_config(weights), labels, temperature=1.5)
    assert classifier.classes == classifier.ids == ('cat', 'dog', 'owl')
    assert (classifier.image_size, classifier.run) == (16, None)
    assert classifier.temperature == Temperature(1.5)
    assert classifier.origin == f'small_cnn with the weights of {weights}'
    with np.load(weights) as arrays:
        for name, variable in variables_by_path(classifier.network).items():
            np.testing.assert_array_equal(variable, arrays[name])


@pytest.mark.parametrize(
    'settings, lines, message',
    [
        (
            {},
            ['cat', 'dog'],
            r'Expected --pretrained=.* to have a classifier of 2 classes: .* Pass '
            'weights with one, or the names of its classes with --labels; or train one '
            r'with python -m scripts.train --pretrained=\.\.\.$',
        ),
        (
            {},
            ['cat', 'dog', 'cat', 'owl'],
            'Expected --labels to name two different classes or more, got '
            "'cat' twice in .*labels.txt",
        ),
        ({}, ['cat'], '1 lines in .*labels.txt'),
        ({}, ['', ' '], '0 lines in .*labels.txt'),
        (
            {'image_size': 1},
            ['cat', 'dog', 'owl'],
            'at least 2 pixels for small_cnn, received image_size=1',
        ),
        (
            {'pretrained': 'nothing.npz'},
            ['cat', 'dog', 'owl'],
            'there is nothing at nothing.npz',
        ),
    ],
)
def test_weights_that_name_no_classes(weights, tmp_path, settings, lines, message):
    with pytest.raises(UserError, match=message):
        from_pretrained(
            _config(**{'weights': weights, **settings}), _labels(tmp_path, *lines)
        )


def test_names_of_classes_in_a_file(tmp_path):
    path = _labels(
        tmp_path, '\ufeff n01 not an id', '', '  spaces  ', 'Käse\x0b', '日本'
    )
    names = ('n01 not an id', 'spaces', 'Käse', '日本')
    assert read_labels(Path(path)) == (names, names)
    path = _labels(tmp_path, 'n02012849 crane', 'n03126707 crane', 'n01440764 tench, T')
    assert read_labels(Path(path)) == (
        ('n02012849', 'n03126707', 'n01440764'),
        ('crane (n02012849)', 'crane (n03126707)', 'tench, T'),
    )


def test_a_file_of_classes_that_cannot_be_read(tmp_path):
    (tmp_path / 'latin.txt').write_bytes(b'caf\xe9\ncake')
    for path in (tmp_path / 'latin.txt', tmp_path / 'nothing', tmp_path):
        with pytest.raises(
            UserError, match='Expected --labels to be a text file in'
        ) as e:
            read_labels(path)
        assert f' UTF-8 with a class a line, got {path}: ' in str(e.value)


def test_weights_of_1000_classes_have_the_classes_of_imagenet(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS, 'heads', Entry(f'{__name__}:with_heads', 'Heads.'))
    network = with_heads(1000, auxiliary=False)
    arrays = {name: v.numpy() for name, v in variables_by_path(network).items()}
    np.savez(tmp_path / 'weights.npz', **arrays)  # type: ignore[arg-type]
    config = Config(model='heads', pretrained=str(tmp_path / 'weights.npz'))
    classifier = from_pretrained(config)
    assert classifier.classes == imagenet.class_names()
    assert classifier.ids == imagenet.class_ids()
    assert len(set(classifier.ids)) == 1000
    assert (classifier.image_size, classifier.network.heads) == (16, {})


@pytest.mark.slow
def test_googlenet_has_the_classes_of_imagenet(data_folder):
    classifier = from_pretrained(
        Config(model='googlenet', pretrained=str(data_folder / 'googlenet_bvlc.npz'))
    )
    assert classifier.classes == imagenet.class_names()
    assert classifier.ids == imagenet.class_ids()
    assert (classifier.image_size, classifier.network.heads) == (224, {})
