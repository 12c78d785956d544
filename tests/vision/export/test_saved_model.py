"""The signatures of a SavedModel, compared with the input pipeline."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vision import data
from vision.data import BadFiles, FileSplit
from vision.errors import UserError
from vision.export import FORMATS, saved_model
from vision.export.checking import compare
from vision.export.formats import Bundle
from vision.layers import AuxiliaryHead, ConvBlock
from vision.models import Network

FORM = FORMATS.load('saved_model')
SIDE = 24


@pytest.fixture(scope='module')
def bundle(make_bundle) -> Bundle:
    """With an auxiliary head, and batch norm."""
    network = Network(
        {
            'conv1': ConvBlock(3, 4, 3, stride=2, batch_norm=True),
            'conv2': ConvBlock(4, 8, 3, stride=2),
        },
        8,
        SIDE // 4,
        classes=5,
        image_size=SIDE,
        min_image_size=4,
        normalization='standardize',
        heads={'conv1': AuxiliaryHead(4, SIDE // 2, 5)},
    )
    return make_bundle(
        image_size=SIDE, normalization='standardize', temperature=0.5, network=network
    )


@pytest.fixture(scope='module')
def folder(bundle, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('export') / FORM.path
    FORM.convert(bundle, folder, folder, np.zeros([1, SIDE, SIDE, 3], np.uint8))
    return folder


@pytest.fixture(scope='module')
def signatures(folder):
    loaded = tf.saved_model.load(str(folder))
    yield loaded.signatures
    del loaded


def encoded(pixels: np.ndarray, kind: str, mode: str = 'RGB', **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def made(folder: Path) -> list[Path]:
    """Files of every type, shape and number of channels, three of them broken."""
    rng = np.random.default_rng(0)
    small, tall = (
        np.asarray(Image.fromarray(rng.integers(0, 256, [5, 4, 3], np.uint8)).resize(s))
        for s in ((60, 40), (30, 90))
    )
    turned = Image.Exif()
    turned[0x0112] = 6
    contents = {
        'wide.jpg': encoded(small, 'JPEG'),
        'tall.jpg': encoded(tall, 'JPEG', exif=turned.tobytes()),
        'grey.jpg': encoded(small, 'JPEG', 'L'),
        'cmyk.jpg': encoded(small, 'JPEG', 'CMYK'),
        'progressive.jpg': encoded(small, 'JPEG', progressive=True),
        'rgb.png': encoded(tall, 'PNG'),
        'clear.png': encoded(small, 'PNG', 'RGBA'),
        'palette.png': encoded(small, 'PNG', 'P'),
        'moving.gif': encoded(
            small,
            'GIF',
            'P',
            save_all=True,
            append_images=[Image.fromarray(small[::-1])],
        ),
        'rows.bmp': encoded(small, 'BMP'),
        'grey.bmp': encoded(small, 'BMP', 'L'),
        'lossy.webp': encoded(small, 'WEBP'),
        'pixel.png': encoded(small[:1, :1], 'PNG'),
        'bad_empty.png': b'',
        'bad_text.jpg': b'no image',
        'bad_start.jpg': encoded(small, 'JPEG')[:30],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


@pytest.fixture(
    scope='module', params=['made', pytest.param('real', marks=pytest.mark.slow)]
)
def odd_images(request, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp('odd')
    if request.param == 'made':
        return made(folder)
    archive = request.getfixturevalue('data_folder') / 'odd_images.zip'
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return sorted(path for path in folder.rglob('*') if path.is_file())


@pytest.fixture(scope='module')
def decoded(odd_images) -> tuple[list[bytes], np.ndarray, np.ndarray]:
    """Contents and decoded images of files, and which files can be decoded."""
    names = [str(path) for path in odd_images]
    split = FileSplit(np.zeros(len(names), np.int32), names, paths=names)
    (batch,) = data.eval_batches(
        split, batch_size=len(names), image_size=SIDE, bad_files=BadFiles()
    )
    good = batch.sample_weights.numpy() > 0
    if names[0].endswith('bad_empty.png'):
        assert good.sum() == 13 and len(good) == 16
    else:
        assert 20 < good.sum() < len(good)
    return [path.read_bytes() for path in odd_images], batch.images.numpy(), good


def random_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, [count, SIDE, SIDE, 3], np.uint8)


def test_predicts_what_the_model_predicts(bundle, folder, expected_of, run_saved_model):
    images = random_images(9)  # more than a batch
    predictions = run_saved_model(folder, images)
    assert compare(FORM, predictions, expected_of(bundle, images)).failures == ()
    assert predictions.milliseconds > 0


@pytest.mark.slow
def test_runs_in_a_process_of_its_own(bundle, folder, expected_of):
    images = random_images(9)
    predictions = FORM.run(folder, images)
    assert compare(FORM, predictions, expected_of(bundle, images)).failures == ()
    assert predictions.milliseconds > 0


@pytest.fixture(params=['uint8', 'encoded'])
def broken(request, bundle, tmp_path, monkeypatch) -> tuple[str, Path]:
    """The name of a signature, and an export in which it predicts something else."""
    name = {'uint8': '_of_bytes', 'encoded': '_of_files'}[request.param]
    make = getattr(saved_model, name)
    other = bundle._replace(temperature=2.0).signature(tf.float32)
    monkeypatch.setattr(saved_model, name, lambda _, side: make(other, side))
    target = tmp_path / 'broken'
    FORM.convert(bundle, target, target, np.zeros([0, SIDE, SIDE, 3], np.uint8))
    return request.param, target


def test_signatures_with_different_predictions_are_refused(broken, run_saved_model):
    name, target = broken
    other = 'serving_default' if name == 'uint8' else name
    with pytest.raises(SystemExit, match=f'{other} and uint8 differ by'):
        run_saved_model(target, random_images(2))


@pytest.mark.slow
@pytest.mark.parametrize('broken', ['encoded'], indirect=True)
def test_the_error_of_different_predictions_is_a_user_error(broken):
    with pytest.raises(UserError, match='and uint8 differ by'):
        FORM.run(broken[1], random_images(2))


def test_an_error_of_writing_is_no_error_of_the_converter(bundle, tmp_path):
    (tmp_path / 'file').touch()
    target = tmp_path / 'file' / FORM.path
    with pytest.raises(OSError, match='saved_model'):
        FORM.convert(bundle, target, target, np.zeros([0, SIDE, SIDE, 3], np.uint8))


def test_uint8_and_floats_give_the_same(bundle, signatures, expected_of):
    images = random_images(3)
    from_bytes = signatures['uint8'](images=tf.constant(images))
    from_floats = signatures['serving_default'](images=tf.constant(images, tf.float32))
    for name in ('probabilities', 'logits'):
        assert np.array_equal(from_bytes[name], from_floats[name])
    np.testing.assert_allclose(
        from_bytes['probabilities'], expected_of(bundle, images), rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        from_bytes['logits'], bundle.network(images).main, rtol=0, atol=1e-5
    )


def test_files_are_decoded_as_for_prediction(signatures, decoded):
    contents, images, good = decoded
    files = [content for content, fine in zip(contents, good) if fine]
    from_files = signatures['encoded'](files=tf.constant(files))
    from_images = signatures['uint8'](images=tf.constant(images[good]))
    for name in ('probabilities', 'logits'):
        assert np.array_equal(from_files[name], from_images[name])


def test_broken_files_are_refused(signatures, decoded):
    contents, _, good = decoded
    for content in [content for content, fine in zip(contents, good) if not fine]:
        with pytest.raises(tf.errors.InvalidArgumentError):
            signatures['encoded'](files=tf.constant([content]))


def test_other_bytes_than_an_image_are_refused(signatures):
    with pytest.raises(
        tf.errors.InvalidArgumentError, match='Not a JPEG, PNG, GIF, BMP or WebP file'
    ):
        signatures['encoded'](files=tf.constant([b'no image']))


def test_the_classes_are_in_the_export(bundle, signatures):
    classes = signatures['classes']()
    names = [
        name.encode('utf-8', 'surrogateescape') for name in bundle.specification.classes
    ]
    assert classes['names'].numpy().tolist() == names
    assert classes['ids'].numpy().tolist() == [name.encode() for name in bundle.ids]


def test_leaves_auxiliary_heads_out(bundle, folder):
    saved = tf.train.list_variables(str(folder / 'variables' / 'variables'))
    weights = [shape for name, shape in saved if name.startswith('weights')]
    heads = [
        variable
        for head in bundle.network.heads.values()
        for variable in head.variables
    ]
    assert heads
    assert len(weights) == len(bundle.network.variables) - len(heads)
