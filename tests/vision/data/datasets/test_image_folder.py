import os
import shutil

import numpy as np
import pytest
from PIL import Image

from vision.data import DatasetError, FileSplit, HeldOut, check_disjoint, load


def _draw(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size).save(path)


def _folders(root, *parents, count=10, classes=('cat', 'dog')):
    """Small images in <root>/<parent>/<class>/ for each parent."""
    for parent in parents or ('',):
        for name in classes:
            for i in range(count):
                _draw(root / parent / name / f'{i}.png')
    return root


def _load(root, **held_out):
    source = load('image_folder', str(root), HeldOut(**held_out))
    check_disjoint(source)
    return source


def _counts(source):
    return tuple(len(source.splits[name]) for name in ('train', 'validation', 'test'))


def test_classes_alone_are_split_in_three(tmp_path):
    source = _load(_folders(tmp_path, count=20), validation=0.2, test=0.1)
    assert _counts(source) == (28, 8, 4)
    assert (source.name, source.classes) == ('image_folder', ('cat', 'dog'))
    for split in source.splits.values():
        assert set(np.bincount(split.labels)) == {len(split) // 2}
        assert split.labels.dtype == np.int32
        for name, label, path in zip(split.names, split.labels, split.paths):
            assert name.startswith(f'{source.classes[label]}/')
            assert path == str(tmp_path / name) and os.path.isfile(path)


def test_the_seed_decides_what_is_held_out(tmp_path):
    _folders(tmp_path, count=30)
    first, again, other = (
        _load(tmp_path, seed=s).splits['test'].names for s in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize(
    'folders, counts',
    [
        (('train', 'validation', 'test'), (20, 20, 20)),
        (('Training', 'VAL', 'Testing'), (20, 20, 20)),
        (('train', 'valid'), (18, 20, 2)),
        (('train', 'test'), (18, 2, 20)),
        (('train',), (16, 2, 2)),
    ],
)
def test_ready_splits_are_kept_and_missing_ones_taken_from_train(
    tmp_path, folders, counts
):
    source = _load(_folders(tmp_path, *folders))
    assert _counts(source) == counts
    assert list(source.splits) == ['train', 'validation', 'test']
    assert source.splits['train'].names[0].startswith(f'{folders[0]}/cat/')


def test_the_only_folder_may_hold_the_splits(tmp_path):
    _folders(tmp_path / 'wrapper', 'train', 'val')
    (tmp_path / 'readme.txt').touch()
    (tmp_path / '__MACOSX').mkdir()
    source, inner = _load(tmp_path), _load(tmp_path / 'wrapper')
    assert source.splits['test'].paths == inner.splits['test'].paths
    assert source.splits['test'].names == inner.splits['test'].names


def test_images_lie_as_deep_as_they_like_and_strays_are_left_out(tmp_path):
    _folders(tmp_path)
    _draw(tmp_path / 'cat/a/b/deep.png')
    _draw(tmp_path / 'overview.png')
    names = sum((list(s.names) for s in _load(tmp_path).splits.values()), [])
    assert 'cat/a/b/deep.png' in names and 'overview.png' not in names


def test_names_may_hold_spaces_and_any_letters(tmp_path):
    classes = ('Zürich é', 'a b', '日本')
    source = _load(_folders(tmp_path, classes=classes))
    assert source.classes == tuple(sorted(classes))


def test_a_class_of_trains_is_a_class(tmp_path):
    source = _load(_folders(tmp_path, classes=('car', 'train')))
    assert source.classes == ('car', 'train')


def test_a_class_may_be_missing_in_other_splits_but_not_be_new(tmp_path):
    _folders(tmp_path, 'train', 'val', 'test')
    shutil.rmtree(tmp_path / 'val/cat')
    assert set(_load(tmp_path).splits['validation'].labels) == {1}
    _draw(tmp_path / 'test/horse/1.png')
    with pytest.raises(
        DatasetError, match='test: expected the classes cat, dog; got horse besides'
    ):
        _load(tmp_path)


def test_a_class_without_images_is_named(tmp_path):
    _folders(tmp_path, 'train')
    (tmp_path / 'train/horse').mkdir()
    with pytest.raises(DatasetError, match='of every class, got none of horse'):
        _load(tmp_path)


@pytest.mark.parametrize(
    'paths, message',
    [
        ([], 'two class folders or more in .*, got an empty folder.*DIR/<class>/'),
        (['1.png', '2.png'], 'got 1.png, 2.png.*DIR/train/<class>/'),
        (['cat/1.png'], 'two class folders or more in .*, got cat'),
        (['train/cat/1.png'], 'two class folders or more in .*train, got cat'),
        (['train/1.png', 'test/1.png'], 'classes in them, got test, train'),
        (['val/cat/1.png', 'test/cat/1.png'], 'classes in them, got test, val'),
        (['train/cat/1.png', 'more/cat/1.png'], 'classes in them, got more, train'),
        (
            ['train/cat/1.png', 'val/cat/1.png', 'valid/cat/1.png'],
            'one folder for the validation split, got val and valid',
        ),
        (['cat/1.txt', 'dog/1.txt'], 'Expected images in .*<class>/, got cat, dog'),
        (
            ['train/cat/1.png', 'train/dog/1.png', 'test/1.png'],
            'Expected images in .*test/<class>/, got 1.png',
        ),
    ],
)
def test_another_layout_is_told_what_to_do(tmp_path, paths, message):
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    with pytest.raises(DatasetError, match=message):
        _load(tmp_path)


def test_no_folder_is_told_what_to_pass(tmp_path):
    with pytest.raises(
        DatasetError, match='got none. Put the .*DIR as data_dir'
    ) as error:
        _load('')
    assert error.value.parameters == ('data_dir',)
    with pytest.raises(DatasetError, match='nowhere: no such folder. Put the'):
        _load(tmp_path / 'nowhere')


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):

    def refuse(folder):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(DatasetError, match=f'got {tmp_path}: Permission denied'):
        _load(tmp_path)


@pytest.mark.parametrize('count, counts', [(3, (2, 2, 2)), (2, None), (1, None)])
def test_each_split_needs_an_image(tmp_path, count, counts):
    _folders(tmp_path, count=count)
    if counts:
        assert _counts(_load(tmp_path)) == counts
    else:
        with pytest.raises(
            DatasetError,
            match=f'from each class, got {2 * count} images of 2 classes. Add some',
        ):
            _load(tmp_path)


def test_shares_must_leave_something_to_train_on(tmp_path):
    _folders(tmp_path)
    assert _counts(_load(tmp_path, validation=0.5, test=0.4)) == (2, 10, 8)
    with pytest.raises(DatasetError, match='less than 1, got 0.5 and 0.5'):
        _load(tmp_path, validation=0.5, test=0.5)
    with pytest.raises(DatasetError, match='between 0 and 1, got 1.5'):
        _load(tmp_path, test=1.5)


@pytest.mark.parametrize(
    'size, expected', [((40, 30), 30), ((9, 300), 16), ((500, 400), 224)]
)
def test_the_size_is_the_median_of_the_shorter_sides(tmp_path, size, expected):
    _folders(tmp_path)
    for i in range(12):
        _draw(tmp_path / f'cat/{i}.png', size)
    (tmp_path / 'dog/0.png').write_text('not an image')
    source = _load(tmp_path)
    assert (source.image_size, source.fixed_size) == (expected, False)


def test_the_size_is_found_without_reading_whole_files(tmp_path, monkeypatch):
    _folders(tmp_path)

    def fail(split, index):
        raise AssertionError(f'{split.paths[index]} was read.')

    monkeypatch.setattr(FileSplit, 'read', fail)
    assert _load(tmp_path).image_size > 0


def test_files_that_are_no_images_are_noticed(tmp_path):
    for name in ('cat', 'dog'):
        for i in range(9):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / f'{i}.jpg').write_text('<html>')
    with pytest.raises(
        DatasetError, match='got 18 files that are none, such as .*/cat/0.jpg'
    ):
        _load(tmp_path)
