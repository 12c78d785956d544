import functools
import hashlib
import http.server
import io
import re
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest
import tensorflow as tf

from vision.data import DatasetError
from vision.data.download import archives as module
from vision.data.download.archives import ARCHIVES, Archive, install

ROOT = Path(module.__file__).parents[3]
# Says what it does and waits for an answer.
CHILD = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from vision.data.download import archives

def wait(label, done, total):
    print(label, done, flush=True)
    sys.stdin.readline()

url, sha256, data_dir = sys.argv[1:]
archive = archives.ARCHIVES['tiny_imagenet']._replace(url=url, size=None, sha256=sha256)
archives.ARCHIVES['tiny_imagenet'] = archive
archives.install('tiny_imagenet', Path(data_dir), wait)
"""


class Site(http.server.ThreadingHTTPServer):
    """Serves the files of a folder, without ranges, and counts.

    served: the paths that were asked for.
    """

    def __init__(self, folder):
        handler = functools.partial(Handler, directory=folder)
        super().__init__(('127.0.0.1', 0), handler)
        self.folder, self.served = folder, []
        self.address = f'http://127.0.0.1:{self.server_port}'


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Site

    def log_request(self, *arguments):
        self.server.served.append(self.path)

    def log_error(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    folder = tmp_path / 'site'
    folder.mkdir()
    with Site(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / 'data'


def _zip(files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _tar_gz(files) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _tiny_imagenet() -> dict[str, bytes]:
    jpeg = tf.io.encode_jpeg(tf.zeros([64, 64, 3], tf.uint8)).numpy()
    return {
        'tiny-imagenet-200/': b'',
        'tiny-imagenet-200/wnids.txt': b'n01\nn02',
        'tiny-imagenet-200/words.txt': b'n01\tgoldfish, carp\nn02\ttabby',
        'tiny-imagenet-200/train/n01/images/n01_0.JPEG': jpeg,
        'tiny-imagenet-200/train/n02/images/n02_0.JPEG': jpeg,
        'tiny-imagenet-200/train/n02/n02_boxes.txt': b'n02_0.JPEG\t0\t0\t9\t9\n',
        'tiny-imagenet-200/val/images/val_0.JPEG': jpeg,
        'tiny-imagenet-200/val/val_annotations.txt': b'val_0.JPEG\tn02\t0\t0\t9\t9\n',
    }


def _cifar10() -> dict[str, bytes]:
    names = [f'data_batch_{i}' for i in range(1, 6)] + ['test_batch']
    records = {f'{name}.bin': bytes([i] * 3_073) for i, name in enumerate(names)}
    files = {'batches.meta.txt': b'airplane\nautomobile\n', **records}
    return {f'cifar-10-batches-bin/{name}': data for name, data in files.items()}


def _cats_and_dogs() -> dict[str, bytes]:
    return {
        f'cats_and_dogs_filtered/{split}/{kind}s/{kind}.0.jpg': kind.encode()
        for split in ('train', 'validation')
        for kind in ('cat', 'dog')
    }


LAYOUTS = {
    'cats_and_dogs': (_cats_and_dogs, _zip),
    'cifar10': (_cifar10, _tar_gz),
    'tiny_imagenet': (_tiny_imagenet, _zip),
}


@pytest.fixture
def serve(site, monkeypatch):
    """Puts a small archive of a dataset's own layout in the place of the real one."""

    def serve_archive(name, content=None) -> tuple[Archive, dict[str, bytes]]:
        layout, pack = LAYOUTS[name]
        files = layout()
        content = pack(files) if content is None else content
        archive = ARCHIVES[name]
        (site.folder / archive.file).write_bytes(content)
        archive = archive._replace(
            url=f'{site.address}/{archive.file}',
            size=len(content),
            sha256=archive.sha256 and hashlib.sha256(content).hexdigest(),
        )
        monkeypatch.setitem(ARCHIVES, name, archive)
        return archive, files

    return serve_archive


def _check_installed(data_dir, archive, files):
    """The files, all of them, in the archive's folder, and nothing beside it."""
    assert [path.name for path in data_dir.iterdir()] == [archive.folder]
    assert {
        path.relative_to(data_dir).as_posix(): path.read_bytes()
        for path in data_dir.rglob('*')
        if path.is_file()
    } == {name: content for name, content in files.items() if not name.endswith('/')}


@pytest.mark.parametrize('name', ARCHIVES)
def test_every_archive_is_described_well(name):
    archive = ARCHIVES[name]
    assert re.fullmatch(r'https://[\w./~-]+/[\w-]+\.(zip|tar\.gz)', archive.url)
    assert archive.url.endswith(f'/{archive.file}') and '/' not in archive.file
    assert archive.sha256 is None or re.fullmatch('[0-9a-f]{64}', archive.sha256)
    assert re.fullmatch(r'[\w-]+', archive.folder)
    assert archive.size < archive.max_bytes < 20 * archive.size
    # Each lock has a name of its own.
    assert len({name, archive.folder, archive.file}) == 3


