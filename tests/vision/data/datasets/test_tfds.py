import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets
from tensorflow_datasets import features as kinds

from vision.data import DatasetError, HeldOut, check_disjoint, load
from vision.data.datasets import tfds
from vision.data.storage.index import CACHE

CLASSES = ('granny', 'reef', 'sheet')


def _features(shape=(None, None, 3), encoding='png', **others):
    return {
        'image': kinds.Image(shape=shape, encoding_format=encoding),
        'label': kinds.ClassLabel(names=CLASSES),
        **others,
    }


def _prepare(
    folder,
    features=None,
    counts=(30, 6, 8),
    label=lambda split, i: i % 3,
    splits=('train', 'validation', 'test'),
    supervised=('image', 'label'),
    **options,
):
    """Writes the dataset `knots` of random images, without the network."""
    kind_of = features or _features()

    def example(split, i):
        rng = np.random.default_rng([i, len(split)])
        images = {
            key: rng.integers(
                0, 256, [size or 20 + i for size in kind.shape], kind.np_dtype
            )
            for key, kind in kind_of.items()
            if isinstance(kind, kinds.Image)
        }
        return {key: images.get(key, label(split, i)) for key in kind_of}

    class Knots(
        tensorflow_datasets.core.GeneratorBasedBuilder, skip_registration=True
    ):  # Its code must not be found, only files.
        __module__ = '__main__'  # TFDS looks for no files beside the code of a script.
        VERSION = tensorflow_datasets.core.Version('1.0.0')

        def _info(self):
            return tensorflow_datasets.core.DatasetInfo(
                builder=self,
                features=kinds.FeaturesDict(kind_of),
                supervised_keys=supervised,
            )

        def _split_generators(self, manager):
            return {
                split: self._generate_examples(split, count)
                for split, count in zip(splits, counts)
            }

        def _generate_examples(self, split, count):
            for i in range(count):
                yield i, example(split, i)

    builder = Knots(data_dir=str(folder), **options)
    config = tensorflow_datasets.download.DownloadConfig(
        try_download_gcs=False, num_shards=2
    )
    builder.download_and_prepare(download_config=config)
    return builder


@pytest.fixture(scope='module')
def _prepared_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp('tfds')
    _prepare(folder)
    return folder


@pytest.fixture
def knots(_prepared_once, tmp_path):
    """A data directory with the dataset knots, to load or to spoil."""
    return shutil.copytree(_prepared_once, tmp_path / 'data')


def _load(folder, name='knots', **held_out):
    source = load(f'tfds:{name}', str(folder), HeldOut(**held_out))
    check_disjoint(source)
    return source


def _read(split, i):
    offset, length = split.ranges[i].tolist()
    with open(split.paths[i], 'rb') as file:
        file.seek(offset)
        return file.read(length)


@pytest.mark.parametrize('encoding, channels', [('png', 3), ('png', 1), ('jpeg', 3)])
def test_every_image_is_found_in_the_shards(tmp_path, encoding, channels):
    builder = _prepare(tmp_path, _features((None, None, channels), encoding))
    source = _load(tmp_path)
    assert (source.name, source.classes) == ('tfds:knots', CLASSES)
    for name, split in source.splits.items():
        expected = builder.as_dataset(split=name, shuffle_files=False)
        assert len(split) == len(expected)
        assert split.labels.dtype == np.int32 and split.ranges.dtype == np.int64
        for i, example in enumerate(expected.as_numpy_iterator()):
            image = tf.io.decode_image(_read(split, i), channels)
            np.testing.assert_array_equal(image, example['image'])
            assert split.labels[i] == example['label']
    train = source.splits['train']
    assert len(set(train.paths)) == 2
    assert train.names[0] == 'knots-train.tfrecord-00000-of-00002/00000'
    assert train.names[-1].startswith('knots-train.tfrecord-00001-of-00002/')


