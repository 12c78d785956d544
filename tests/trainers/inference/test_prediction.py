"""Predictions of images from files, folders, patterns and arrays."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from trainers.inference import prediction
from trainers.inference.classifier import Classifier, Temperature
from trainers.inference.image_files import ImageFile, find
from trainers.inference.prediction import Prediction, predict, stream
from trainers.inference.scoring import score
from trainers.settings.prediction import PredictionSettings
from vision.data import FileSplit
from vision.errors import UserError
from vision.models import create
from vision.models.specification import Specification

CLASSES = ('cat', 'dog', 'owl')


@pytest.fixture(scope='module')
def classifier() -> Classifier:
    tf.random.set_seed(1)
    network = create('small_cnn', classes=3, image_size=16, filters=(4,))
    specification = Specification('small_cnn', CLASSES, 16, network.normalization)
    return Classifier(network, specification, 'made here', Temperature(0.1))


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Images of several sizes and kinds, and some that are none."""
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(1)
    for place, name in enumerate(
        (
            'a.png',
            'b.JPG',
            'deep/er/c.gif',
            'deep/d.bmp',
            'e.webp',
            'odd.suffix',
            '.hidden/h.png',
            '.h.png',
            '__MACOSX/m.png',
            'x[1].png',
            'Ü b.png',
        )
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, [16 + 5 * place, 20, 3], np.uint8)
        kind = 'PNG' if name.endswith(('png', 'suffix')) else None
        Image.fromarray(pixels).save(root / name, kind)
    (root / 'broken.png').write_bytes(b'no image')
    (root / 'empty.png').touch()
    (root / 'notes.txt').write_text('text')
    (root / 'nothing').mkdir()
    (root / 'nowhere.png').symlink_to('nothing/there.png')
    (root / 'deep/loop').symlink_to(root)
    return root


IN_ORDER = (
    'a.png',
    'b.JPG',
    'broken.png',
    'deep/d.bmp',
    'deep/er/c.gif',
    'e.webp',
    'empty.png',
    'nowhere.png',
    'x[1].png',
    'Ü b.png',
)


def names(files) -> list[str]:
    return [file.name for file in files]


def test_a_folder_is_searched_in_order(folder, monkeypatch):
    assert names(find(folder)) == [f'{folder}/{name}' for name in IN_ORDER]
    monkeypatch.chdir(folder)
    assert names(find('deep')) == [
        'deep/d.bmp',
        'deep/er/c.gif',
        *(f'deep/loop/{name}' for name in IN_ORDER if not name.startswith('deep')),
    ]
    assert names(find('deep/er/')) == ['deep/er/c.gif']


def test_images_and_folders_are_in_one_order(tmp_path):
    in_order = ['a/1.png', 'a/b/c.png', 'a/z.png', 'a-b.png', 'a.png', 'b/1.png']
    for name in reversed(in_order):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for folder in (f'{tmp_path}', f'{tmp_path}/'):
        assert names(find(folder)) == [f'{tmp_path}/{name}' for name in in_order]


@pytest.mark.parametrize(
    'path, error',
    [
        ('a.png', ''),
        ('odd.suffix', ''),
        ('notes.txt', ''),
        ('.hidden/h.png', ''),
        ('x[1].png', ''),
        ('x[2].png', 'No such file, and none matches it as a pattern'),
        ('missing.png', 'No such file or directory'),
        ('a.png/b.png', 'Not a directory'),
        ('nowhere.png', 'No such file or directory'),
        ('empty.png', 'The file is empty'),
        ('nothing', 'No images in this folder'),
        ('', 'No such file or directory'),
        ('a\0b', 'embedded null'),
        ('/dev/null', 'A pipe or a device, not a file'),
    ],
)
def test_a_path_is_taken_as_it_is(folder, monkeypatch, path, error):
    monkeypatch.chdir(folder)
    (file,) = find(path)
    assert file.name == path and error in file.error
    assert bool(error) == bool(file.error)
    expected = ('', 0) if error else (path, os.path.getsize(path))
    assert (file.path, file.size) == expected


@pytest.mark.parametrize(
    'pattern, matches',
    [
        (
            '*.png',
            ['a.png', 'broken.png', 'empty.png', 'nowhere.png', 'x[1].png', 'Ü b.png'],
        ),
        ('[a-b].*', ['a.png', 'b.JPG']),
        ('*/*.bmp', ['deep/d.bmp']),
        ('dee?', ['deep/d.bmp', 'deep/er/c.gif']),
        ('d*/*r', ['deep/er/c.gif']),
        ('notes.*', ['notes.txt']),
    ],
)
def test_a_pattern(folder, monkeypatch, pattern, matches):
    monkeypatch.chdir(folder)
    matching = names(find(pattern))
    assert [name for name in matching if '/loop/' not in name] == matches


