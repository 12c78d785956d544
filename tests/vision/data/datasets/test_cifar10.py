import pickle
import struct

import numpy as np
import pytest
from PIL import Image

from vision.data import DatasetError, HeldOut, check_disjoint, load
from vision.data.datasets import cifar10

BATCHES = [*(f'data_batch_{i}' for i in range(1, 6)), 'test_batch']
COUNT = 20  # Images in each batch; the real 10,000 take too long.


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(cifar10, '_IMAGES', COUNT)


@pytest.fixture
def images():
    """uint8 [120, 32, 32, 3], all batches; of image i the label is i % 10."""
    return np.random.default_rng(1).integers(0, 256, [6 * COUNT, 32, 32, 3], np.uint8)


@pytest.fixture
def binary(tmp_path, images):
    folder = tmp_path / 'cifar-10-batches-bin'
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        with open(folder / f'{name}.bin', 'wb') as file:
            for i in range(number * COUNT, (number + 1) * COUNT):
                file.write(bytes([i % 10]) + images[i].transpose(2, 0, 1).tobytes())
    return folder


@pytest.fixture
def pickled(tmp_path, images):
    folder = tmp_path / 'cifar-10-batches-py'
    folder.mkdir()
    for number, name in enumerate(BATCHES):
        batch = slice(number * COUNT, (number + 1) * COUNT)
        data = images[batch].transpose(0, 3, 1, 2).tobytes()
        labels = np.arange(6 * COUNT)[batch] % 10
        (folder / name).write_bytes(_pickle_of_python_2(data, labels.tolist()))
    return folder


def _pickle_of_python_2(data: bytes, labels: list[int]) -> bytes:
    """A batch as the official archive has it, which today's pickle does not write."""

    def string(value: bytes) -> bytes:
        return b'T' + struct.pack('<i', len(value)) + value

    dtype = (
        b'cnumpy\ndtype\n'
        + string(b'u1')
        + b'K\x00K\x01\x87R'
        + b'(K\x03'
        + string(b'|')
        + b'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb'
    )
    shape = b'K' + bytes([len(labels)]) + b'M\x00\x0c\x86'
    array = (
        b'cnumpy.core.multiarray\n_reconstruct\n'
        + b'cnumpy\nndarray\n'
        + b'K\x00\x85'
        + string(b'b')
        + b'\x87R'
        + b'(K\x01'
        + shape
        + dtype
        + b'\x89'
        + string(data)
        + b'tb'
    )
    items = (
        string(b'labels')
        + b'(l'
        + b''.join(b'K' + bytes([label]) + b'a' for label in labels)
    )
    return b'\x80\x02}(' + items + string(b'data') + array + b'u.'


def _load(root, **held_out):
    source = load('cifar10', str(root), HeldOut(**held_out))
    check_disjoint(source)
    return source


def test_the_binary_version_is_read_into_memory(binary, images):
    source = _load(binary, validation=0.2)
    assert (source.image_size, source.fixed_size) == (32, True)
    # In the order of the archive's batches.meta.txt.
    names = 'airplane automobile bird cat deer dog frog horse ship truck'
    assert source.classes == tuple(names.split())
    test = source.splits['test']
    np.testing.assert_array_equal(test.images, images[5 * COUNT :])
    np.testing.assert_array_equal(test.labels, np.arange(COUNT) % 10)
    assert test.names[17] == 'test_batch/00017'
    assert [len(split) for split in source.splits.values()] == [80, 20, 20]
    for name in ('train', 'validation'):
        split = source.splits[name]
        for image, label, of in zip(split.images, split.labels, split.names):
            batch, number = of.split('/')
            at = BATCHES.index(batch) * COUNT + int(number)
            assert label == at % 10
            np.testing.assert_array_equal(image, images[at])


def test_the_parent_will_do(binary):
    assert (
        _load(binary.parent).splits['train'].names
        == _load(binary).splits['train'].names
    )


