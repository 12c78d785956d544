import bz2
import io
import os
import resource
import signal
import stat
import struct
import subprocess
import sys
import tarfile
import tempfile
import types
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.data import DatasetError
from vision.data.download import extract as module
from vision.data.download.extract import extract

# Names beyond ASCII, an empty file, an empty folder, and a name longer than 100 bytes.
FILES = {
    'set/wnids.txt': b'n01\nn02',
    'set/train/n01/images/n01_0.JPEG': bytes(range(256)) * 40,
    'set/train/n01/images/n01_1.JPEG': b'x' * 3_000,
    'set/val/images/caf\u00e9.JPEG': b'',
    f'set/val/{"long" * 30}.txt': b'y' * 70_000,
}
SIZE = sum(map(len, FILES.values()))
KINDS = ('zip', 'stored', 'tar', 'tar.gz', 'tar.bz2', 'tar.xz')
ROOT = Path(module.__file__).parents[3]
# Says how far it is and waits for an answer.
CHILD = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from vision.data.download.extract import extract

def wait(done, total):
    print(done, flush=True)
    sys.stdin.readline()

extract(Path(sys.argv[1]), Path(sys.argv[2]), progress=wait)
"""


def _zip(files, method=zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of (name or ZipInfo, bytes) pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w', method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return buffer.getvalue()


def _tar(files, compression='') -> bytes:
    """A tar of (name or TarInfo, bytes) pairs."""
    buffer = io.BytesIO()
    mode: Any = f'w:{compression}'
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _entry(name, kind, target='') -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def _zip_entry(name, mode) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def _pack(kind, files=FILES) -> bytes:
    if kind == 'stored':
        return _zip(files.items(), zipfile.ZIP_STORED)
    if kind == 'zip':
        return _zip(files.items())
    return _tar(files.items(), kind.removeprefix('tar').removeprefix('.'))


def _content(folder) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


@pytest.fixture
def extracted(tmp_path):
    """Extracts bytes; whatever happens, nothing may lie beside the folder after it."""
    archive = tmp_path / 'archive'
    folder = tmp_path / 'data' / 'folder'

    def extract_bytes(content, **options):
        archive.write_bytes(content)
        try:
            return extract(archive, folder, **options)
        except DatasetError as error:
            assert str(archive) in str(error)
            assert not folder.exists()
            raise
        finally:
            there = ['folder'] if folder.exists() else []
            assert [path.name for path in folder.parent.iterdir()] == there

    return extract_bytes


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_is_known_by_its_content(extracted, kind):
    calls = []
    folder = extracted(_pack(kind), progress=lambda *call: calls.append(call))
    assert _content(folder) == FILES
    assert calls[-1] == (SIZE, SIZE) and calls == sorted(calls)


@pytest.mark.parametrize('kind', KINDS)
def test_the_top_folder_becomes_the_folder(extracted, kind):
    folder = extracted(_pack(kind), top='set')
    assert _content(folder) == {
        name.removeprefix('set/'): content for name, content in FILES.items()
    }


@pytest.mark.parametrize('name', ['set.txt', 'sets/a.txt', 'a.txt'])
def test_anything_beside_the_top_folder_is_refused(extracted, name):
    with pytest.raises(DatasetError, match=f"to be in set/, got '{name}'"):
        extracted(_pack('zip', {**FILES, name: b''}), top='set')


def test_a_top_folder_that_is_a_file_is_refused(extracted):
    with pytest.raises(DatasetError, match="to be in set/, got 'set'"):
        extracted(_zip([('set', b'')]), top='set')


def test_what_the_mac_adds_to_zips_is_left_out(extracted):
    added = {'__MACOSX/set/._wnids.txt': b'\0\5\26\7'}
    assert len(_content(extracted(_pack('zip', {**FILES, **added}), top='set'))) == 5


def test_dots_and_empty_folders_are_understood(extracted):
    folders = [_entry(name, tarfile.DIRTYPE) for name in ('.', './a', './a/empty', 'a')]
    files = [(folder, b'') for folder in folders] + [('.//a/./b', b'c')]
    folder = extracted(_tar(files))
    assert _content(folder) == {'a/b': b'c'}
    assert (folder / 'a' / 'empty').is_dir()


def test_permissions_are_those_of_new_files(extracted):
    program = _entry('a/program', tarfile.REGTYPE)
    locked = _entry('a', tarfile.DIRTYPE)
    program.mode, locked.mode = 0o6777, 0o000
    old = os.umask(0o022)
    try:
        folder = extracted(_tar([(locked, b''), (program, b'')]))
    finally:
        os.umask(old)
    modes = [
        stat.S_IMODE((folder / name).stat().st_mode) for name in ('a/program', 'a')
    ]
    assert modes == [0o644, 0o755]


@pytest.mark.parametrize(
    'name, what',
    [
        ('/etc/passwd', 'leads out of the folder'),
        ('../outside', 'leads out of the folder'),
        ('a/../../outside', 'leads out of the folder'),
        ('..', 'leads out of the folder'),
        ('..\\outside', 'is a path of another system'),
        ('C:outside', 'is a path of another system'),
        ('c:/outside', 'is a path of another system'),
    ],
)
@pytest.mark.parametrize('kind', ['zip', 'tar.gz'])
def test_names_that_lead_elsewhere_are_refused(extracted, kind, name, what, tmp_path):
    with pytest.raises(DatasetError) as error:
        extracted(_pack(kind, {'a/good': b'1', name: b'2'}))
    assert f'{name!r} in it {what}. Nothing was extracted' in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['archive', 'data']


def test_dots_within_names_are_no_harm(extracted):
    names = {'a..b/..c': b'1', '...': b'2', 'xy:z': b'3'}
    assert _content(extracted(_pack('zip', names))) == names


@pytest.mark.parametrize(
    'kind, target, what',
    [
        (tarfile.SYMTYPE, '/etc', 'is a link'),
        (tarfile.SYMTYPE, 'good', 'is a link'),
        (tarfile.LNKTYPE, '../../archive', 'is a link'),
        (tarfile.CHRTYPE, '', 'is a device'),
        (tarfile.BLKTYPE, '', 'is a device'),
        (tarfile.FIFOTYPE, '', 'is a device'),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(extracted, kind, target, what):
    with pytest.raises(DatasetError, match=f"'set/odd' in it {what}"):
        extracted(_tar([('set/good', b''), (_entry('set/odd', kind, target), b'')]))


@pytest.mark.parametrize('mode', [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_are_refused(extracted, mode):
    with pytest.raises(
        DatasetError, match="'odd' in it is neither a file nor a folder"
    ):
        extracted(_zip([('good', b''), (_zip_entry('odd', mode | 0o777), b'/etc')]))


@pytest.mark.parametrize(
    'names, what',
    [
        (('a/b', 'a/b'), "'a/b' in it comes twice"),
        (('a/b', './a//b'), "'./a//b' in it comes twice"),
        (('a', 'a/b'), "'a/b' in it lies in what is a file"),
        (('a/b', 'a'), "'a' in it comes twice"),
        (('a', 'a/b/c'), "'a/b/c' in it lies in what is a file"),
    ],
)
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_paths_that_collide_are_refused(extracted, names, what):
    for pack in (_zip, _tar):
        with pytest.raises(DatasetError, match=what):
            extracted(pack([(name, b'') for name in names]))


@pytest.mark.parametrize('kind', KINDS)
def test_the_number_of_members_is_limited(extracted, kind):
    with pytest.raises(
        DatasetError, match="at most 4 files .* goes on with 'set/val/lo"
    ):
        extracted(_pack(kind), max_members=4)
    extracted(_pack(kind), max_members=5)


@pytest.mark.parametrize('kind', KINDS)
def test_the_total_size_is_limited(extracted, kind):
    with pytest.raises(
        DatasetError, match=f"most {SIZE - 1:,} bytes .* up to 'set/val/l"
    ):
        extracted(_pack(kind), max_bytes=SIZE - 1)
    extracted(_pack(kind), max_bytes=SIZE)


def _zip_that_lies(size, content) -> bytes:
    """A million zeros under headers that have another size and another checksum."""
    bomb = bytearray(_zip([('bomb', b'\0' * 1_000_000)]))
    assert len(bomb) < 2_000
    for header, offset in ((b'PK\3\4', 14), (b'PK\1\2', 16)):
        at = bomb.index(header) + offset
        struct.pack_into('<I', bomb, at, zlib.crc32(content))
        struct.pack_into('<I', bomb, at + 8, size)
    return bytes(bomb)


@pytest.mark.parametrize(
    'size, content, message',
    [
        (10, b'\0' * 1_000_000, "Bad CRC-32 for file 'bomb'"),
        (2_000_000, b'\0' * 1_000_000, "'bomb' in it has not the 2,000,000 bytes"),
    ],
)
def test_a_zip_that_lies_about_sizes_is_refused(extracted, size, content, message):
    written = [0]
    with pytest.raises(DatasetError, match=message):
        extracted(
            _zip_that_lies(size, content),
            progress=lambda done, total: written.append(done),
        )
    assert written[-1] <= min(size, 1_000_000)


def test_no_more_is_written_than_a_zip_declares(extracted):
    content = b'\0' * 10
    folder = extracted(_zip_that_lies(10, content), max_bytes=10)
    assert _content(folder) == {'bomb': content}


def test_a_tar_with_headers_without_end_fills_no_memory(extracted):
    header = tarfile.TarInfo('long')
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    tar = tarfile.TarInfo('a').tobuf() + header.tobuf(tarfile.GNU_FORMAT)
    with pytest.raises(DatasetError, match='a header of 4,294,967,296 bytes'):
        extracted(bz2.compress(tar + b'0' * 10_000))


@pytest.mark.parametrize('cut', [0.05, 0.5, 0.9])
@pytest.mark.parametrize('kind', KINDS)
def test_a_truncated_archive_is_refused(extracted, kind, cut):
    content = _pack(kind)
    with pytest.raises(
        DatasetError, match='is damaged|Expected a zip or tar|in it has'
    ):
        extracted(content[: int(cut * len(content))])


@pytest.mark.parametrize('kind', ['zip', 'stored', 'tar.gz', 'tar.bz2', 'tar.xz'])
def test_a_flipped_bit_is_found_wherever_it_is(extracted, kind):
    content = bytearray(_pack(kind))
    start = content.index(FILES['set/wnids.txt']) if kind == 'stored' else 60
    for at in range(start, start + 70 if kind == 'stored' else len(content), 97):
        content[at] ^= 8
        try:
            folder = extracted(bytes(content))
        except DatasetError as error:
            assert 'Cannot extract' not in str(error)  # It is not the system's fault.
        else:  # A date, a version, or what nobody reads.
            assert _content(folder) == FILES
            module.shutil.rmtree(folder)
        content[at] ^= 8


def test_a_flipped_bit_in_an_image_is_named(extracted):
    content = bytearray(_pack('stored'))
    content[content.index(b'n01\nn02')] ^= 1
    with pytest.raises(
        DatasetError, match="damaged .*Bad CRC-32 for file 'set/wnids.t"
    ):
        extracted(content)


def test_a_zip_whose_list_is_damaged_does_not_lose_members(extracted):
    content = bytearray(_zip([('one', b'1'), ('two', b'2'), ('three', b'3')]))
    # A comment of the first that takes up all of the second's place.
    struct.pack_into('<H', content, content.index(b'PK\1\2') + 32, 46 + len('two'))
    with pytest.raises(DatasetError, match='is damaged .*it lists 2 of 3 members'):
        extracted(content)


def _zip_of(members: int, stated: int) -> bytes:
    """A zip that lists empty files; its end states another number of them."""
    content = _zip([('00000', b'')])
    first, end = content.index(b'PK\1\2'), content.index(b'PK\5\6')
    listed = b''.join(
        content[first:end].replace(b'00000', b'%05d' % i) for i in range(members)
    )
    counts = struct.pack('<HHII', stated, stated, len(listed), first)
    return content[:first] + listed + content[end : end + 8] + counts + b'\0\0'


def test_a_zip_of_more_members_than_its_end_can_state_is_whole(extracted):
    with pytest.raises(DatasetError, match='Expected at most 65,536 files'):
        extracted(_zip_of(65_537, stated=1), max_members=65_536)


def test_the_largest_number_at_the_end_of_a_zip_stands_for_any(extracted):
    with pytest.raises(DatasetError, match='Expected at most 2 files'):
        extracted(_zip_of(3, stated=0xFFFF), max_members=2)


@pytest.mark.parametrize('members', [3, pytest.param(65_537, marks=pytest.mark.slow)])
def test_a_zip_of_more_members_than_its_end_states_is_refused(extracted, members):
    with pytest.raises(DatasetError, match=f'it lists {members:,} of 2 members'):
        extracted(_zip_of(members, stated=2))


def test_a_zip_with_the_longest_comment_is_whole(extracted):
    content = _pack('zip')[:-2] + struct.pack('<H', 65_535) + b'x' * 65_535
    assert _content(extracted(content)) == FILES


def test_all_is_on_the_disk_before_the_folder_has_its_name(extracted, monkeypatch):
    sync, written = os.sync, []

    def record():
        sync()
        (staging,) = folder.parent.glob('.*.extracting')
        written.append(_content(staging))

    folder = extracted(_pack('zip'))
    module.shutil.rmtree(folder)
    monkeypatch.setattr(os, 'sync', record)
    extracted(_pack('zip'))
    assert written == [FILES]


def test_a_name_that_is_no_text_is_refused(extracted):
    content = _pack('zip').replace(b'caf\xc3\xa9', b'caf\xc3\xc3')
    with pytest.raises(DatasetError, match="is damaged or not whole: 'utf-8' codec"):
        extracted(content)


def _with_size(info, size) -> bytes:
    """A tar header that states another size than tarfile would write."""
    header = bytearray(info.tobuf())
    header[124:136] = b'\xff' * 4 + struct.pack('>q', size)
    header[148:156] = b' ' * 8
    header[148:156] = b'%06o\0 ' % sum(header)
    return bytes(header)


def test_a_negative_size_is_refused(extracted):
    first = tarfile.TarInfo('first').tobuf()  # What comes next would lead back to it.
    content = first + _with_size(tarfile.TarInfo('back'), -1_024)
    with pytest.raises(DatasetError, match="'back' in it has -1024 bytes"):
        extracted(content + bytes(10_240))


def test_headers_without_end_are_refused(extracted):
    header = tarfile.TarInfo('long')
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 4
    content = (header.tobuf() + b'abc'.ljust(512, b'\0')) * 3_000
    with pytest.raises(DatasetError, match='is damaged .*recursion'):
        extracted(content)


def test_padding_without_end_is_refused(extracted):
    content = _tar([('a', b'1')]) + bytes(module._MAX_HEADER)
    with pytest.raises(DatasetError, match='more than 16,777,216 bytes follow its end'):
        extracted(bz2.compress(content))
    extracted(bz2.compress(content[:-10_000]))


@pytest.mark.parametrize('cut', [1_024, 1_024 + 100])
def test_a_tar_without_its_end_mark_is_refused(extracted, cut):
    content = _tar([('a', b'1'), ('b', b'2')])
    with pytest.raises(
        DatasetError, match='it breaks off, or has a bad header, after 1,'
    ):
        extracted(content[:cut])
    extracted(content[:2_048] + b'\0' * 512)


@pytest.mark.parametrize(
    'content', [b'<!DOCTYPE html><html>Not here</html>', b'', b'x']
)
def test_what_is_no_archive_is_shown(extracted, content):
    with pytest.raises(DatasetError) as error:
        extracted(content * 50)
    assert 'Expected a zip or tar archive, got a file that begins' in str(error.value)
    assert repr((content * 50)[:32]) in str(error.value)


@pytest.mark.parametrize('content', [_zip([]), _tar([]), _zip([('folder/', b'')])])
def test_an_archive_without_files_is_refused(extracted, content):
    with pytest.raises(DatasetError, match='Expected files in the archive, got none'):
        extracted(content)


def test_an_encrypted_zip_is_refused(extracted):
    content = _zip([('secret', b'x')])
    for header, offset in ((b'PK\3\4', 6), (b'PK\1\2', 8)):
        at = content.index(header) + offset
        content = content[:at] + b'\1\0' + content[at + 2 :]
    with pytest.raises(DatasetError, match="without a password, 'secret' is encrypted"):
        extracted(content)


def test_a_folder_that_is_there_is_left_alone(extracted):
    folder = extracted(_pack('zip'))
    (folder / 'unrelated').touch()
    with pytest.raises(
        DatasetError, match='Expected to create .*already there. Remove'
    ):
        extract(folder.parents[1] / 'archive', folder)
    assert (folder / 'unrelated').exists()


def test_an_archive_that_is_missing_is_named(tmp_path):
    with pytest.raises(DatasetError, match='Cannot extract .*absent.zip to .*No such'):
        extract(tmp_path / 'absent.zip', tmp_path / 'folder')


def test_too_little_room_is_told_before_a_byte_is_written(extracted, monkeypatch):
    # 5 files of 0, 1, 1, 3 and 18 blocks, and 7 folders.
    needed = (0 + 1 + 1 + 3 + 18 + 7) * 4096
    room = types.SimpleNamespace(free=needed - 1)
    monkeypatch.setattr(module.shutil, 'disk_usage', lambda folder: room)
    with pytest.raises(
        DatasetError,
        match=f'Expected {needed:,} free bytes in .*, got {needed - 1:,}. Make room',
    ):
        extracted(_pack('zip'), progress=lambda *call: pytest.fail('it began'))
    room.free += 1
    extracted(_pack('zip'))


def test_a_disk_that_fills_up_leaves_nothing(extracted):
    # A limit on the size of files fails the write as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(DatasetError, match='Cannot extract .*too large.*Make room'):
            extracted(_pack('zip'))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_an_interrupted_extraction_leaves_nothing(extracted):

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extracted(_pack('tar.xz'), progress=interrupt)
    assert _content(extracted(_pack('tar.xz'))) == FILES


@pytest.mark.parametrize('kind', ['zip', 'tar.gz'])
def test_a_killed_extraction_is_done_again(tmp_path, kind):
    archive, folder = tmp_path / 'archive', tmp_path / 'data' / 'folder'
    archive.write_bytes(_pack(kind))
    process = subprocess.Popen(
        [sys.executable, '-c', CHILD, archive, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    for _ in range(2):
        assert 0 < int(process.stdout.readline()) < SIZE
        process.stdin.write('\n')
        process.stdin.flush()
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not folder.exists() and list(folder.parent.iterdir())
    extract(archive, folder)
    assert _content(folder) == FILES
    assert list(folder.parent.iterdir()) == [folder]


# Parts of names, and what leads elsewhere, is odd, or is the same as another.
PART = st.sampled_from(
    ['a', 'b', 'a b', 'caf\u00e9', '..a', 'a.', '...', '-', '~', '*']
)
ODD_PART = st.one_of(
    PART, st.sampled_from(['', '.', '..', 'C:', '\\', '/etc', 'a\\..\\b', '\n', ' '])
)
MEMBER = st.one_of(
    st.lists(ODD_PART, min_size=1, max_size=4).map('/'.join),
    st.text('ab./\\ :~*\n\x7f\u00e9\u202e', min_size=1),
)


def _extracted(content: bytes) -> dict[str, bytes]:
    """What the archive's files hold; nothing may be written beside them."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / 'home' / 'data'
        archive = Path(name) / 'archive'
        archive.write_bytes(content)
        try:
            return _content(extract(archive, home / 'folder'))
        finally:
            folder = home / 'folder'
            inside = {folder, *folder.rglob('*')} if folder.exists() else set()
            everything = set(Path(name).rglob('*')) - inside
            assert everything == {archive, home.parent, home}
            assert not any(path.is_symlink() for path in inside)


