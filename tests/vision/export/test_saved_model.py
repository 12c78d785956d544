"""The signatures of a SavedModel, compared with the input pipeline."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vision import data
from vision.data import BadFiles, FileSplit
from vision.errors import UserError
from vision.export import FORMATS, saved_model
from vision.export.checking import compare
from vision.export.formats import Bundle, Function
from vision.export.saved_model import _of_files as of_files

FORM = FORMATS.load('saved_model')


@pytest.fixture(scope='module')
def bundle(make_bundle):
    return make_bundle('inception_v1_compact', 56, 'standardize', temperature=0.5)


@pytest.fixture(scope='module')
def folder(bundle, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('export') / FORM.path
    FORM.convert(bundle, folder, folder, np.zeros([1, 56, 56, 3], np.uint8))
    return folder


@pytest.fixture(scope='module')
def signatures(folder):
    loaded = tf.saved_model.load(str(folder))
    yield loaded.signatures
    del loaded


@pytest.fixture(scope='module')
def odd_images(data_folder, tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp('odd')
    with zipfile.ZipFile(data_folder / 'odd_images.zip') as archive:
        archive.extractall(folder)
    return sorted(path for path in folder.rglob('*') if path.is_file())


def images_of(paths: list[Path], side: int) -> tuple[np.ndarray, np.ndarray]:
    """The decoded images of files, and which files can be decoded."""
    names = [str(path) for path in paths]
    split = FileSplit(np.zeros(len(names), np.int32), names, paths=names)
    batches = list(
        data.eval_batches(
            split, batch_size=len(names), image_size=side, bad_files=BadFiles()
        )
    )
    return batches[0].images.numpy(), batches[0].sample_weights.numpy() > 0


def test_runs_in_a_process_of_its_own(bundle, folder, expected_of):
    images = np.random.default_rng(0).integers(0, 256, [9, 56, 56, 3], np.uint8)
    predictions = FORM.run(folder, images)
    assert compare(FORM, predictions, expected_of(bundle, images)).failures == ()
    assert predictions.milliseconds > 0


@pytest.mark.parametrize(
    'broken',
    [
        'serving_default',
        pytest.param('encoded', marks=pytest.mark.slow),
    ],
)
def test_signatures_with_different_predictions_are_refused(
    make_bundle, tmp_path, monkeypatch, broken
):
    bundle = make_bundle(filters=(4, 8))
    other = bundle._replace(temperature=2.0)

    signature = Bundle.signature

    def another(bundle: Bundle, dtype: tf.DType) -> Function:
        return signature(other if dtype == tf.float32 else bundle, dtype)

    if broken == 'encoded':
        monkeypatch.setattr(saved_model, '_of_files', lambda _: of_files(other))
    else:
        monkeypatch.setattr(Bundle, 'signature', another)
    nothing = np.zeros([0, 32, 32, 3], np.uint8)
    FORM.convert(bundle, tmp_path / 'broken', tmp_path / 'broken', nothing)
    images = np.random.default_rng(0).integers(0, 256, [2, 32, 32, 3], np.uint8)
    with pytest.raises(UserError, match=f'{broken} and uint8 differ by'):
        FORM.run(tmp_path / 'broken', images)


def test_an_error_of_writing_is_no_error_of_the_converter(make_bundle, tmp_path):
    bundle = make_bundle(filters=(4, 8))
    (tmp_path / 'file').touch()
    target = tmp_path / 'file' / FORM.path
    with pytest.raises(OSError, match='saved_model'):
        FORM.convert(bundle, target, target, np.zeros([0, 32, 32, 3], np.uint8))


def test_uint8_and_floats_give_the_same(bundle, signatures, expected_of):
    images = np.random.default_rng(0).integers(0, 256, [3, 56, 56, 3], np.uint8)
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


def test_files_are_decoded_as_for_prediction(signatures, odd_images):
    images, good = images_of(odd_images, 56)
    assert 20 < good.sum() < len(good)
    contents = [path.read_bytes() for path, fine in zip(odd_images, good) if fine]
    from_files = signatures['encoded'](files=tf.constant(contents))
    from_images = signatures['uint8'](images=tf.constant(images[good]))
    for name in ('probabilities', 'logits'):
        assert np.array_equal(from_files[name], from_images[name])


def test_broken_files_are_refused(signatures, odd_images):
    _, good = images_of(odd_images, 56)
    for path in [path for path, fine in zip(odd_images, good) if not fine]:
        with pytest.raises(tf.errors.InvalidArgumentError):
            signatures['encoded'](files=tf.constant([path.read_bytes()]))


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