def test_the_python_version_is_the_same(binary, pickled):
    for name, split in _load(binary).splits.items():
        other = _load(pickled).splits[name]
        np.testing.assert_array_equal(split.images, other.images)
        np.testing.assert_array_equal(split.labels, other.labels)
        assert split.names == other.names


class _Harm:
    def __reduce__(self):
        return print, ('harm',)


@pytest.mark.parametrize(
    'contents, message',
    [
        (pickle.dumps(_Harm()), 'the forbidden builtins.print'),
        (
            pickle.dumps({'labels': [1] * COUNT, 'data': _Harm()}, 2),
            'forbidden __builtin__',
        ),
        (pickle.dumps(np.zeros(3)), 'the forbidden numpy'),
        (b'cnumpy\nsave\n.', 'the forbidden numpy.save'),
        (pickle.dumps({'labels': []}), "KeyError.'data'"),
        (pickle.dumps([]), 'TypeError'),
        (b'', 'EOFError'),
        (_pickle_of_python_2(bytes(COUNT * 3072), [0] * (COUNT - 1)), '19 labels'),
        (_pickle_of_python_2(bytes(COUNT * 3072 - 1), [0] * COUNT), 'reshape'),
    ],
)
def test_a_pickle_can_call_nothing(pickled, capfd, contents, message):
    (pickled / 'data_batch_2').write_bytes(contents)
    with pytest.raises(DatasetError, match=f'data_batch_2: .*got .*{message}'):
        _load(pickled)
    assert 'harm' not in capfd.readouterr().out


@pytest.mark.parametrize('change', [-1, 1])
def test_a_file_of_another_size_is_refused(binary, change):
    file = binary / 'data_batch_3.bin'
    file.write_bytes((file.read_bytes() + b'\0')[: COUNT * 3073 + change])
    with pytest.raises(
        DatasetError,
        match=f'data_batch_3.bin: expected 61,460 bytes, got {COUNT * 3073 + change:,}',
    ):
        _load(binary)


def test_a_label_beyond_nine_is_refused(binary):
    file = binary / 'test_batch.bin'
    contents = bytearray(file.read_bytes())
    contents[3073] = 10
    file.write_bytes(contents)
    with pytest.raises(DatasetError, match='0..9, got 10 for test_batch/00001'):
        _load(binary)


def test_a_missing_file_is_named(binary):
    (binary / 'test_batch.bin').unlink()
    with pytest.raises(
        DatasetError, match='lacks test_batch.bin; .*not extracted whole'
    ):
        _load(binary)


@pytest.fixture
def tree(tmp_path):
    for split in ('train', 'test'):
        for name in cifar10.CLASSES:
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(3):
                Image.new('RGB', (32, 32)).save(folder / f'{i}.png')
    return tmp_path


def test_files_stay_on_disk(tree):
    source = _load(tree)
    assert (source.classes, source.image_size, source.fixed_size) == (
        cifar10.CLASSES,
        32,
        True,
    )
    assert [len(split) for split in source.splits.values()] == [20, 10, 30]
    assert source.splits['test'].names[4] == 'test/automobile/1.png'
    assert source.splits['test'].labels[4] == 1


def test_other_classes_are_refused(tree):
    (tree / 'test/frog').rename(tree / 'test/toad')
    with pytest.raises(DatasetError, match='expected the classes airplane.*got toad'):
        _load(tree)
    (tree / 'test/toad').rename(tree / 'test/frog')
    (tree / 'train/frog').rename(tree / 'frog')
    with pytest.raises(DatasetError, match='every class, got none of frog'):
        _load(tree)


@pytest.mark.parametrize(
    'folder, got',
    [
        ('', 'needs a data directory, got none'),
        ('empty', 'got an empty folder'),
        ('nowhere', 'got no such folder'),
    ],
)
def test_no_data_is_told_where_to_get_it(tmp_path, folder, got):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError) as error:
        _load(tmp_path / folder if folder else '')
    for part in (got, 'Download', 'cifar-10-binary.tar.gz', '170,052,171 bytes'):
        assert part in str(error.value)
    assert error.value.parameters == ('data_dir', 'download')