@given(st.sampled_from(KINDS), st.lists(MEMBER, min_size=1, max_size=4))
@pytest.mark.filterwarnings('ignore:Duplicate name')
def test_no_names_lead_out_of_the_folder(kind, names):
    files = [(name, b'%d' % place) for place, name in enumerate(names)]
    packed = (
        _zip(files)
        if kind in ('zip', 'stored')
        else _tar(files, kind.removeprefix('tar').removeprefix('.'))
    )
    try:
        contents = _extracted(packed)
    except DatasetError:
        return
    for path in contents:
        assert '..' not in path.split('/') and not path.startswith('/')
    assert set(contents.values()) <= {content for _, content in files}


@given(
    st.sampled_from(KINDS),
    st.dictionaries(
        st.lists(PART, min_size=1, max_size=3).map(
            lambda parts: '/'.join(parts[:-1] + [f'{parts[-1]}.jpg'])
        ),
        st.binary(max_size=50),
        min_size=1,
        max_size=5,
    ),
)
def test_every_harmless_archive_is_extracted_whole(kind, files):
    assert _extracted(_pack(kind, files)) == files


LAYOUTS: dict[str, tuple[str, dict[str, bytes]]] = {
    'odd_images': (
        'stored',
        {'a.jpg': b'\xff\xd8', 'bmp/g/b.bmp': b'BM' * 900, 'bmp/b/c.bmp': b''},
    ),
    'tiny-imagenet-200': (
        'zip',
        {
            'wnids.txt': b'n01\nn02',
            'words.txt': b'n01\tgoldfish, carp\n' * 5_000,
            **{
                f'train/{wnid}/images/{wnid}_{i}.JPEG': bytes([i]) * 1_900
                for wnid in ('n01', 'n02')
                for i in range(20)
            },
            'val/val_annotations.txt': b'val_0.JPEG\tn01\t0\t0\t63\t63\n',
            'val/images/val_0.JPEG': b'\xff\xd8' * 1_000,
        },
    ),
    'cats_and_dogs_filtered': (
        'zip',
        {
            'vectorize.py': b'import os',
            'train/cats/cat.0.jpg': b'\xff\xd8\xff' * 7_000,
            'validation/dogs/dog.2000.jpg': b'\xff\xd8\xff' * 6_000,
        },
    ),
    'cifar-10-batches-py': (
        'tar.gz',
        {f'data_batch_{i}': bytes(range(256)) * 400 for i in range(1, 6)},
    ),
}


@pytest.mark.parametrize('top', LAYOUTS)
def test_archives_of_datasets_are_extracted_whole(tmp_path, top):
    kind, files = LAYOUTS[top]
    archive = tmp_path / 'archive'
    archive.write_bytes(
        _pack(kind, {f'{top}/{path}': content for path, content in files.items()})
    )
    assert _content(extract(archive, tmp_path / 'folder', top=top)) == files


@pytest.mark.parametrize(
    'name, top, count',
    [
        ('odd_images.zip', 'odd_images', 81),
        ('tiny-imagenet-20.zip', 'tiny-imagenet-200', 11_023),
    ],
)
@pytest.mark.slow
def test_the_real_archives(data_folder, tmp_path, name, top, count):
    folder = extract(data_folder / name, tmp_path / 'folder', top=top)
    with zipfile.ZipFile(data_folder / name) as archive:
        infos = {info.filename: info.CRC for info in archive.infolist()}
    extracted = {
        f'{top}/{path}': zlib.crc32(content)
        for path, content in _content(folder).items()
    }
    assert extracted == infos and len(extracted) == count
