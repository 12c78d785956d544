import os
import time
from pathlib import Path

import pytest

from vision.data import DatasetError
from vision.data.storage import index
from vision.data.storage.index import find_images


@pytest.fixture
def tree(tmp_path):
    """Three images in folders that last changed a while ago."""
    for name in ('b/1.jpg', 'b/2.PNG', 'b/sub/3.jpeg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    _age(tmp_path)
    return tmp_path


@pytest.fixture
def always_cached(monkeypatch):
    monkeypatch.setattr(index, '_WORTH_KEEPING', 0)


def _age(root):
    """Sets back the clock of all folders, as if nothing had changed for an hour."""
    hour_ago = time.time() - 3600
    for folder, _, _ in os.walk(root):
        os.utime(folder, (hour_ago, hour_ago))


def _count_scans(monkeypatch):
    scanned = []
    scandir = os.scandir

    def counting(folder):
        scanned.append(os.path.relpath(folder, start=counting.root))
        return scandir(folder)

    monkeypatch.setattr(os, 'scandir', counting)
    return scanned, counting


def test_images_are_sorted_by_code_point(tmp_path):
    names = ['a-b/1.jpg', 'a/10.jpg', 'a/2.jpg', 'B.jpg', 'b.jpg', 'ä ö/1.jpg']
    for name in reversed(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_images(tmp_path) == sorted(names)
    assert find_images(tmp_path)[:2] == ['B.jpg', 'a-b/1.jpg']


@pytest.mark.parametrize(
    'name, count',
    [
        *((f'x{ending}', True) for ending in index.EXTENSIONS),
        ('X.JPG', True),
        ('x.y.Png', True),
        ('Thumbs.db', False),
        ('.DS_Store', False),
        ('._x.jpg', False),
        ('notes.txt', False),
        ('jpg', False),
        ('__MACOSX/x.jpg', False),
        ('.cache/x.jpg', False),
        ('folder.jpg/x.jpg', True),
    ],
)
def test_an_image_is_what_has_the_extension_of_one(tmp_path, name, count):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert find_images(tmp_path) == [name] * count


def test_links_are_followed_but_not_in_circles(tree):
    (tree / 'link').symlink_to('b')
    (tree / 'b/sub/up').symlink_to(tree)
    assert find_images(tree) == [
        'b/1.jpg',
        'b/2.PNG',
        'b/sub/3.jpeg',
        'link/1.jpg',
        'link/2.PNG',
        'link/sub/3.jpeg',
    ]


def test_folders_may_be_nested_deeply(tmp_path):
    folders = [tmp_path.joinpath(*'d' * depth) for depth in range(1, 1101)]
    for folder in folders:
        folder.mkdir()
    image = folders[-1] / '1.jpg'
    image.touch()
    paths = find_images(tmp_path)
    image.unlink()
    for folder in reversed(folders):  # pytest removes folders by recursion.
        folder.rmdir()
    assert paths == [str(image.relative_to(tmp_path))]


def test_a_folder_that_cannot_be_read_is_named(tree, monkeypatch):
    scandir = os.scandir

    def refusing(folder):
        if str(folder).endswith('sub'):
            raise PermissionError(13, 'Permission denied')
        return scandir(folder)

    monkeypatch.setattr(os, 'scandir', refusing)
    with pytest.raises(DatasetError, match='got .*b/sub: Permission denied'):
        find_images(tree)
    with pytest.raises(DatasetError, match='got .*nowhere: No such file'):
        find_images(tree / 'nowhere')


def test_a_name_that_is_not_unicode_is_shown(tmp_path):
    with open(os.fsencode(tmp_path) + b'/\xff.jpg', 'wb'):
        pass
    with pytest.raises(DatasetError, match=r"UTF-8, got '\\udcff.jpg'; rename"):
        find_images(tmp_path)


def test_a_small_tree_leaves_no_index(tree):
    find_images(tree)
    assert sorted(os.listdir(tree)) == ['b']


def test_only_folders_that_changed_are_read_again(tree, always_cached, monkeypatch):
    before = find_images(tree)
    _age(tree)
    find_images(tree)  # The index's own folder was new before.
    scanned, counting = _count_scans(monkeypatch)
    counting.root = tree
    written = os.stat(tree / '.tapestry/index.json').st_mtime_ns
    assert find_images(tree) == before
    assert not scanned
    assert os.stat(tree / '.tapestry/index.json').st_mtime_ns == written
    (tree / 'b/sub/0.gif').touch()
    assert find_images(tree) == [*before[:2], 'b/sub/0.gif', before[2]]
    assert scanned == ['b/sub']


def test_a_folder_that_changed_just_now_is_not_remembered(tree, always_cached):
    """Its modification time may stand still while more is added to it."""
    (tree / 'b/new.jpg').touch()
    status = os.stat(tree / 'b')
    assert len(find_images(tree)) == 4
    (tree / 'b/newer.jpg').touch()
    os.utime(tree / 'b', ns=(status.st_atime_ns, status.st_mtime_ns))
    assert len(find_images(tree)) == 5


def test_without_cache_none_is_read_or_written(tree, always_cached):
    find_images(tree, cache=False)
    assert not (tree / index.CACHE).exists()


@pytest.mark.parametrize(
    'damage',
    [
        lambda contents: contents[:-10],
        lambda contents: contents.replace(b'1.jpg', b'7.jpg'),
        lambda contents: b'',
        lambda contents: b'\xff\x00',
        lambda contents: b'{}',
    ],
)
def test_a_damaged_index_is_replaced(tree, always_cached, damage):
    before = find_images(tree)
    _age(tree)
    find_images(tree)
    file = tree / '.tapestry/index.json'
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert find_images(tree) == before
    assert file.read_bytes() == whole
    assert os.listdir(file.parent) == [file.name]


def test_an_index_that_cannot_be_written_is_done_without(tree, always_cached):
    (tree / index.CACHE).write_text('a file in the way')
    assert len(find_images(tree)) == 3


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / 'cache' / 'index.json'
    index.write_cache(file, b'old')

    def fail(*paths):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'replace', fail)
    index.write_cache(file, b'new')
    assert file.read_bytes() == b'old'
    assert os.listdir(file.parent) == [file.name]


def test_two_writes_of_a_file_at_once_both_succeed(tmp_path, monkeypatch):
    file = tmp_path / 'cache' / 'index.json'
    publish, published = index.publish, []

    def publish_after_another(*paths):
        if not published:
            published.append(b'other')
            index.write_cache(file, b'other')
            published.append(file.read_bytes())
        publish(*paths)

    monkeypatch.setattr(index, 'publish', publish_after_another)
    index.write_cache(file, b'first')
    assert published == [b'other', b'other']
    assert file.read_bytes() == b'first'
    assert os.listdir(file.parent) == [file.name]
