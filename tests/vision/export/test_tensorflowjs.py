"""The whole export to TensorFlow.js: built, converted, run in Node and in the page."""

import io
import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainers.inference import classifier
from trainers.settings.config import Config
from vision.data.decoding import decode
from vision.errors import UserError
from vision.export import browser, converter_environment
from vision.export.checking import compare
from vision.export.formats import Bundle
from vision.export.saved_model import SavedModel
from vision.export.tensorflowjs import TensorFlowJs
from vision.models.specification import Specification

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

CLASSES = ('<b>ant</b>', 'bee & co', 'Käfer', 'byte \udcff')


@pytest.fixture(scope='module')
def form() -> TensorFlowJs:
    """With the converter in $TAPESTRY_CONVERTER, which is built if it is missing."""
    folder = os.environ.get('TAPESTRY_CONVERTER')
    if not folder:
        pytest.skip(
            '$TAPESTRY_CONVERTER is not set: the folder of the converter, 2.7 '
            'GB, which is built if it is not there'
        )
    for program in ('node', 'npm'):
        if shutil.which(program) is None:
            pytest.skip(f'there is no {program} on the PATH')
    converter_environment.build(Path(folder))
    form = TensorFlowJs(Path(folder))
    form.check_available()
    return form


@pytest.fixture(scope='module')
def program() -> str:
    executable = browser.find()
    if executable is None:
        pytest.skip('there is no Chromium on the PATH')
    return executable


@pytest.fixture(scope='module')
def tiny() -> Bundle:
    tf.random.set_seed(3)
    specification = Specification(
        'cifar_cnn',
        CLASSES,
        32,
        'standardize',
        options={'filters': (4, 8, 8), 'dense': (8,)},
    )
    return Bundle(specification.build(), specification, CLASSES, 0.25)


@pytest.fixture(scope='module')
def page(form, tiny, tmp_path_factory) -> Path:
    return export(form, tiny, tmp_path_factory.mktemp('out of here'))


def export(form: TensorFlowJs, bundle: Bundle, folder: Path) -> Path:
    nothing = np.zeros((0, 1, 1, 3), np.uint8)
    SavedModel().convert(bundle, folder, folder / 'saved_model', nothing)
    form.convert(bundle, folder / 'saved_model', folder / 'web', nothing)
    return folder / 'web'


def expected(bundle: Bundle, images: np.ndarray) -> np.ndarray:
    logits = bundle.network(tf.constant(images)).main
    return tf.nn.softmax(logits / bundle.temperature).numpy()


def noise(count: int, side: int) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (count, side, side, 3), np.uint8)


def file(image: np.ndarray, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


def largest(shown: browser.Result, probabilities: np.ndarray) -> float:
    """The largest difference of a probability that the page shows."""
    assert not shown.failure
    return max(abs(probabilities[label] - p) for label, p in shown.top.items())


def test_it_predicts_what_the_model_predicts(form, tiny, page, caplog):
    caplog.set_level(logging.INFO)
    images = noise(9, 32)
    predictions = form.run(page, images)
    assert predictions.milliseconds > 0
    assert compare(form, predictions, expected(tiny, images)).failures == ()
    told = (
        'with 8 images'
        if browser.find()
        else 'No Chromium on the PATH: the page was not tested in a browser'
    )
    assert told in caplog.text


def test_the_folder_is_complete_in_itself(page):
    described = json.loads((page / 'description.json').read_text('ascii'))
    assert described['classes'] == list(CLASSES)
    assert {path.name for path in page.iterdir()} == {
        'index.html',
        'style.css',
        'app.js',
        'network.js',
        'image.js',
        'model',
        'tfjs',
        'description.json',
    }


def test_the_page_prepares_images_as_the_pipeline_does(program, tiny, page):
    """Other shapes, EXIF orientation, and a JPEG, which browsers decode themselves."""
    wide = np.asarray(Image.fromarray(noise(1, 9)[0]).resize((150, 100)))
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        'wide.png': file(wide, 'PNG'),
        'tall.png': file(wide[:, :40], 'PNG'),
        'turned.jpg': file(wide, 'JPEG', quality=95, exif=turned.tobytes()),
    }
    shown = browser.classify(program, page, list(files.items()))
    for result, contents in zip(shown, files.values()):
        image = decode.fit(decode.decode(tf.constant(contents)), 32).numpy()
        assert largest(result, expected(tiny, image[None])[0]) < 5e-3, result.name