def test_a_pattern_across_folders_names_no_file_twice(folder, monkeypatch):
    monkeypatch.chdir(folder / 'deep/er')
    Path('below').mkdir()
    (Path('below') / 'f.png').write_bytes(b'x')
    assert names(find('**')) == ['below/f.png', 'c.gif']
    assert names(find('**/*.png')) == ['below/f.png']
    os.remove('below/f.png')
    os.rmdir('below')


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'pipe.png')
    assert [f.error for f in find(tmp_path)] == ['A pipe or a device, not a file']


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / 'closed').mkdir()
    (tmp_path / 'a.png').write_bytes(b'x')
    scandir = os.scandir

    def denied(path: str) -> Iterator[os.DirEntry]:
        if path.endswith('closed'):
            raise PermissionError(13, 'Permission denied')
        return scandir(path)

    monkeypatch.setattr(os, 'scandir', denied)
    assert [(f.name, f.error) for f in find(tmp_path)] == [
        (f'{tmp_path}/a.png', ''),
        (f'{tmp_path}/closed', 'Permission denied'),
    ]


def test_what_can_be_read_is_predicted_and_the_rest_reported(classifier, folder):
    predictions = predict(classifier, folder, top=2)
    assert [predicted.file for predicted in predictions] == [
        f'{folder}/{n}' for n in IN_ORDER
    ]
    errors = {Path(p.file).name: p.error for p in predictions if p.error}
    assert errors == {
        'broken.png': 'Not a JPEG, PNG, GIF, BMP or WebP file',
        'empty.png': 'The file is empty',
        'nowhere.png': 'No such file or directory',
    }
    for predicted in predictions:
        if predicted.error:
            assert predicted == Prediction(predicted.file, error=predicted.error)
        else:
            assert len(set(predicted.classes)) == 2 and set(predicted.classes) <= set(
                CLASSES
            )
            assert 1 >= predicted.probabilities[0] >= predicted.probabilities[1] >= 0


@pytest.mark.parametrize(
    'views, batch_size, files',
    [
        ('none', 0, ('b.JPG', 'a.png', 'deep/er/c.gif', 'e.webp', 'Ü b.png')),
        ('flip', 1, ('b.JPG', 'a.png')),
        ('crops', 3, ('b.JPG', 'a.png', 'x[1].png', 'Ü b.png')),
    ],
)
def test_probabilities_are_the_bits_of_evaluation(
    classifier, folder, views, batch_size, files
):
    paths = [str(folder / name) for name in files]
    split = FileSplit(np.zeros(len(paths), np.int32), paths, paths=paths)
    logits = score(classifier, split, batch_size=64, views=views).logits['main']
    expected = classifier.probabilities(logits)
    for given in (paths, [np.asarray(Image.open(paths[1]))]):
        predictions = predict(classifier, given, views=views, batch_size=batch_size)
        wanted = expected if given is paths else expected[1:2]
        for predicted, row in zip(predictions, wanted, strict=True):
            order = np.argsort(-row, kind='stable')
            assert predicted.classes == tuple(CLASSES[label] for label in order)
            assert np.float32(predicted.probabilities).tobytes() == row[order].tobytes()


def test_arrays_and_files_in_one_list_keep_their_order(classifier, folder):
    pixels = np.asarray(Image.open(folder / 'a.png'))
    mixed = predict(classifier, [pixels, folder / 'b.JPG', 'missing', pixels[:, ::-1]])
    assert [predicted.file for predicted in mixed] == [
        'array 0',
        f'{folder}/b.JPG',
        'missing',
        'array 3',
    ]
    assert [bool(predicted.error) for predicted in mixed] == [
        False,
        False,
        True,
        False,
    ]
    alone = predict(classifier, pixels)
    assert alone == mixed[:1]
    assert predict(classifier, np.stack([pixels, pixels])) == [
        alone[0],
        alone[0]._replace(file='array 1'),
    ]
    assert predict(classifier, []) == []


