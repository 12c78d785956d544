"""Every image is evaluated once; metrics agree with those of training."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainers.evaluation import calibration, metrics
from trainers.evaluation.evaluation import evaluate, fit_temperature
from trainers.inference.classifier import Temperature
from trainers.step.trainer import Trainer
from vision import data
from vision.data import DatasetError, HeldOut
from vision.errors import UserError

CLASSES = ('a', 'b', 'c', 'd', 'e', 'f')


@pytest.fixture(scope='module')
def classifier(make_classifier):
    return make_classifier(CLASSES)


def test_1003_images_in_batches_of_64_are_1003(classifier, make_source):
    source = make_source(CLASSES, 1003)
    done = []
    evaluated = evaluate(
        classifier,
        source=source,
        batch_size=64,
        progress=lambda now, total: done.append((now, total)),
    )
    assert (
        len(evaluated)
        == 1003
        == evaluated.confusion.sum()
        == evaluated.by_class.support.sum()
    )
    assert evaluated.reliability.counts.sum() == 1003
    assert evaluated.names == list(source.splits['test'].names)
    np.testing.assert_array_equal(evaluated.labels, source.splits['test'].labels)
    assert done[-1] == (1003, 1003) and len(done) == 16
    at_once = evaluate(classifier, 'test', source=source, batch_size=1003)
    np.testing.assert_allclose(evaluated.main, at_once.main, atol=1e-5)


def test_probabilities_are_softmaxed_once_and_sum_to_one(classifier, make_source):
    evaluated = evaluate(classifier, source=make_source(CLASSES, 70))
    for temperature in (1.0, 0.5):
        evaluated = dataclasses.replace(evaluated, temperature=Temperature(temperature))
        powers = np.exp(evaluated.main.astype(np.float64) / temperature)
        np.testing.assert_allclose(
            evaluated.probabilities, powers / powers.sum(1, keepdims=True), rtol=1e-5
        )
        np.testing.assert_allclose(evaluated.probabilities.sum(1), 1, rtol=1e-6)
        np.testing.assert_array_equal(
            evaluated.confidence, evaluated.probabilities.max(1)
        )
        # Reliability is that of the temperature, and for comparison that of 1.
        sure = np.exp(
            evaluated.main.astype(np.float64) - evaluated.main.max(1)[:, None]
        )
        for actual, confidence in (
            (evaluated.reliability, evaluated.confidence),
            (evaluated.uncalibrated_reliability, 1 / sure.sum(1)),
        ):
            expected = calibration.reliability(confidence, evaluated.correct)
            np.testing.assert_allclose(
                actual.confidence, expected.confidence, rtol=1e-5
            )
            np.testing.assert_array_equal(actual.counts, expected.counts)
    assert (evaluated.probabilities.max(1) > 1.01 / sure.sum(1)).all()
    # The temperature changes probabilities, not predictions.
    assert (evaluated.losses != evaluated.calibrated_losses).any()
    np.testing.assert_array_equal(evaluated.predicted, evaluated.main.argmax(1))


@pytest.mark.parametrize('auxiliary', [False, True])
def test_metrics_of_every_head_agree_with_training(
    make_classifier, make_source, auxiliary
):
    from trainers.settings.config import Config
    from trainers.step.precision import resolve

    size = 16 if auxiliary else 8
    classifier = make_classifier(CLASSES, size, auxiliary)
    source = make_source(CLASSES, 21, size)
    evaluated = evaluate(classifier, 'validation', source=source, batch_size=8)
    trainer = Trainer(
        classifier.network, Config(model='small_cnn'), 1, resolve('float32')
    )
    expected = trainer.phases[0].evaluate(
        data.eval_batches(source.splits['validation'], batch_size=5, image_size=size)
    )
    main = evaluated.heads['main']
    assert main.top1 == pytest.approx(expected['top1'])
    assert main.top5 == pytest.approx(expected['top5'])
    assert main.loss == pytest.approx(expected['loss'], rel=1e-5)
    assert list(evaluated.heads) == (
        ['main', 'aux1', 'aux2'] if auxiliary else ['main']
    )
    for name, head in evaluated.heads.items():
        assert (
            head.top1 == (evaluated.logits[name].argmax(1) == evaluated.labels).mean()
        )
        for share, interval in (
            (head.top1, head.top1_interval),
            (head.top5, head.top5_interval),
        ):
            assert interval == metrics.wilson_interval(round(21 * share), 21)
        assert head.loss == pytest.approx(
            metrics.losses(evaluated.logits[name], evaluated.labels).mean()
        )


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Images of three classes of the six, one in seven broken."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for label in 'fbd':
        for i in range(7):
            path = root / 'test' / label / f'{i}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, [8, 8, 3], np.uint8)).save(path)
        path.write_bytes(b'no image')
        (root / 'train' / label).mkdir(parents=True)
        for i in range(3):
            Image.new('RGB', (8, 8)).save(root / 'train' / label / f'{i}.png')
    return data.load('image_folder', str(root), HeldOut())


def test_bad_images_are_in_no_metric_and_are_listed(classifier, source):
    evaluated = evaluate(
        classifier, 'test', source=source, batch_size=4, max_bad_fraction=0.5
    )
    assert (
        len(evaluated)
        == 18
        == evaluated.confusion.sum()
        == evaluated.reliability.counts.sum()
    )
    assert [file.name for file in evaluated.bad_files] == [
        'test/b/6.png',
        'test/d/6.png',
        'test/f/6.png',
    ]
    assert not {file.name for file in evaluated.bad_files} & set(evaluated.names)
    # Labels are the network's, by name.
    assert {
        name.split('/')[1]: CLASSES[label]
        for name, label in zip(evaluated.names, evaluated.labels)
    } == {'b': 'b', 'd': 'd', 'f': 'f'}
    # Logits are in the order of the images.
    paths = np.array(source.splits['test'].paths)[evaluated.indices]
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    np.testing.assert_allclose(
        evaluated.main, classifier.logits(pixels).main, atol=1e-5
    )


def test_too_many_bad_images_are_an_error(classifier, source):
    with pytest.raises(DatasetError, match='At most 1.00% of the 30 images'):
        evaluate(classifier, 'test', source=source)


def test_no_good_image_at_all_is_an_error(classifier, make_source):
    source = make_source(CLASSES, 3)
    bad = dataclasses.replace(
        source.splits['test'], sample_weights=np.zeros(3, np.float32)
    )
    source = dataclasses.replace(source, splits={**source.splits, 'test': bad})
    with pytest.raises(DatasetError, match='none of its 3 could be decoded'):
        evaluate(classifier, 'test', source=source)


def test_logits_that_are_not_finite_are_an_error(make_classifier, make_source):
    classifier = make_classifier(CLASSES)
    variable = classifier.network.variables[0]
    variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(UserError) as error:
        evaluate(classifier, source=make_source(CLASSES))
    assert str(error.value) == (
        'Expected finite logits, but those of the main head are not for 20 of 20 '
        'images, such as test/0. Pass --precision=float32; if that does not help, the '
        'weights are damaged.'
    )


def test_temperature_is_fitted_to_what_was_evaluated(classifier, make_source):
    source = make_source(CLASSES, 60)
    evaluated = evaluate(classifier, 'validation', source=source)
    # Labels that the network predicts better than chance.
    labels = np.where(np.arange(60) % 3, evaluated.predicted, evaluated.labels)
    evaluated = dataclasses.replace(evaluated, labels=labels.astype(np.int32))
    temperature = fit_temperature(evaluated)
    assert (temperature.split, temperature.images) == ('validation', 60)
    fitted = dataclasses.replace(evaluated, temperature=temperature)
    assert fitted.calibrated_losses.mean() < evaluated.losses.mean()


def test_a_run_is_evaluated_on_its_own_images(classifier):
    run = Path(__file__).parents[2] / 'earlier_runs/version_0_1/two_phases'
    evaluated = evaluate(run, 'validation', views='flip')
    assert evaluated.classifier.run.directory.path == run
    assert (evaluated.source.name, evaluated.split_name) == ('shapes', 'validation')
    again = evaluate(
        evaluated.classifier, 'validation', source=evaluated.source, views='flip'
    )
    np.testing.assert_array_equal(evaluated.main, again.main)
    assert (evaluated.views_per_image, again.heads) == (2, evaluated.heads)
    # All images, wherever the run had them from, and however few it was trained on.
    config = dataclasses.replace(
        evaluated.classifier.run.config, overfit_batches=1, download=True
    )
    evaluated.classifier.run = evaluated.classifier.run._replace(config=config)
    assert len(evaluate(evaluated.classifier, 'validation')) == 500
    with pytest.raises(UserError, match='Expected source=... with random weights'):
        evaluate(classifier)
