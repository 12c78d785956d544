import argparse
import dataclasses
import json
import mmap
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from commands import run_python

from vision.data import (
    BadFiles,
    DatasetError,
    Features,
    Split,
    eval_batches,
    extract_features,
    feature_eval_batches,
    feature_train_batches,
    train_batches,
)
from vision.errors import UserError

WIDTH = 6

# A process of its own: it prints how far it is, and goes on for each line it gets.
CHILD = """
import pathlib, pickle, sys
import tensorflow as tf
from vision.data import BadFiles, extract_features

def wait(done, total):
    print(done, flush=True)
    sys.stdin.readline()

split = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
extract_features(
    split, lambda images: tf.cast(tf.reshape(images[:, 0, :2], [8, 6]), tf.float32), 6,
    image_size=24, batch_size=8, key='weights', folder=pathlib.Path(sys.argv[2]),
    bad_files=BadFiles(), progress=wait)
print('done', flush=True)
"""
# Computes the features of one batch, and is killed.
KILLED = """
import os, pathlib, pickle, signal, sys
import tensorflow as tf
from vision.data import BadFiles, extract_features

extract_features(
    pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()),
    lambda images: tf.cast(tf.reshape(images[:, 0, :2], [8, 6]), tf.float32), 6,
    image_size=24, batch_size=8, key='weights', folder=pathlib.Path(sys.argv[2]),
    bad_files=BadFiles(),
    progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.fixture(autouse=True)
def plain_graphs():
    """Without the graph optimizer, which takes longer than the tests."""
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
    yield
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})


class Backbone:
    """Two pixels of each image, times a factor; counts its calls and traces."""

    def __init__(self, factor: float = 1.0):
        self.calls = self.traces = 0
        self._traced = tf.function(self._pixels, autograph=False)
        self._factor = factor

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        self.calls += 1
        return self._traced(images)

    def _pixels(self, images: tf.Tensor) -> tf.Tensor:
        self.traces += 1
        pixels = tf.reshape(images[:, 0, :2], [images.shape[0], WIDTH])
        return tf.cast(pixels, tf.float32) * self._factor


def _extract(split: Split, function, folder: Path | None = None, **options) -> Features:
    options = (
        dict(image_size=24, batch_size=8, key='weights', bad_files=BadFiles()) | options
    )
    return extract_features(
        split, function, options.pop('width', WIDTH), folder=folder, **options
    )


def _expected(noise: Split) -> np.ndarray:
    return noise.images[:, 0, :2].reshape(23, WIDTH).astype(np.float32)


def _refuse(images: tf.Tensor) -> tf.Tensor:
    raise AssertionError('Expected no image to be looked at.')


def _file(folder: Path) -> Path:
    (file,) = folder.glob('features-*.float32')
    return file


@pytest.fixture
def damaged(files) -> Split:
    """The files with one truncated and one missing."""
    paths = list(files.paths)
    Path(paths[3]).write_bytes(Path(paths[3]).read_bytes()[:500])
    paths[20] += '.missing'
    return dataclasses.replace(files, paths=paths)


@pytest.fixture
def in_memory(noise) -> Features:
    return _extract(noise, Backbone())


@pytest.mark.parametrize('kept', [True, False])
@pytest.mark.parametrize('where', ['noise', 'files'])
def test_features_are_those_of_each_image_in_order(
    noise, where, kept, request, tmp_path
):
    split, backbone, seen = request.getfixturevalue(where), Backbone(), []
    features = _extract(
        split,
        backbone,
        tmp_path / 'cache' if kept else None,
        progress=lambda *at: seen.append(at),
    )
    np.testing.assert_array_equal(features.values, _expected(noise))
    np.testing.assert_array_equal(features.labels, noise.labels)
    np.testing.assert_array_equal(features.sample_weights, np.ones(23, np.float32))
    assert features.values.dtype == features.sample_weights.dtype == np.float32
    # 23 images in batches of 8, the last one padded.
    assert (backbone.calls, backbone.traces, len(features)) == (3, 1, 23)
    assert seen == [(8, 23), (16, 23), (23, 23)]


@pytest.mark.usefixtures('quick')
def test_a_later_run_calls_no_backbone(noise, tmp_path):
    first = _extract(noise, Backbone(), tmp_path)
    again = _extract(noise, _refuse, tmp_path, batch_size=23)
    np.testing.assert_array_equal(again.values, first.values)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == ['.float32', '.json']


@pytest.mark.usefixtures('quick')
def test_labels_and_weights_are_the_splits_not_the_files(noise, tmp_path):
    _extract(noise, Backbone(), tmp_path)
    weights = np.ones(23, np.float32)
    weights[4] = 0
    other = dataclasses.replace(noise, labels=noise.labels + 1, sample_weights=weights)
    features = _extract(other, _refuse, tmp_path)
    np.testing.assert_array_equal(features.labels, noise.labels + 1)
    np.testing.assert_array_equal(features.sample_weights, weights)


@pytest.mark.usefixtures('quick')
def test_bad_images_have_weight_zero_and_are_recorded_each_time(damaged, tmp_path):
    made, used, alone = BadFiles(), BadFiles(), BadFiles()
    first = _extract(damaged, Backbone(), tmp_path, bad_files=made)
    again = _extract(damaged, _refuse, tmp_path, bad_files=used)
    apart = _extract(damaged, Backbone(), bad_files=alone)
    assert [file.name for file in made.items()] == ['noise/20', 'noise/3']
    assert made.items() == used.items() == alone.items()
    for features in (first, again, apart):
        np.testing.assert_array_equal(
            np.flatnonzero(features.sample_weights == 0), [3, 20]
        )
        np.testing.assert_array_equal(features.values, first.values)


@pytest.mark.usefixtures('quick')
def test_other_weights_coexist(noise, tmp_path):
    _extract(noise, Backbone(), tmp_path)
    doubled = _extract(noise, Backbone(2.0), tmp_path, key='other weights')
    np.testing.assert_array_equal(doubled.values, 2 * _expected(noise))
    for key, factor in (('weights', 1), ('other weights', 2)):
        kept = _extract(noise, _refuse, tmp_path, key=key)
        np.testing.assert_array_equal(kept.values, factor * _expected(noise))


def test_another_size_of_images_is_computed(noise, tmp_path):
    _extract(noise, Backbone(), tmp_path)
    backbone = Backbone()
    _extract(noise, backbone, tmp_path, image_size=16)
    assert backbone.calls == 3


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize('where', ['contents', 'time', 'pixel'])
def test_changed_images_are_computed_again(noise, files, where, tmp_path, caplog):
    split = noise if where == 'pixel' else files
    _extract(split, Backbone(), tmp_path / 'cache')
    if where == 'pixel':
        images = noise.images.copy()
        images[7, 5, 5] = images[7, 5, 5, ::-1]
        split = dataclasses.replace(noise, images=images)
    else:
        status = os.stat(files.paths[7])
        if where == 'contents':
            Path(files.paths[7]).write_bytes(Path(files.paths[8]).read_bytes() + b'\0')
        later = status.st_mtime_ns + (where == 'time')
        os.utime(files.paths[7], ns=(status.st_atime_ns, later))
    backbone = Backbone()
    features = _extract(split, backbone, tmp_path / 'cache')
    assert backbone.calls == 3
    assert 'is out of date: the features are made again' in caplog.text
    shown = _expected(noise)
    shown[7] = shown[8] if where == 'contents' else shown[7]
    np.testing.assert_array_equal(features.values, shown)


def _truncate(file: Path):
    file.write_bytes(file.read_bytes()[:-1])


def _lengthen(file: Path):
    file.write_bytes(file.read_bytes() + b'\0')


def _flip(file: Path):
    contents = bytearray(file.read_bytes())
    contents[100] ^= 1
    file.write_bytes(contents)


def _replace_by_foreign(file: Path):
    file.write_bytes(os.urandom(file.stat().st_size))


def _lose_record(file: Path):
    file.with_suffix('.json').unlink()


def _break_record(file: Path):
    file.with_suffix('.json').write_bytes(b'{"finger')


def _blame_another(file: Path):
    record = json.loads(file.with_suffix('.json').read_text())
    file.with_suffix('.json').write_text(json.dumps(record | {'bad': [[1, 'reason']]}))


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize(
    'damage',
    [
        _truncate,
        _lengthen,
        _flip,
        _replace_by_foreign,
        _lose_record,
        _break_record,
        _blame_another,
    ],
)
def test_a_damaged_file_is_computed_again(noise, damage, tmp_path, caplog):
    _extract(noise, Backbone(), tmp_path)
    damage(_file(tmp_path))
    features = _extract(noise, Backbone(), tmp_path)
    assert f'{_file(tmp_path)} is damaged: the features are made again' in caplog.text
    np.testing.assert_array_equal(features.values, _expected(noise))
    assert features.sample_weights.all()
    _extract(noise, _refuse, tmp_path)


@pytest.mark.usefixtures('quick')
def test_the_file_of_other_weights_is_not_taken_for_these(noise, tmp_path, caplog):
    _extract(noise, Backbone(2.0), tmp_path / 'other', key='other weights')
    _extract(noise, Backbone(), tmp_path / 'cache')
    cached, other = _file(tmp_path / 'cache'), _file(tmp_path / 'other')
    for end in ('.float32', '.json'):
        other.with_suffix(end).replace(cached.with_suffix(end))
    features = _extract(noise, Backbone(), tmp_path / 'cache')
    assert 'is out of date' in caplog.text
    np.testing.assert_array_equal(features.values, _expected(noise))


@pytest.mark.parametrize('kept', [True, False])
@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused(noise, kept, value, tmp_path):
    values = _expected(noise)
    values[10, 3] = value
    batches = iter([values[:8], values[8:16]])
    with pytest.raises(
        UserError, match='Expected finite .* noise/10. .*float32'
    ) as error:
        _extract(
            noise,
            lambda images: tf.constant(next(batches)),
            tmp_path / 'cache' if kept else None,
        )
    assert error.value.parameters == ('pretrained', 'precision')
    assert not kept or not list((tmp_path / 'cache').iterdir())


@pytest.mark.parametrize(
    'function, received',
    [
        (lambda images: tf.zeros([8, WIDTH + 1]), r'float32 \[8, 7\]'),
        (lambda images: tf.zeros([8, WIDTH], tf.float64), r'float64 \[8, 6\]'),
    ],
)
def test_what_is_no_feature_of_that_width_is_refused(noise, function, received):
    with pytest.raises(ValueError, match=r'float32 \[8, 6\], received ' + received):
        _extract(noise, function)


@pytest.mark.usefixtures('quick')
def test_broken_off_nothing_is_left(noise, tmp_path):

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _extract(noise, Backbone(), tmp_path, progress=interrupt)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize('full', ['before', 'meanwhile'])
def test_a_full_disk_is_refused_and_nothing_left(noise, full, tmp_path, monkeypatch):
    # There is room for less than the 552 bytes that it takes.
    limit, backbone = resource.getrlimit(resource.RLIMIT_FSIZE), Backbone()
    if full == 'before':
        monkeypatch.setattr(
            shutil, 'disk_usage', lambda folder: argparse.Namespace(free=551)
        )
    try:
        if full == 'meanwhile':
            resource.setrlimit(resource.RLIMIT_FSIZE, (300, limit[1]))
        with pytest.raises(DatasetError) as error:
            _extract(noise, backbone, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert backbone.calls == (0 if full == 'before' else 3)
    reason = 'No space left on device' if full == 'before' else 'File too large'
    assert str(error.value) == (
        f'Cannot keep 0.0 GB of features in {tmp_path}: {reason}. '
        'Make room, or choose another cache_dir.'
    )
    assert error.value.parameters == ('cache_dir',)
    assert not list(tmp_path.iterdir())


def _pickled(split: Split, folder: Path) -> str:
    """A file with the split: names of images may be longer than an argument."""
    file = folder / 'split.pickle'
    file.write_bytes(pickle.dumps(split))
    return str(file)


class _Child:
    """Another process that extracts, and waits after each batch."""

    def __init__(self, split: Split, tmp_path: Path):
        arguments = [_pickled(split, tmp_path), str(tmp_path / 'cache')]
        self.process = subprocess.Popen(
            [sys.executable, '-c', CHILD, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def line(self) -> str:
        return self.process.stdout.readline().strip()


@pytest.fixture
def child(noise, tmp_path):
    child = _Child(noise, tmp_path)
    yield child
    child.process.kill()
    child.process.communicate()


@pytest.mark.usefixtures('quick')
def test_the_file_is_locked_while_it_is_made(noise, tmp_path, is_locked):
    seen = []
    _extract(
        noise,
        Backbone(),
        tmp_path,
        progress=lambda *at: seen.append(is_locked(tmp_path)),
    )
    assert seen == [True] * 3


@pytest.mark.usefixtures('quick')
def test_killed_in_between_nothing_is_taken_for_whole(noise, tmp_path):
    killed = run_python(
        ('-c', KILLED), _pickled(noise, tmp_path), str(tmp_path / 'cache')
    )
    assert killed.returncode == -signal.SIGKILL
    assert not list((tmp_path / 'cache').glob('*.float32'))
    backbone = Backbone()
    features = _extract(noise, backbone, tmp_path / 'cache')
    np.testing.assert_array_equal(features.values, _expected(noise))
    assert backbone.calls == 3 and not list((tmp_path / 'cache').glob('*.part'))


@pytest.mark.slow
def test_of_two_processes_one_computes(noise, child, tmp_path, caplog):
    assert child.line() == '8'
    features = []
    waiting = threading.Thread(
        target=lambda: features.append(_extract(noise, _refuse, tmp_path / 'cache'))
    )
    waiting.start()
    deadline = time.monotonic() + 60
    while 'Another process (pid ' not in caplog.text:
        assert waiting.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    child.process.stdin.write('\n' * 3)
    child.process.stdin.flush()
    waiting.join(60)
    np.testing.assert_array_equal(features[0].values, _expected(noise))
    assert [child.line() for _ in range(3)] == ['16', '23', 'done']


def _list(dataset: tf.data.Dataset) -> list:
    return list(dataset.as_numpy_iterator())


def _assert_same(first: list, second: list):
    assert len(first) == len(second) > 0
    for a, b in zip(first, second):
        for x, y in zip(a, b):
            np.testing.assert_array_equal(x, y)


def _assert_those_of(batches: list, images: list):
    """The features are those of the images in the same places."""
    assert len(batches) == len(images) > 0
    for batch, of in zip(batches, images):
        np.testing.assert_array_equal(
            batch.images, of.images[:, 0, :2].reshape(-1, WIDTH)
        )
        np.testing.assert_array_equal(batch.labels, of.labels)
        np.testing.assert_array_equal(batch.sample_weights, of.sample_weights)
        assert batch.partners is None and batch.shares is None


@pytest.mark.parametrize('limit', [None, 2, 99])
@pytest.mark.parametrize('batch_size', [5, 23])
def test_training_takes_the_order_of_the_images(noise, in_memory, batch_size, limit):
    options = dict(batch_size=batch_size, seed=3, end_step=13, limit=limit)
    _assert_those_of(
        _list(feature_train_batches(in_memory, **options)),
        _list(train_batches(noise, image_size=24, **options)),
    )


def test_any_start_step_gives_the_same_bits(in_memory):
    options = dict(batch_size=5, seed=3, end_step=13)
    whole = _list(feature_train_batches(in_memory, **options))
    for start in (1, 4, 11):
        _assert_same(
            _list(feature_train_batches(in_memory, start_step=start, **options)),
            whole[start:],
        )


@pytest.mark.parametrize(
    'batch_size, limit', [(1, None), (5, None), (40, None), (5, 2), (5, 9)]
)
def test_evaluation_takes_every_image_once(noise, in_memory, batch_size, limit):
    options = dict(batch_size=batch_size, limit=limit)
    batches = _list(feature_eval_batches(in_memory, **options))
    _assert_those_of(batches, _list(eval_batches(noise, image_size=24, **options)))
    counted = sum(batch.sample_weights.sum() for batch in batches)
    assert counted == min(23, batch_size * (limit or 23))


def test_bad_images_keep_their_weight_in_batches(in_memory):
    weights = np.ones(23, np.float32)
    weights[4] = 0
    features = dataclasses.replace(in_memory, sample_weights=weights)
    shown = _list(feature_train_batches(features, batch_size=23, seed=0, end_step=1))[0]
    np.testing.assert_array_equal(
        shown.images[shown.sample_weights == 0], in_memory.values[[4]]
    )
    batches = _list(feature_eval_batches(features, batch_size=23))
    np.testing.assert_array_equal(batches[0].sample_weights, weights)


def _resident() -> int:
    """Bytes of memory that this process takes."""
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='needs Linux')
def test_the_array_is_not_copied():
    # 400 MB of zeros, which take no memory until somebody reads them.
    values = np.frombuffer(mmap.mmap(-1, 400_000_000), np.float32).reshape(-1, 100)
    count = len(values)
    features = Features(values, np.zeros(count, np.int32), np.ones(count, np.float32))
    before = _resident()
    for batches in (
        feature_train_batches(features, batch_size=5, seed=0, end_step=20),
        feature_eval_batches(features, batch_size=5, limit=20),
    ):
        assert len(_list(batches)) == 20
        assert _resident() - before < values.nbytes / 2


def test_batches_have_static_shapes(in_memory):
    for batches in (
        feature_train_batches(in_memory, batch_size=5, seed=0, end_step=1),
        feature_eval_batches(in_memory, batch_size=5),
    ):
        spec = batches.element_spec
        assert spec.images == tf.TensorSpec([5, WIDTH], tf.float32)
        assert spec.labels == tf.TensorSpec([5], tf.int32)
        assert spec.sample_weights == tf.TensorSpec([5], tf.float32)


def test_a_batch_that_cannot_be_filled_is_refused(in_memory):
    with pytest.raises(DatasetError, match='1..23.*got 24; set it within'):
        feature_train_batches(in_memory, batch_size=24, seed=0, end_step=1)