@pytest.mark.parametrize(
    'wrong',
    [
        np.zeros([4, 4], np.uint8),
        np.zeros([4, 4, 4], np.uint8),
        np.zeros([4, 4, 3], np.float32),
        np.zeros([0, 4, 3], np.uint8),
        [[1, 2]],
    ],
)
def test_an_array_that_is_no_image(classifier, wrong):
    with pytest.raises(
        UserError,
        match=r'uint8 \[H, W, 3\] of values 0..255, received '
        r'(uint8|float32|list) \[.*\] as array 0',
    ):
        predict(classifier, wrong)


@pytest.mark.parametrize(
    'options, message',
    [
        ({'top': 0}, 'Expected --top to be at least 1, received 0.'),
        ({'threshold': 1.5}, 'Expected --threshold to be 0 to 1, received 1.5.'),
        (
            {'threshold': float('nan')},
            '--threshold to be 0 to 1, received nan.',
        ),
        ({'batch_size': -1}, 'Expected --batch_size to be at least 0, received -1.'),
        (
            {'views': 'flips'},
            "Expected --views to be one of none, flip, crops; received 'flips'. Did",
        ),
    ],
)
def test_options_out_of_range(classifier, options, message):
    with pytest.raises(UserError, match=message):
        predict(classifier, [], **options)


def test_top_and_threshold(classifier, folder):
    # Warm enough that the first probability is not 1.
    classifier = Classifier(
        classifier.network, classifier.specification, '', Temperature(10.0)
    )
    (every,) = predict(classifier, folder / 'a.png', top=10_000)
    assert len(every.classes) == 3
    assert sum(every.probabilities) == pytest.approx(1)
    first = every.probabilities[0]
    assert predict(classifier, folder / 'a.png', top=1) == [
        every._replace(classes=every.classes[:1], probabilities=(first,))
    ]
    # What reaches the threshold is not below it.
    for threshold, rejected in ((first, False), (np.nextafter(first, 2), True)):
        (predicted,) = predict(classifier, folder / 'a.png', threshold=threshold)
        assert predicted == every._replace(rejected=rejected)


def test_logits_that_are_not_finite_are_an_error(folder):
    network = create('small_cnn', classes=3, image_size=16, filters=(4,))
    network.head.classifier.bias.assign([0, np.nan, 0])
    specification = Specification('small_cnn', CLASSES, 16, network.normalization)
    (predicted,) = predict(Classifier(network, specification, ''), folder / 'a.png')
    assert predicted.error == 'The logits of the network are not finite'
    assert predicted.classes == ()


def test_a_stream_is_taken_in_parts(classifier, folder, monkeypatch):
    monkeypatch.setattr(prediction, 'MAX_BATCH', 2)
    monkeypatch.setattr(prediction, '_MAX_CHUNK', 4)
    monkeypatch.setattr(prediction, '_CHUNK_SECONDS', float('inf'))
    asked = 0

    def images():
        nonlocal asked
        for asked in range(1, 12):
            yield ImageFile(str(asked), str(folder / 'a.png'))

    seen = []
    for predictions in stream(classifier, images(), PredictionSettings()):
        seen += [predicted.file for predicted in predictions]
        assert asked == len(seen)
    assert seen == [str(i) for i in range(1, 12)]
    assert len({predicted.probabilities for predicted in predictions}) == 1


def test_a_slow_list_is_taken_in_small_parts(classifier, folder, monkeypatch):
    now = 0
    monkeypatch.setattr(prediction, 'MAX_BATCH', 2)
    monkeypatch.setattr(prediction.time, 'monotonic', lambda: now)

    def images():
        nonlocal now
        for i in range(8):
            now += prediction._CHUNK_SECONDS
            yield ImageFile(str(i), str(folder / 'a.png'))

    parts = [len(part) for part in stream(classifier, images(), PredictionSettings())]
    assert parts == [2, 2, 2, 2]


def test_batches_are_sized_to_memory(classifier, monkeypatch):
    small, large = (ImageFile('x', 'x', size) for size in (10_000, 10_000_000))
    asked = []

    def fits(images: int, side: int) -> bool:
        asked.append(images * 3 * side**2)
        return asked[-1] < 1_000_000_000

    monkeypatch.setattr(prediction, 'fits_in_memory', fits)
    assert prediction.fitting_batch(classifier, [small]) == 64
    # Five times ten megabytes prediction.
    assert prediction.fitting_batch(classifier, [large, large]) == 16
    assert asked[-1] == pytest.approx(16 * 5e7, rel=0.01)
    assert prediction.fitting_batch(classifier, [large._replace(size=10**12)]) == 2


def test_a_run_in_one_line(folder, tmp_path):
    with pytest.raises(UserError, match='expected the folder of a run'):
        predict(tmp_path / 'nothing', folder)
