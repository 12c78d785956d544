import os

import numpy as np
import pytest
from PIL import Image

from vision.data import DatasetError, HeldOut, check_disjoint, load

ROWS = [f'images/{i}.png,{"cat" if i % 2 else "dog"}' for i in range(20)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / 'images').mkdir()
    for i in range(20):
        Image.new('RGB', (40, 30)).save(tmp_path / f'images/{i}.png')
    return tmp_path


def _load(folder, lines, name='list.csv', encoding='utf-8', data_dir=None, **held_out):
    (folder / name).write_text('\n'.join(lines), encoding=encoding)
    source = load('csv', str(data_dir or folder / name), HeldOut(**held_out))
    check_disjoint(source)
    return source


def test_images_are_split_by_class(folder):
    source = _load(folder, ROWS, validation=0.2, test=0.4)
    assert (source.name, source.classes, source.image_size) == (
        'csv',
        ('cat', 'dog'),
        30,
    )
    assert [len(split) for split in source.splits.values()] == [8, 4, 8]
    for split in source.splits.values():
        for name, label, path in zip(split.names, split.labels, split.paths):
            assert f'{name},{source.classes[label]}' in ROWS
            assert path == str(folder / name)


@pytest.mark.parametrize(
    'titles',
    ['path,label', 'filename,class', 'File, Label', 'image,label', '"path","label"'],
)
def test_a_line_of_titles_is_recognised(folder, titles):
    source = _load(folder, [titles, *ROWS], encoding='utf-8-sig')
    assert sum(map(len, source.splits.values())) == 20


def test_splits_that_are_given_are_kept(folder):
    lines = ['path,label,split'] + [f'{row},Train' for row in ROWS[:10]]
    lines += [f'{row},val' for row in ROWS[10:]]
    source = _load(folder, lines)
    assert [len(split) for split in source.splits.values()] == [8, 10, 2]
    assert source.splits['validation'].names[0] == 'images/10.png'


def test_a_class_needs_training_images(folder):
    lines = [f'{row},train' for row in ROWS[:10]] + ['images/11.png,horse,test']
    with pytest.raises(DatasetError, match='every class, got none of horse'):
        _load(folder, lines)


def test_a_folder_holds_labels_csv(folder):
    source = _load(folder, ROWS, name='labels.csv', data_dir=folder)
    assert source.classes == ('cat', 'dog')


def test_paths_may_be_absolute_and_the_list_elsewhere(folder):
    (folder / 'lists').mkdir()
    lines = [f'../{row}' for row in ROWS[:10]] + [
        f'{folder}/{row}' for row in ROWS[10:]
    ]
    source = _load(folder, lines, name='lists/list.csv')
    paths = sum((list(split.paths) for split in source.splits.values()), [])
    assert {os.path.realpath(path) for path in paths} == {
        str(folder / f'images/{i}.png') for i in range(20)
    }


@pytest.mark.parametrize(
    'labels, classes',
    [
        (('10', '9', '-1'), ('-1', '9', '10')),
        (('10', '9', 'x'), ('10', '9', 'x')),
        (('a', 'b', 'B'), ('B', 'a', 'b')),
        (('a b', '"c,d"', 'ä'), ('a b', 'c,d', 'ä')),
    ],
)
def test_classes_are_sorted_as_numbers_where_all_are(folder, labels, classes):
    lines = [f'images/{i}.png,{labels[i % 3]}' for i in range(20)] + ['']
    source = _load(folder, lines)
    assert source.classes == classes
    assert np.unique(source.splits['train'].labels).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    'line, message',
    [
        (
            'images/1.png',
            "list.csv, line 21: expected path,label, got 'images/1.png'",
        ),
        ('images/x.png,cat,train', 'line 21: expected path,label, got'),
        ('images/x.png,', 'line 21: expected a label, got an empty one'),
        (',cat', 'line 21: expected a path, got an empty one'),
        ('images/x.png,cat', 'got 1 of 21 that do not exist: images/x.png'),
        ('images,cat', 'got 1 of 21 that do not exist: images'),
        (
            ROWS[3],
            'line 21: expected every image once, got images/3.png again, first '
            'in line 4',
        ),
        (
            './images//3.png,dog',
            "got images/3.png as 'dog' and as 'cat', first in line 4",
        ),
    ],
)
def test_a_wrong_line_is_named(folder, line, message):
    with pytest.raises(DatasetError, match=message):
        _load(folder, [*ROWS, line])


@pytest.mark.parametrize(
    'lines, message',
    [
        (['images/1.png'], 'line 1: expected path,label or path,label,split, got'),
        (
            ['path,label,width,height'],
            'line 1: expected path,label or path,label,split',
        ),
        (
            ['images/1.png,cat,dev'],
            "line 1: expected a split of train, .*, got 'dev'",
        ),
        (['images/1.png,cat,'], "line 1: expected a split of train, .*, got ''"),
        (['images/1.png,cat,test'], 'images of the split train, got only test'),
        (['path,label'], 'expected images, got none'),
        ([''], 'expected images, got none'),
        (['"' + 200_000 * 'x'], 'line 1: field larger than field limit'),
    ],
)
def test_a_wrong_file_is_told_what_to_write(folder, lines, message):
    with pytest.raises(DatasetError, match=message):
        _load(folder, lines)


@pytest.mark.parametrize('count, end', [(5, '4.jpg'), (6, '4.jpg, ...')])
def test_the_first_five_missing_images_are_named(folder, count, end):
    with pytest.raises(DatasetError) as error:
        _load(folder, ROWS + [f'{i}.jpg,cat' for i in range(count)])
    assert str(error.value) == (
        f'{folder / "list.csv"}: expected paths relative to {folder}, got {count} of '
        f'{20 + count} that do not exist: 0.jpg, 1.jpg, 2.jpg, 3.jpg, {end}. Correct '
        'or remove them.'
    )


def test_another_encoding_is_named(folder):
    with pytest.raises(DatasetError, match='text in UTF-8, got the byte 0xe4'):
        _load(folder, ['images/1.png,bär'], encoding='latin1')


def test_no_file_is_told_what_to_pass(tmp_path):
    with pytest.raises(
        DatasetError, match='got none. Write a line .*FILE.csv as data_dir'
    ) as error:
        load('csv')
    assert error.value.parameters == ('data_dir',)
    with pytest.raises(DatasetError, match='no such file: .*labels.csv. Write a line'):
        load('csv', str(tmp_path))
