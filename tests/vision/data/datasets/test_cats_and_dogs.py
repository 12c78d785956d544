import io
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from vision.data import DatasetError, HeldOut, check_disjoint, load


@pytest.fixture(scope='module')
def image():
    contents = io.BytesIO()
    Image.new('RGB', (40, 30)).save(contents, 'JPEG')
    return contents.getvalue()


@pytest.fixture
def filtered(tmp_path, image):
    """The layout of the tutorials' archive, with half as many images to train on."""
    root = tmp_path / 'cats_and_dogs_filtered'
    for split, count in (('train', 500), ('validation', 500)):
        for kind in ('cat', 'dog'):
            folder = root / split / f'{kind}s'
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f'{kind}.{i}.jpg').write_bytes(image)
    (root / 'vectorize.py').touch()
    return root


@pytest.fixture
def kaggle(tmp_path, image):
    folder = tmp_path / 'dogs-vs-cats' / 'train'
    folder.mkdir(parents=True)
    for kind in ('cat', 'dog'):
        for i in range(2600):
            (folder / f'{kind}.{i}.jpg').write_bytes(image if i == 0 else b'')
    return folder


def _load(root, **held_out):
    source = load('cats_and_dogs', str(root), HeldOut(**held_out))
    check_disjoint(source)
    return source


def _counts(source):
    return {name: len(split) for name, split in source.splits.items()}


def test_every_fifth_batch_of_the_validation_images_is_the_test(filtered):
    source = _load(filtered, seed=7)
    assert source.classes == ('cats', 'dogs')
    assert _counts(source) == {'train': 1000, 'validation': 808, 'test': 192}
    names = [
        f'validation/{kind}s/{name}'
        for kind in ('cat', 'dog')
        for name in sorted(f'{kind}.{i}.jpg' for i in range(500))
    ]
    order = np.random.Generator(np.random.PCG64(7)).permutation(1000)
    batches = [order[start : start + 32] for start in range(0, 1000, 32)]
    test = np.sort(np.concatenate(batches[4::5]))
    assert source.splits['test'].names == [names[i] for i in test]
    assert set(source.splits['validation'].names) | set(
        source.splits['test'].names
    ) == set(names)


def test_the_parent_will_do_and_the_seed_decides_the_test(filtered):
    assert (
        _load(filtered.parent).splits['test'].names
        == _load(filtered).splits['test'].names
        != _load(filtered, seed=1).splits['test'].names
    )


def test_ready_splits_are_kept(filtered):
    shutil.copytree(filtered / 'validation', filtered / 'test')
    assert _counts(_load(filtered)) == {'train': 1000, 'validation': 1000, 'test': 1000}
    shutil.rmtree(filtered / 'validation')
    assert _counts(_load(filtered, validation=0.3)) == {
        'train': 700,
        'validation': 300,
        'test': 1000,
    }


def test_too_few_validation_images_make_no_test(filtered):
    for kind in ('cat', 'dog'):
        for i in range(64, 500):
            (filtered / f'validation/{kind}s/{kind}.{i}.jpg').unlink()
    with pytest.raises(DatasetError, match='more than 128 validation images.*got 128'):
        _load(filtered)


def test_another_class_is_refused(filtered):
    (filtered / 'train/dogs').rename(filtered / 'train/wolves')
    with pytest.raises(
        DatasetError, match='Expected train/cats and train/dogs.*Download'
    ):
        _load(filtered)
    shutil.copytree(filtered / 'train/wolves', filtered / 'train/dogs')
    with pytest.raises(DatasetError, match='cats, dogs; got wolves besides'):
        _load(filtered)


def test_kaggles_folder_is_split_by_number(kaggle):
    source = _load(kaggle.parent.parent)
    assert _counts(source) == {'train': 2000, 'validation': 1000, 'test': 2000}
    assert source.classes == ('cats', 'dogs')
    validation = source.splits['validation']
    assert validation.names[0] == 'train/cat.1000.jpg'
    assert validation.names[-1] == 'train/dog.1499.jpg'
    assert validation.paths[0] == str(kaggle / 'cat.1000.jpg')
    np.testing.assert_array_equal(validation.labels, np.repeat([0, 1], 500))
    itself = _load(kaggle).splits['test']
    assert itself.names[0] == 'cat.1500.jpg'
    assert itself.paths == source.splits['test'].paths


def test_missing_numbers_are_named(kaggle):
    (kaggle / 'cat.3.jpg').unlink()
    (kaggle / 'dog.2000.jpg').unlink()
    (kaggle / 'dog.2550.jpg').unlink()  # Not used.
    with pytest.raises(
        DatasetError,
        match='got 5197 images, without 2 of these: cat.3.jpg, dog.2000.jpg',
    ):
        _load(kaggle)


@pytest.mark.parametrize(
    'folder, got',
    [
        ('', 'needs a data directory, got none'),
        ('empty', 'got an empty folder'),
        ('nowhere', 'got no such folder'),
    ],
)
def test_no_images_are_told_where_to_get_them(tmp_path, folder, got):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(DatasetError) as error:
        _load(tmp_path / folder if folder else '')
    for part in (got, 'Download', 'cats_and_dogs_filtered.zip', 'as data_dir'):
        assert part in str(error.value)
    assert error.value.parameters == ('data_dir', 'download')


def test_the_size_is_that_of_most_images(tmp_path):
    # The layout of an archive with three splits: names are of any kind.
    sizes = [(500, 374), (300, 280), (320, 90), (60, 40), (499, 375)]
    for split in ('train', 'validation', 'test'):
        for kind in ('cat', 'dog'):
            folder = tmp_path / 'cats_and_dogs' / split / f'{kind}s'
            folder.mkdir(parents=True)
            for i, size in enumerate(sizes):
                Image.new('RGB', size).save(folder / f'{kind}.{i}.jpg')
    source = _load(tmp_path)
    assert _counts(source) == {'train': 10, 'validation': 10, 'test': 10}
    assert (source.image_size, source.fixed_size) == (224, False)
    for split in source.splits.values():
        np.testing.assert_array_equal(split.labels, np.repeat([0, 1], 5))
    for kind in ('cat', 'dog'):
        folder = tmp_path / 'cats_and_dogs' / 'train' / f'{kind}s'
        for i in (0, 1):
            (folder / f'{kind}.{i}.jpg').unlink()
    assert _load(tmp_path).image_size == 90


@pytest.mark.slow
def test_the_real_images(data_folder, tmp_path):
    with zipfile.ZipFile(data_folder / 'cats_and_dogs.zip') as archive:
        archive.extractall(tmp_path)
    source = _load(tmp_path)
    assert _counts(source) == {'train': 1400, 'validation': 300, 'test': 300}
    assert source.image_size == 224
    for split in source.splits.values():
        assert set(np.bincount(split.labels)) == {len(split) // 2}