def test_the_size_is_that_of_the_feature_or_of_the_images(tmp_path, knots):
    _prepare(tmp_path / 'fixed', _features((28, 28, 1)))
    fixed = _load(tmp_path / 'fixed')
    assert (fixed.image_size, fixed.fixed_size) == (28, True)
    _prepare(tmp_path / 'wide', _features((28, 36, 1)))
    assert not _load(tmp_path / 'wide').fixed_size
    free = _load(knots)
    assert (free.image_size, free.fixed_size) == (34, False)


@pytest.mark.parametrize(
    'splits, counts',
    [
        (('train',), (24, 3, 3)),
        (('train', 'test'), (27, 3, 6)),
        (('train', 'val', 'extra'), (27, 6, 3)),
    ],
)
def test_missing_splits_are_taken_from_train(tmp_path, splits, counts):
    _prepare(tmp_path, splits=splits)
    source = _load(tmp_path)
    assert tuple(len(split) for split in source.splits.values()) == counts
    image = tf.io.decode_image(_read(source.splits['test'], 0))
    assert image.shape[2] == 3


def test_a_split_without_labels_is_as_if_missing(tmp_path):
    _prepare(tmp_path, label=lambda split, i: -1 if split == 'test' else i % 3)
    source = _load(tmp_path, test=0.3)
    assert 'train' in source.splits['test'].names[0]
    assert [len(split) for split in source.splits.values()] == [21, 6, 9]


@pytest.mark.parametrize(
    'splits, label, message',
    [
        (('test',), 0, 'a split train with labels, got test'),
        (('train',), -1, 'a split train with labels, got train'),
    ],
)
def test_there_must_be_something_to_train_on(tmp_path, splits, label, message):
    _prepare(tmp_path, splits=splits, label=lambda split, i: label)
    with pytest.raises(DatasetError, match=message):
        _load(tmp_path)


def test_some_images_without_labels_are_refused(tmp_path):
    _prepare(tmp_path, label=lambda split, i: -1 if i == 4 else 0)
    with pytest.raises(
        DatasetError, match='labels must lie in 0..2, got -1 for knots-'
    ):
        _load(tmp_path)


def test_the_supervised_pair_is_taken_where_there_are_more(tmp_path):
    more = dict(coarse=kinds.ClassLabel(names=['x', 'y', 'z']), mask=kinds.Image())
    _prepare(tmp_path / 'pair', _features(**more))
    assert _load(tmp_path / 'pair').classes == CLASSES
    _prepare(tmp_path / 'none', _features(**more), supervised=None)
    with pytest.raises(
        DatasetError,
        match='one Image of uint8 and one ClassLabel, got '
        'coarse: ClassLabel, image: Image, label: ClassLabel, mask: Im',
    ):
        _load(tmp_path / 'none')
    others = dict(
        number=kinds.Scalar(np.int64),
        depth=kinds.Image(shape=(8, 8, 1), dtype=np.uint16, encoding_format='png'),
    )
    _prepare(tmp_path / 'one', _features(**others), supervised=None)
    assert _load(tmp_path / 'one').classes == CLASSES


def test_other_features_are_refused(tmp_path):
    _prepare(tmp_path, {'label': kinds.Scalar(np.int64)}, supervised=None)
    with pytest.raises(DatasetError, match='got label: Scalar. Choose'):
        _load(tmp_path)


def test_another_file_format_is_named(tmp_path):
    _prepare(tmp_path, file_format='array_record')
    with pytest.raises(DatasetError, match='the format tfrecord, got array_record in'):
        _load(tmp_path)


@pytest.mark.parametrize(
    'name, message, parameters',
    [
        (
            'mnist',
            'tfds:mnist is not prepared in .*; prepare it or pass',
            ('data_dir', 'download'),
        ),
        (
            'cifar10/plain:3.0.2',
            'tfds:cifar10/plain:3.0.2 is not prepared',
            ('data_dir', 'download'),
        ),
        (
            'mnits',
            "prepared in the data directory, got 'mnits'. Did you mean mnist",
            ('dataset', 'data_dir'),
        ),
        ('', r'Expected tfds:<name>, .*, got .*', ('dataset',)),
        ('some:thing', r"Expected tfds:<name>, .*, got 'some:thing'", ('dataset',)),
        (
            'knots:9.0.0',
            "dataset of TensorFlow Datasets, .* got 'knots:9.0.0'",
            ('dataset', 'data_dir'),
        ),
    ],
)
def test_a_dataset_that_is_not_there_is_an_error(knots, name, message, parameters):
    with pytest.raises(DatasetError, match=message) as error:
        _load(knots, name)
    assert error.value.parameters == parameters