@pytest.mark.parametrize('name', ARCHIVES)
def test_every_archive_is_installed(serve, site, data_dir, name):
    archive, files = serve(name)
    calls = []
    folder = install(name, data_dir, lambda *call: calls.append(call))
    assert folder == data_dir / archive.folder
    _check_installed(data_dir, archive, files)
    sizes = sum(map(len, files.values()))
    downloads = [call for call in calls if call[0] == f'Downloading {archive.file}']
    extractions = [call for call in calls if call[0] == f'Extracting {archive.file}']
    assert calls == downloads + extractions
    assert downloads[-1][1:] == (archive.size, archive.size)
    assert extractions[-1][1:] == (sizes, sizes)
    assert install(name, data_dir) == folder and len(site.served) == 1


def test_a_folder_that_is_there_needs_no_network(data_dir):
    folder = data_dir / 'tiny-imagenet-200'
    folder.mkdir(parents=True)
    assert install('tiny_imagenet', data_dir) == folder
    assert list(data_dir.iterdir()) == [folder]


def test_an_archive_that_is_there_is_used(serve, site, data_dir):
    archive, files = serve('cifar10')
    data_dir.mkdir()
    (site.folder / archive.file).rename(data_dir / archive.file)
    install('cifar10', data_dir)
    assert not site.served
    _check_installed(data_dir, archive, files)


@pytest.mark.parametrize(
    'name, hint', [('image_folder', ''), ('cifar', ' Did you mean cifar10?')]
)
def test_a_dataset_without_an_archive_is_told_which_have_one(data_dir, name, hint):
    with pytest.raises(DatasetError) as error:
        install(name, data_dir)
    assert str(error.value) == (
        f"No archive to download for '{name}'; expected one of "
        f'cats_and_dogs, cifar10, tiny_imagenet.{hint}'
    )
    assert not data_dir.exists()


def test_a_page_in_place_of_the_archive_is_refused(serve, data_dir):
    archive, _ = serve('cats_and_dogs', b'<html>We have moved</html>')
    with pytest.raises(DatasetError) as error:
        install('cats_and_dogs', data_dir)
    assert str(data_dir / archive.file) in str(error.value)
    assert "begins with b'<html>We have moved</html>'. Remove it" in str(error.value)
    assert [path.name for path in data_dir.iterdir()] == [archive.file]


def test_an_archive_with_another_folder_is_refused(serve, data_dir):
    serve('cats_and_dogs', _zip({'cats/cat.0.jpg': b'cat'}))
    with pytest.raises(
        DatasetError,
        match='Expected everything in the archive to be '
        "in cats_and_dogs_filtered/, got 'cats/cat.0.jpg'",
    ):
        install('cats_and_dogs', data_dir)
    assert not (data_dir / 'cats_and_dogs_filtered').exists()


def test_the_limits_of_the_archive_hold(serve, monkeypatch, data_dir):
    archive, files = serve('cifar10')
    for limit, message in (
        (dict(max_members=6), 'at most 6 files and folders'),
        (dict(max_bytes=10_000), 'at most 10,000 bytes'),
    ):
        monkeypatch.setitem(ARCHIVES, 'cifar10', archive._replace(**limit))
        with pytest.raises(DatasetError, match=message):
            install('cifar10', data_dir)
    monkeypatch.setitem(ARCHIVES, 'cifar10', archive)
    install('cifar10', data_dir)
    _check_installed(data_dir, archive, files)


def test_a_folder_that_cannot_be_written_is_named(serve, site, data_dir):
    serve('cifar10')
    data_dir.write_text('a file')
    with pytest.raises(DatasetError, match=f'Cannot write to {data_dir}: '):
        install('cifar10', data_dir)
    assert not site.served


def _start(archive, data_dir):
    return subprocess.Popen(
        [sys.executable, '-c', CHILD, archive.url, archive.sha256, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _reach(process, label):
    """Lets it go on until it says the label; there it waits."""
    while not (said := process.stdout.readline()).startswith(label):
        assert said, process.stderr.read()
        process.stdin.write('\n')
        process.stdin.flush()


def test_a_killed_installation_is_finished_without_another_download(
    serve, site, data_dir
):
    archive, files = serve('tiny_imagenet')
    process = _start(archive, data_dir)
    _reach(process, 'Extracting')
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (data_dir / archive.folder).exists()
    install('tiny_imagenet', data_dir)
    assert len(site.served) == 1
    # A lock that a killed process has left is taken over.
    _check_installed(data_dir, archive, files)


def test_two_processes_make_one_good_copy(serve, site, data_dir):
    archive, files = serve('tiny_imagenet')
    first = _start(archive, data_dir)
    _reach(first, 'Extracting')
    second = _start(archive, data_dir)
    said = second.stderr.readline()
    for process in (first, second):
        process.communicate('\n' * 100)
        assert process.returncode == 0
    assert (
        'Another process (pid ' in said and 'tiny_imagenet.lock; waiting for it' in said
    )
    assert len(site.served) == 1
    _check_installed(data_dir, archive, files)