def test_the_page_shows_names_as_text_and_goes_on_after_what_is_no_image(
    program, tiny, page
):
    good = browser.pngs(noise(1, 32))[0]
    bad = ('<i>letter</i>.txt', b'dear')
    first, second, third = browser.classify(program, page, [good, bad, good])
    assert first == third
    assert len(first.top) == len(CLASSES)
    assert list(first.names) == [CLASSES[label] for label in first.top]
    assert second.name == '<i>letter</i>.txt'
    assert second.failure == 'The browser cannot read this file as an image.'
    assert not second.top


@pytest.mark.parametrize(
    'old, new, message',
    [
        ('b[1] - a[1]', 'a[1] - b[1]', 'Expected the page to show the probabilities'),
        (
            'row(classes[label]',
            'row(classes[0]',
            'Expected the page to name the classes',
        ),
        (
            'value.value = probability',
            'value.value = NaN',
            'show the probabilities.*nan',
        ),
    ],
)
def test_a_page_that_shows_something_else_fails(
    form, program, page, tmp_path, old, new, message
):
    shutil.copytree(page, tmp_path / 'web')
    script = tmp_path / 'web' / 'app.js'
    script.write_text(script.read_text('utf-8').replace(old, new), 'utf-8')
    with pytest.raises(UserError, match=message):
        form.run(tmp_path / 'web', noise(1, 32))


@pytest.mark.parametrize('change', [lambda p: p + 2e-3, lambda p: None])
def test_weights_that_compute_something_else_are_refused(
    form, program, page, tmp_path, change
):
    """A backend that computes something else has the same effect."""
    shutil.copytree(page, tmp_path / 'web')
    path = tmp_path / 'web' / 'description.json'
    description = json.loads(path.read_text('ascii'))
    values = description['check']['probabilities']
    values[2] = change(values[2])
    path.write_text(json.dumps(description), 'ascii')
    with pytest.raises(UserError, match='a probability differs by'):
        form.run(tmp_path / 'web', noise(1, 32))
    with pytest.raises(UserError, match='cannot be loaded: with cpu a probability'):
        browser.classify(program, tmp_path / 'web', [])


def test_a_page_without_its_model_fails(program, page, tmp_path):
    shutil.copytree(page, tmp_path / 'web')
    (tmp_path / 'web' / 'model' / 'model.json').unlink()
    with pytest.raises(UserError, match='The network cannot be loaded'):
        browser.classify(program, tmp_path / 'web', [])


def test_a_damaged_model_is_refused(form, page, tmp_path):
    shutil.copytree(page, tmp_path / 'web')
    (tmp_path / 'web' / 'model' / 'model.json').write_text('{}')
    with pytest.raises(UserError, match='Expected Node.js to run web'):
        form.run(tmp_path / 'web', noise(1, 32))


def test_what_is_no_saved_model_is_refused(form, tiny, tmp_path):
    (tmp_path / 'saved_model').mkdir()
    with pytest.raises(
        UserError,
        match='Expected the converter to TensorFlow.js to convert the network',
    ):
        form.convert(tiny, tmp_path / 'saved_model', tmp_path / 'web', noise(1, 32))


def test_googlenet_predicts_what_the_model_predicts(
    form, data_folder, tiny_imagenet_dir, tmp_path
):
    weights = data_folder / 'googlenet_bvlc.npz'
    trained = classifier.from_pretrained(
        Config(model='googlenet', pretrained=str(weights))
    )
    bundle = Bundle(trained.network, trained.specification, trained.ids, 1.0)
    files = sorted(tiny_imagenet_dir.glob('val/images/*.JPEG'))[:4]
    images = np.stack(
        [decode.fit(decode.decode(tf.io.read_file(str(file))), 224) for file in files]
    )
    predictions = form.run(export(form, bundle, tmp_path), images)
    assert compare(form, predictions, expected(bundle, images)).failures == ()