def test_a_version_can_be_named(knots):
    assert len(_load(knots, 'knots:1.0.0').splits['train']) == 30


@pytest.mark.parametrize(
    'damage, message',
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), 'truncated record'),
        (
            lambda file: file.write_bytes(b'x' + file.read_bytes()[1:]),
            'corrupted record',
        ),
        (lambda file: file.write_bytes(b''), 'expected 30 images in'),
        (lambda file: file.unlink(), 'No such file'),
    ],
)
def test_a_damaged_shard_is_noticed(knots, damage, message):
    damage(knots / 'knots/1.0.0/knots-train.tfrecord-00001-of-00002')
    with pytest.raises(
        DatasetError, match=f'knots/1.0.0: .*{message}.*prepare it again'
    ):
        _load(knots)


@pytest.fixture
def cached(knots, monkeypatch):
    """The folder of a dataset whose index is kept in files."""
    monkeypatch.setattr(tfds, '_WORTH_KEEPING', 0)
    return knots / 'knots/1.0.0'


def _index(folder: Path) -> dict[str, int]:
    """The file of each split's index; to write it again makes another one."""
    return {path.name: path.stat().st_ino for path in (folder / CACHE).iterdir()}


def test_the_places_are_found_once(knots, cached):
    first = _load(knots)
    index = _index(cached)
    again = _load(knots)
    assert _index(cached) == index
    assert sorted(index) == [
        'test.npz',
        'train.npz',
        'validation.npz',
    ]
    for split, other in zip(first.splits.values(), again.splits.values()):
        assert split.names == other.names
        np.testing.assert_array_equal(split.ranges, other.ranges)
        np.testing.assert_array_equal(split.labels, other.labels)


@pytest.mark.parametrize(
    'change',
    [
        lambda folder: os.utime(folder / 'knots-train.tfrecord-00000-of-00002'),
        lambda folder: (folder / CACHE / 'train.npz').write_bytes(b'PK damaged'),
        lambda folder: os.truncate(folder / CACHE / 'train.npz', 700),
        lambda folder: os.truncate(folder / CACHE / 'train.npz', 0),
    ],
)
def test_they_are_found_again_where_anything_changed(knots, cached, change):
    before = _load(knots).splits['train']
    index = _index(cached)
    change(cached)
    after = _load(knots).splits['train']
    assert {name for name, file in _index(cached).items() if file != index[name]} == {
        'train.npz'
    }
    np.testing.assert_array_equal(before.ranges, after.ranges)


def test_prepare_leaves_what_is_there_and_names_what_fails(tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match='Did you mean mnist'):
        tfds.prepare('mnits', str(tmp_path))
    asked = []

    def builder(name, **options):
        asked.append((name, options))
        return SimpleNamespace(download_and_prepare=lambda: 1 / len(asked[1:]))

    monkeypatch.setattr(tensorflow_datasets, 'builder', builder)
    with pytest.raises(
        DatasetError, match='tfds:mnist could not be prepared: division'
    ):
        tfds.prepare('mnist', '')
    tfds.prepare('mnist', str(tmp_path))
    assert asked == [
        ('mnist', dict(data_dir=None, file_format='tfrecord')),
        ('mnist', dict(data_dir=str(tmp_path), file_format='tfrecord')),
    ]


def test_loading_says_nothing(knots, capfd):
    _load(knots)
    said = capfd.readouterr()
    assert not said.out and 'knots' not in said.err and 'Warning' not in said.err
