import dataclasses
import threading
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from vision.data import (
    BadFile,
    BadFiles,
    DatasetError,
    Split,
    eval_batches,
    train_batches,
)
from vision.data.augment import Augmentation, Augmenter

BAD = (3, 7, 20)


@pytest.fixture(autouse=True)
def plain_graphs():
    """Without the graph optimizer, which takes longer than the tests."""
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
    yield
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})


@pytest.fixture
def damaged(files) -> Split:
    """The files with one truncated, one empty and one missing."""
    paths = list(files.paths)
    whole = tf.io.read_file(paths[3]).numpy()
    for index in BAD:
        paths[index] += '.bad'  # The fixture `files` stays whole.
    tf.io.write_file(paths[3], whole[: len(whole) // 2])
    tf.io.write_file(paths[7], b'')
    return dataclasses.replace(files, paths=paths)


def _all(dataset) -> tuple[np.ndarray, ...]:
    """Images, labels and weights."""
    batches = [batch[:3] for batch in dataset.as_numpy_iterator()]
    return tuple(map(np.concatenate, zip(*batches)))


def test_evaluation_substitutes_zeros_of_weight_zero(noise, damaged):
    bad = BadFiles()
    images, labels, weights = _all(
        eval_batches(damaged, batch_size=5, image_size=24, bad_files=bad)
    )
    good = np.array([i not in BAD for i in range(23)])
    np.testing.assert_array_equal(images[:23][good], noise.images[good])
    assert not images[:23][~good].any()
    np.testing.assert_array_equal(weights, [*good, 0, 0])
    np.testing.assert_array_equal(labels[:23], noise.labels)
    assert [(f.name, f.label) for f in bad.items()] == sorted(
        (noise.names[i], noise.labels[i]) for i in BAD
    )
    reasons = {file.name: file.reason for file in bad.items()}
    assert reasons['noise/20'] == 'No such file or directory'
    assert reasons['noise/7'] == 'Not a JPEG, PNG, GIF, BMP or WebP file'
    assert reasons['noise/3'].startswith('Invalid PNG data, size ')


@pytest.mark.slow
def test_training_goes_on_with_the_same_good_images(files, damaged):
    options: Any = dict(
        batch_size=4,
        image_size=20,
        seed=1,
        end_step=10,
        augment=[Augmentation('random_resized_crop')],
    )
    bad = BadFiles()
    whole = _all(train_batches(files, bad_files=bad, **options))
    assert whole[2].all() and not bad.items()
    images, labels, weights = _all(train_batches(damaged, bad_files=bad, **options))
    good = weights == 1
    assert 0 < (~good).sum() <= 6  # Two epochs, three bad files.
    np.testing.assert_array_equal(images[good], whole[0][good])
    assert not images[~good].any()
    np.testing.assert_array_equal(labels, whole[1])
    assert len(bad.items()) == 3  # Once each, though met in both epochs.


def test_images_beside_bad_ones_keep_their_own_seeds(files, damaged, monkeypatch):

    def show_seed(self, contents, seed, plain=False):
        with tf.control_dependencies([tf.io.decode_png(contents, 3)]):
            return tf.fill([24, 24, 3], tf.cast(seed % 256, tf.uint8))

    # Random crops show it too, but take seconds to compile.
    monkeypatch.setattr(Augmenter, 'decode', show_seed)
    options: Any = dict(batch_size=23, image_size=24, seed=1, end_step=1)
    bad = BadFiles()
    whole, images = (
        _all(train_batches(split, bad_files=bad, **options))
        for split in (files, damaged)
    )
    good = images[2] == 1
    assert whole[2].all() and len(bad.items()) == (~good).sum() == 3
    np.testing.assert_array_equal(images[0][good], whole[0][good])
    assert not images[0][~good].any()


def test_a_bug_in_the_code_is_not_taken_for_a_bad_file(files, monkeypatch):

    def broken(self, contents, seed, plain=False):
        return tf.ensure_shape(tf.io.decode_png(contents, 3)[:, :-1], [24, 24, 3])

    monkeypatch.setattr(Augmenter, 'decode', broken)
    bad = BadFiles()
    with pytest.raises(tf.errors.OpError, match='not compatible'):
        _all(eval_batches(files, batch_size=4, image_size=24, bad_files=bad))
    assert not bad.items()


def test_record_keeps_the_first_of_each_name_from_any_thread(caplog):
    bad = BadFiles()

    def record():
        for i in range(50):
            bad.record(f'{i}', i, 'x')

    threads = [threading.Thread(target=record) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bad.record('7', 7, 'another reason')
    assert len(bad.items()) == 50 == len(caplog.records)
    assert list(bad.items()) == sorted(bad.items())
    assert ('7', 7, 'x') in bad.items()


def test_what_an_earlier_process_recorded_is_restored_in_silence(caplog):
    bad = BadFiles()
    bad.record('b', 1, 'x')
    caplog.clear()
    bad.restore([['a', 0, 'y'], ['b', 2, 'z']])
    assert bad.items() == (BadFile('a', 0, 'y'), BadFile('b', 1, 'x'))
    bad.record('a', 3, 'another reason')
    assert bad.items()[0] == BadFile('a', 0, 'y') and not caplog.records


def test_the_budget_passes_and_fails():
    bad = BadFiles()
    bad.check(0, 0.0)
    for i in range(30):
        bad.record(f'{i:02d}.jpg', 0, 'truncated')
    bad.check(3_000, 0.01)
    with pytest.raises(DatasetError) as error:
        bad.check(2_999, 0.01)
    assert str(error.value).splitlines() == [
        'At most 1.00% of the 2999 images may be undecodable, got 30; replace or '
        'remove these:',
        *(f'  {i:02d}.jpg: truncated' for i in range(20)),
        '  and 10 more',
    ]
    few = BadFiles()
    few.restore(bad.items()[:20])
    with pytest.raises(DatasetError, match='got 20; [^m]*re[^m]*remove .*') as error:
        few.check(20, 0.99)
    assert 'more' not in str(error.value).splitlines()[-1]
