import dataclasses
import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from commands import run_python

from vision.data import (
    ArraySplit,
    BadFiles,
    DatasetError,
    FileSplit,
    RangeSplit,
    Split,
    cache_folder,
    decode_to_disk,
    decode_to_memory,
    fits_in_memory,
)
from vision.data.decoding import decode
from vision.data.storage import cache, stored

# A process of its own: decodes and prints where it is, going on for each line it gets.
CHILD = """
import pathlib, pickle, sys
from vision.data import decode_to_disk

def wait(done, total):
    print(done, flush=True)
    sys.stdin.readline()

split = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
decode_to_disk(split, 24, pathlib.Path(sys.argv[2]), progress=wait)
print('done', flush=True)
"""
# Decodes one group of images, and is killed.
KILLED = """
import os, pathlib, pickle, signal, sys
from vision.data import decode_to_disk

decode_to_disk(
    pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()), 24, pathlib.Path(sys.argv[2]),
    progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


def to_memory(split: Split, side: int, folder: Path, **options) -> Split:
    del folder
    return decode_to_memory(split, side, **options)


DECODERS = pytest.mark.parametrize('decoder', [to_memory, decode_to_disk])


@pytest.fixture(autouse=True)
def plain_graphs():
    """Without the graph optimizer, which takes longer than the tests."""
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
    yield
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})


@pytest.fixture
def many(files) -> Split:
    """150 images: more than one group of files."""
    order = np.arange(150) % 23
    return FileSplit(
        files.labels[order],
        [str(i) for i in range(150)],
        paths=[files.paths[i] for i in order],
    )


@pytest.fixture
def damaged(files) -> Split:
    """The files with one truncated, one empty and one missing."""
    paths = list(files.paths)
    Path(paths[3]).write_bytes(Path(paths[3]).read_bytes()[:500])
    Path(paths[7]).write_bytes(b'')
    paths[20] += '.missing'
    return dataclasses.replace(files, paths=paths)


def _change(path: str, contents: bytes, seconds: float = 0):
    """Other contents, and a time of change so much later than before."""
    before = os.stat(path)
    Path(path).write_bytes(contents)
    changed = before.st_mtime_ns + int(seconds * 1e9)
    os.utime(path, ns=(before.st_atime_ns, changed))


def _cached(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


@DECODERS
def test_decoding_gives_the_images_and_reports_progress(
    noise, files, decoder, tmp_path
):
    seen = []
    split = decoder(files, 24, tmp_path, progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(split.images, noise.images)
    np.testing.assert_array_equal(split.labels, noise.labels)
    np.testing.assert_array_equal(split.sample_weights, np.ones(23, np.float32))
    assert isinstance(split, ArraySplit)
    assert split.names == files.names and split.side == 24
    assert seen == [(23, 23)]


@pytest.mark.usefixtures('quick')
@DECODERS
def test_more_than_one_group_of_files(noise, many, decoder, tmp_path):
    seen = []
    split = decoder(many, 24, tmp_path, progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(split.images, noise.images[np.arange(150) % 23])
    assert seen == [(64, 150), (128, 150), (150, 150)]


@pytest.mark.parametrize(
    'decoder', [to_memory, pytest.param(decode_to_disk, marks=pytest.mark.slow)]
)
def test_other_sizes_are_fitted(noise, files, decoder, tmp_path):
    split = decoder(files, 16, tmp_path)
    expected = [decode.fit(tf.constant(image), 16) for image in noise.images]
    np.testing.assert_array_equal(split.images, expected)


def test_bad_files_have_weight_zero_and_are_recorded(noise, damaged):
    bad_files = BadFiles()
    split = decode_to_memory(damaged, 24, bad_files)
    _assert_decoded_but_three(split, noise, bad_files)
    assert damaged.sample_weights.all()  # It is left as it was.


def test_bad_files_are_recorded_again_from_the_cache(noise, damaged, tmp_path, request):
    made, used = BadFiles(), BadFiles()
    split = decode_to_disk(damaged, 24, tmp_path / 'cache', made)
    _assert_decoded_but_three(split, noise, made)
    request.getfixturevalue('no_decoding')
    again = decode_to_disk(damaged, 24, tmp_path / 'cache', used)
    _assert_decoded_but_three(again, noise, used)
    assert used.items() == made.items()
    assert damaged.sample_weights.all()  # It is left as it was.


def _assert_decoded_but_three(split: Split, noise: Split, bad_files: BadFiles):
    bad = [3, 7, 20]
    np.testing.assert_array_equal(np.flatnonzero(split.sample_weights == 0), bad)
    assert {file.name for file in bad_files.items()} == {f'noise/{i}' for i in bad}
    expected = noise.images.copy()
    expected[bad] = 0
    np.testing.assert_array_equal(split.images, expected)


@pytest.mark.parametrize('graphs', [False, pytest.param(True, marks=pytest.mark.slow)])
@DECODERS
def test_a_weight_of_zero_stays(files, decoder, graphs, tmp_path, request):
    if not graphs:
        request.getfixturevalue('quick')
    weights = np.ones(23, np.float32)
    weights[5] = 0
    split = dataclasses.replace(files, sample_weights=weights)
    for _ in range(2):
        np.testing.assert_array_equal(
            decoder(split, 24, tmp_path).sample_weights, weights
        )


@pytest.mark.usefixtures('quick')
def test_a_cache_is_used_again(noise, files, tmp_path):
    folder = tmp_path / 'new' / 'cache'
    decode_to_disk(files, 24, folder)
    assert _cached(folder) == ['.json', '.uint8']
    for path in files.paths:  # No sign but the contents.
        _change(path, b'x' * os.path.getsize(path))
    seen = []
    split = decode_to_disk(files, 24, folder, progress=lambda *at: seen.append(at))
    np.testing.assert_array_equal(split.images, noise.images)
    assert not seen and _cached(folder) == ['.json', '.uint8']


@pytest.mark.usefixtures('quick')
def test_a_cache_holds_for_its_images_and_size_only(noise, files, tmp_path, caplog):
    decode_to_disk(files, 24, tmp_path / 'cache')
    for side in (16, 24, 16):
        assert decode_to_disk(files, side, tmp_path / 'cache').images.shape[1] == side
    assert 'made again' not in caplog.text  # They lie beside each other.
    few = FileSplit(files.labels[:5], files.names[:5], paths=files.paths[:5])
    assert len(decode_to_disk(few, 24, tmp_path / 'cache').images) == 5
    turned = dataclasses.replace(files, paths=files.paths[::-1])
    np.testing.assert_array_equal(
        decode_to_disk(turned, 24, tmp_path / 'cache').images, noise.images[::-1]
    )


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize('seconds, longer', [(1e-6, b''), (-60, b''), (0, b'\0')])
def test_a_cache_is_made_anew_when_a_file_changed(
    noise, files, tmp_path, seconds, longer, caplog
):
    first = decode_to_disk(files, 24, tmp_path / 'cache')
    white = np.full([24, 24, 3], 255, np.uint8)
    same_length = tf.io.encode_png(noise.images[3]).numpy()
    if longer:
        same_length = tf.io.encode_png(white).numpy() + longer
    _change(files.paths[7], same_length, seconds)
    with caplog.at_level(logging.INFO, 'vision.data.stored'):
        split = decode_to_disk(files, 24, tmp_path / 'cache')
    assert 'is out of date: the decoded images are made again' in caplog.text
    np.testing.assert_array_equal(split.images[7], white if longer else noise.images[3])
    # Who has the older one keeps it.
    np.testing.assert_array_equal(first.images, noise.images)


@pytest.mark.usefixtures('quick')
def test_a_cache_holds_for_its_places_in_a_file_only(noise, files, tmp_path):
    contents = [Path(path).read_bytes() for path in files.paths]
    lengths = np.array([len(image) for image in contents])
    (tmp_path / 'all.bin').write_bytes(b''.join(contents))
    ranges = np.stack([np.cumsum(lengths) - lengths, lengths], 1)
    paths = [str(tmp_path / 'all.bin')] * len(contents)
    for order in (slice(None), slice(None, None, -1)):
        split = RangeSplit(files.labels, files.names, paths, ranges[order])
        np.testing.assert_array_equal(
            decode_to_disk(split, 24, tmp_path / 'cache').images, noise.images[order]
        )


@pytest.mark.usefixtures('quick')
def test_a_cache_of_another_decoder_is_made_anew(files, tmp_path, monkeypatch, caplog):
    decode_to_disk(files, 24, tmp_path / 'cache')
    monkeypatch.setattr(tf, '__version__', '2.0.0')
    decode_to_disk(files, 24, tmp_path / 'cache')
    assert 'is out of date: the decoded images are made again' in caplog.text


@pytest.mark.usefixtures('quick')
def test_new_images_are_never_taken_for_those_of_the_record_before(
    noise, files, tmp_path, monkeypatch
):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    decode_to_disk(files, 24, tmp_path / 'cache')
    other = dataclasses.replace(files, paths=files.paths[::-1])
    with monkeypatch.context() as patch:
        # The images have their name by then, the record of them is missing.
        patch.setattr(stored, 'write_atomically', interrupt)
        with pytest.raises(KeyboardInterrupt):
            decode_to_disk(other, 24, tmp_path / 'cache')
    np.testing.assert_array_equal(
        decode_to_disk(files, 24, tmp_path / 'cache').images, noise.images
    )


@pytest.mark.usefixtures('quick')
def test_a_missing_file_that_came_back_is_decoded(damaged, files, tmp_path):
    split = decode_to_disk(damaged, 24, tmp_path / 'cache')
    assert split.sample_weights[20] == 0
    Path(damaged.paths[20]).write_bytes(Path(files.paths[20]).read_bytes())
    assert decode_to_disk(damaged, 24, tmp_path / 'cache').sample_weights[20] == 1


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize('contents', [b'', b'{"finger', b'[]', b'{}', b'\xff'])
def test_a_broken_record_is_not_believed(noise, files, tmp_path, contents):
    decode_to_disk(files, 24, tmp_path / 'cache')
    (record,) = (tmp_path / 'cache').glob('*.json')
    record.write_bytes(contents)
    split = decode_to_disk(files, 24, tmp_path / 'cache')
    np.testing.assert_array_equal(split.images, noise.images)
    assert record.read_bytes() != contents


@pytest.mark.usefixtures('quick')
def test_writing_to_the_images_does_not_reach_the_file(noise, files, tmp_path):
    decode_to_disk(files, 24, tmp_path / 'cache').images[:] = 0
    split = decode_to_disk(files, 24, tmp_path / 'cache')
    np.testing.assert_array_equal(split.images, noise.images)


def test_a_folder_that_cannot_be_made_is_refused(files, tmp_path):
    (tmp_path / 'file').write_bytes(b'')
    with pytest.raises(DatasetError, match='Cannot write to .*file/cache: .*Choose a'):
        decode_to_disk(files, 24, tmp_path / 'file' / 'cache')


@pytest.mark.usefixtures('quick')
def test_a_full_disk_is_refused_and_nothing_left(files, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # As if there were room for so many bytes, of the 39,744 that it takes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DatasetError) as error:
            decode_to_disk(files, 24, tmp_path / 'cache')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f'Cannot keep 0.0 GB of decoded images in {tmp_path / "cache"}: ' in str(
        error.value
    )
    assert 'choose another cache_dir, or keep no cache' in str(error.value)
    assert error.value.parameters == ('cache_dir', 'cache')
    assert not _cached(tmp_path / 'cache')
    assert decode_to_disk(files, 24, tmp_path / 'cache').sample_weights.all()


def _pickled(split: Split, folder: Path) -> str:
    """A file with the split: names of images may be longer than an argument."""
    file = folder / 'split.pickle'
    file.write_bytes(pickle.dumps(split))
    return str(file)


class _Child:
    """Another process that decodes, and waits after each group of images."""

    def __init__(self, split: Split, folder: Path, tmp_path: Path):
        self.process = subprocess.Popen(
            [sys.executable, '-c', CHILD, _pickled(split, tmp_path), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def line(self) -> str:
        return self.process.stdout.readline().strip()


@pytest.fixture
def child(many, tmp_path):
    child = _Child(many, tmp_path / 'cache', tmp_path)
    yield child
    child.process.kill()
    child.process.communicate()


@pytest.mark.usefixtures('quick')
def test_the_cache_is_locked_while_it_is_made(files, tmp_path, is_locked):
    seen = []
    decode_to_disk(
        files,
        24,
        tmp_path / 'cache',
        progress=lambda *at: seen.append(is_locked(tmp_path / 'cache')),
    )
    assert seen == [True]


@pytest.mark.usefixtures('quick')
def test_killed_in_between_nothing_is_taken_for_whole(noise, many, tmp_path):
    killed = run_python(
        ('-c', KILLED), _pickled(many, tmp_path), str(tmp_path / 'cache')
    )
    assert killed.returncode == -signal.SIGKILL
    assert '.tmp' in _cached(tmp_path / 'cache')
    assert not {'.uint8', '.json'} & set(_cached(tmp_path / 'cache'))
    split = decode_to_disk(many, 24, tmp_path / 'cache')
    np.testing.assert_array_equal(split.images, noise.images[np.arange(150) % 23])
    assert _cached(tmp_path / 'cache') == ['.json', '.uint8']


@pytest.mark.slow
def test_of_two_processes_one_decodes(
    noise, many, child, tmp_path, no_decoding, caplog
):
    assert child.line() == '64'
    splits = []
    waiting = threading.Thread(
        target=lambda: splits.append(decode_to_disk(many, 24, tmp_path / 'cache'))
    )
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive() and 'Another process (pid ' in caplog.text
    child.process.stdin.write('\n' * 3)
    child.process.stdin.flush()
    waiting.join(60)
    np.testing.assert_array_equal(splits[0].images, noise.images[np.arange(150) % 23])
    assert [child.line() for _ in range(3)] == ['128', '150', 'done']


def test_the_folder_lies_beside_the_data(tmp_path):
    (tmp_path / 'labels.csv').write_bytes(b'')
    assert cache_folder(str(tmp_path)) == tmp_path / '.tapestry'
    assert cache_folder(str(tmp_path / 'labels.csv')) == tmp_path / '.tapestry'
    with pytest.raises(DatasetError, match='no data directory; pass a cache') as error:
        cache_folder('')
    assert error.value.parameters == ('cache_dir',)


def test_fits_in_memory_by_size_and_share(monkeypatch):
    assert fits_in_memory(23, 64)
    assert not fits_in_memory(23, 10_000_000)
    assert not fits_in_memory(23, 64, share=0.0)
    monkeypatch.setattr(cache, '_available_bytes', lambda: 4 * 1000 * 3 * 10**2)
    for share, most in ((0.25, 1000), (0.5, 2000), (1.0, 4000)):
        assert fits_in_memory(most, 10, share)
        assert not fits_in_memory(most + 1, 10, share)


def test_free_memory_is_what_the_container_leaves(tmp_path, monkeypatch):
    # 1.2 GB are free: tests need that.
    assert fits_in_memory(10_000, 100)
    monkeypatch.setattr(cache, 'Path', lambda path: tmp_path)
    (tmp_path / 'memory.current').write_text('4000\n')
    for limit, fits in (
        ('max', True),
        ('7000', True),
        ('6999', False),
        (str(2**80), True),
    ):
        (tmp_path / 'memory.max').write_text(f'{limit}\n')
        assert fits_in_memory(10, 10, 1.0) is fits
    assert not fits_in_memory(2**20, 2**20, 1.0)
