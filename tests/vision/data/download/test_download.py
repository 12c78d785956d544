import hashlib
import http.server
import importlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import pytest

from vision.data import DatasetError
from vision.data.download.download import download, locked

# The package has a function of the same name.
module = importlib.import_module('vision.data.download.download')
CONTENT = bytes(range(256)) * 2_048  # 524,288 bytes: eight chunks.
SIZE = len(CONTENT)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
HALF = SIZE // 2
ROOT = Path(str(module.__file__)).parents[3]
CHILD = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT)!r})
from vision.data.download.download import download
download(sys.argv[1], Path(sys.argv[2]))
"""


class Site(http.server.ThreadingHTTPServer):
    """Serves CONTENT at any path; the tests set what is unusual about it.

    asked: the Range header of each request, None where it had none.
    breaks: after how many bytes the next answers break off; None for not at all.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server_port}/data.bin'
        self.asked, self.breaks, self.if_range, self.encodings = [], [], [], []
        self.content, self.headers, self.status = CONTENT, {'ETag': '"1"'}, 200
        self.ranges = self.lengths = True
        self.shift = 0  # How far the ranges that it sends are from those asked for.
        self.released = threading.Event()
        self.released.set()

    def handle_error(self, request, client_address):
        pass  # Clients that hang up are what is tested.


class Handler(http.server.BaseHTTPRequestHandler):
    server: Site

    def do_GET(self):
        site = self.server
        asked = self.headers['Range']
        site.asked.append(asked)
        site.if_range.append(self.headers['If-Range'])
        site.encodings.append(self.headers['Accept-Encoding'])
        content, start = site.content, 0
        current = self.headers['If-Range'] in (None, *site.headers.values())
        if site.status != 200:
            self.send_response(site.status)
            self.send_header('Content-Length', '0')
        elif asked and site.ranges and (current or site.ranges == 'always'):
            start = int(asked.removeprefix('bytes=').removesuffix('-')) + site.shift
            satisfiable = start < len(content)
            self.send_response(206 if satisfiable else 416)
            given = f'{start}-{len(content) - 1}' if satisfiable else '*'
            self.send_header('Content-Range', f'bytes {given}/{len(content)}')
        else:
            self.send_response(200)
        for name, value in site.headers.items():
            self.send_header(name, value)
        if site.status == 200 and site.lengths:
            self.send_header('Content-Length', str(max(len(content) - start, 0)))
        self.end_headers()
        if site.status != 200:
            return
        stop = site.breaks.pop(0) if site.breaks else None
        self.wfile.write(content[start:][:stop])
        if not site.released.is_set():
            self.wfile.flush()
            site.released.wait()
            self.wfile.write(content[start:][stop:])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr(module, '_BACKOFF', 0)
    monkeypatch.setenv('NO_PROXY', '127.0.0.1')
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'new' / 'data.bin'


def _names(path):
    return sorted(file.name for file in path.parent.iterdir())


def _start(site, path):
    return subprocess.Popen(
        [sys.executable, '-c', CHILD, site.url, str(path)],
        stderr=subprocess.PIPE,
        text=True,
    )


def _leave_half(site, path):
    """What a download leaves whose every connection breaks off."""
    site.breaks = [HALF] + [0] * module._TRIES
    with pytest.raises(DatasetError):
        download(site.url, path)
    assert _names(path) == ['data.bin.part', 'data.bin.part.origin']
    assert path.with_name('data.bin.part').read_bytes() == CONTENT[:HALF]
    site.breaks.clear()
    site.asked.clear()


def test_a_file_is_downloaded_whole_and_alone(site, path):
    calls = []
    returned = download(
        site.url,
        path,
        size=SIZE,
        sha256=SHA256,
        progress=lambda *call: calls.append(call),
    )
    assert returned == path and path.read_bytes() == CONTENT
    assert _names(path) == ['data.bin']
    assert calls[0] == (0, SIZE) and calls[-1] == (SIZE, SIZE)
    assert calls == sorted(calls) and len(calls) > 5


@pytest.mark.parametrize(
    'known', [{}, {'size': SIZE}, {'sha256': SHA256}, {'md5': MD5}]
)
def test_a_file_that_is_there_needs_no_network(site, path, known):
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert download(site.url, path, **known) == path
    assert not site.asked and _names(path) == ['data.bin']


@pytest.mark.parametrize('there', [CONTENT[:-1], CONTENT[:-1] + b'x'])
@pytest.mark.parametrize('known', [{'sha256': SHA256}, {'md5': MD5}])
def test_another_file_in_its_place_is_replaced(site, path, there, known):
    path.parent.mkdir()
    path.write_bytes(there)
    download(site.url, path, size=SIZE, **known)
    assert site.asked == [None] and path.read_bytes() == CONTENT


@pytest.mark.parametrize('lengths', [True, False])
def test_broken_connections_are_resumed(site, path, lengths, caplog):
    site.breaks = [1_000, 2_000, 3_000]
    site.lengths = lengths
    download(site.url, path, size=SIZE)
    assert site.asked == [None, 'bytes=1000-', 'bytes=3000-', 'bytes=6000-']
    assert site.if_range == [None, '"1"', '"1"', '"1"']
    assert path.read_bytes() == CONTENT
    assert 'Trying again after 1,000 bytes' in caplog.text


def test_it_gives_up_when_nothing_new_comes_and_resumes_when_run_again(site, path):
    site.breaks = [HALF] + [0] * 9
    with pytest.raises(DatasetError, match='Cannot download http.*run again, which '):
        download(site.url, path)
    assert len(site.asked) == 1 + module._TRIES
    site.breaks.clear()
    calls = []
    download(site.url, path, progress=lambda *call: calls.append(call))
    assert site.asked[-1] == f'bytes={HALF}-' and calls[0] == (HALF, SIZE)
    assert path.read_bytes() == CONTENT and _names(path) == ['data.bin']


def test_a_whole_part_needs_no_network(site, path):
    _leave_half(site, path)
    path.with_name('data.bin.part').write_bytes(CONTENT)
    download(site.url, path, size=SIZE, sha256=SHA256)
    assert not site.asked and path.read_bytes() == CONTENT


def test_a_whole_part_of_unknown_size_is_taken(site, path):
    _leave_half(site, path)
    path.with_name('data.bin.part').write_bytes(CONTENT)
    download(site.url, path)
    assert site.asked == [f'bytes={SIZE}-'] and path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    'changes, requests',
    [
        (dict(content=CONTENT[: HALF - 1]), 2),
        (dict(ranges=False), 1),
        (dict(shift=-1), 2),
        (dict(content=CONTENT[::-1], headers={'ETag': '"2"'}), 1),
        (dict(content=CONTENT[::-1], headers={'ETag': '"2"'}, ranges='always'), 2),
    ],
)
def test_halves_that_do_not_fit_are_not_joined(site, path, changes, requests):
    _leave_half(site, path)
    vars(site).update(changes)
    download(site.url, path)
    assert site.asked == [f'bytes={HALF}-', None][:requests]
    assert path.read_bytes() == site.content


@pytest.mark.parametrize(
    'headers, known, resumes',
    [
        ({'Last-Modified': 'Mon'}, {}, True),
        ({'ETag': 'W/"1"'}, {}, False),
        ({}, {}, False),
        ({}, {'sha256': SHA256}, True),
        ({}, {'md5': MD5}, True),
    ],
)
def test_it_resumes_only_where_a_changed_file_would_show(
    site, path, headers, known, resumes
):
    site.headers = headers
    site.breaks = [HALF]
    download(site.url, path, **known)
    assert site.asked == [None, f'bytes={HALF}-' if resumes else None]
    assert path.read_bytes() == CONTENT


def test_a_part_from_another_address_is_not_continued(site, path):
    _leave_half(site, path)
    download(f'{site.url}?mirror', path)
    assert site.asked == [None] and path.read_bytes() == CONTENT


def test_a_part_whose_origin_is_lost_is_not_continued(site, path):
    _leave_half(site, path)
    path.with_name('data.bin.part.origin').write_text('')
    download(site.url, path)
    assert site.asked == [None] and path.read_bytes() == CONTENT


def test_compressed_files_stay_as_they_are(site, path):
    site.headers['Content-Encoding'] = 'gzip'  # As servers do for .tar.gz.
    download(site.url, path, size=SIZE, sha256=SHA256)
    assert path.read_bytes() == CONTENT and site.encodings == ['identity']


@pytest.mark.parametrize('algorithm, digest', [('sha256', SHA256), ('md5', MD5)])
def test_a_wrong_hash_is_refused_and_the_next_run_starts_afresh(
    site, path, algorithm, digest
):
    site.content = b'x' + CONTENT[1:]
    with pytest.raises(DatasetError) as error:
        download(site.url, path, size=SIZE, **{algorithm: digest})
    received = hashlib.new(algorithm, site.content).hexdigest()
    for part in (
        f'Expected {algorithm} {digest} of {site.url}, got {received}',
        'Run again',
    ):
        assert part in str(error.value)
    assert _names(path) == []
    site.content = CONTENT
    download(site.url, path, size=SIZE, **{algorithm: digest})
    assert path.read_bytes() == CONTENT and site.asked == [None, None]


@pytest.mark.parametrize('offered', [SIZE - 1, SIZE + 1])
def test_another_size_is_refused_before_a_byte_is_read(site, path, offered):
    calls = []
    site.content = (CONTENT + b'x')[:offered]
    with pytest.raises(
        DatasetError,
        match=f'Expected 524,288 bytes at {site.url}, the server offers {offered:,}',
    ):
        download(site.url, path, size=SIZE, progress=lambda *call: calls.append(call))
    assert not calls and _names(path) == []


def test_a_server_that_sends_too_much_is_cut_off(site, path):
    site.lengths = False
    site.content = CONTENT * 4
    calls = []
    with pytest.raises(DatasetError, match='Expected 524,288 bytes .*sends more'):
        download(site.url, path, size=SIZE, progress=lambda *call: calls.append(call))
    assert calls[-1][0] <= SIZE and _names(path) == []


@pytest.mark.parametrize(
    'status, tries',
    [(404, 1), (403, 1), (429, 5), (500, 5), (502, 5), (503, 5), (504, 5)],
)
def test_http_errors_are_named_and_passing_ones_tried_again(site, path, status, tries):
    site.status = status
    site.headers['Retry-After'] = '3600'  # Nobody waits for so long.
    with pytest.raises(DatasetError) as error:
        download(site.url, path)
    for part in (site.url, f'HTTP status {status}', str(path)):
        assert part in str(error.value)
    assert len(site.asked) == tries and _names(path) == []


def test_an_http_error_leaves_what_was_downloaded(site, path):
    _leave_half(site, path)
    site.status = 404
    with pytest.raises(DatasetError, match='HTTP status 404 .*resumes'):
        download(site.url, path)
    site.status = 200
    download(site.url, path)
    assert site.asked[-1] == f'bytes={HALF}-' and path.read_bytes() == CONTENT


def test_a_refused_connection_is_named(site, path):
    site.server_close()
    with pytest.raises(DatasetError) as error:
        download(site.url, path)
    assert f'Cannot download {site.url}: [Errno 111] Connection refused. Check' in str(
        error.value
    )


def test_an_unknown_host_is_named(site, path):
    with pytest.raises(
        DatasetError, match='Cannot download http://no.invalid/x: .*ame'
    ):
        download('http://no.invalid/x', path)


def test_a_silent_server_is_given_up(site, path, monkeypatch):
    monkeypatch.setattr(module, '_TIMEOUT', (1.0, 0.05))
    site.released.clear()
    site.breaks = [0] * 9
    with pytest.raises(DatasetError, match='Cannot download http.*timed out'):
        download(site.url, path)


@pytest.mark.parametrize('url', ['ftp://host/x', 'file:///etc/passwd', '/etc/passwd'])
def test_only_http_addresses_are_taken(path, url):
    with pytest.raises(DatasetError, match=f"Expected an address of http.*got '{url}'"):
        download(url, path)


def test_a_folder_that_is_a_file_is_named(site, path):
    path.parent.write_text('a file')
    with pytest.raises(DatasetError, match='Cannot write to .*new: .*Choose a folder'):
        download(site.url, path)
    assert not site.asked


def test_too_little_room_is_told_before_a_byte_is_read(site, path, monkeypatch):
    room = types.SimpleNamespace(free=SIZE - 1)
    monkeypatch.setattr(module.shutil, 'disk_usage', lambda folder: room)
    with pytest.raises(DatasetError) as error:
        download(site.url, path)
    assert f'{site.url} needs 524,288 more bytes in' in str(error.value)
    assert 'where 524,287 are free. Make room' in str(error.value)
    assert _names(path) == []
    room.free += 1
    download(site.url, path)
    assert path.read_bytes() == CONTENT


def test_what_is_there_needs_no_more_room(site, path, monkeypatch):
    _leave_half(site, path)
    room = types.SimpleNamespace(free=SIZE - HALF - 1)
    monkeypatch.setattr(module.shutil, 'disk_usage', lambda folder: room)
    with pytest.raises(DatasetError, match='needs 262,144 more .*where 262,143 are fr'):
        download(site.url, path)
    room.free += 1
    download(site.url, path)
    assert path.read_bytes() == CONTENT
    assert site.asked == [f'bytes={HALF}-'] * 2


def test_a_downloaded_file_is_on_the_disk_before_it_has_its_name(
    site, path, monkeypatch
):
    fsync, there = os.fsync, []

    def record(descriptor):
        fsync(descriptor)
        there.append(path.exists())

    monkeypatch.setattr(os, 'fsync', record)
    download(site.url, path)
    assert there == [False, True]  # The contents, and then the name.


def test_a_disk_that_fills_up_is_named_and_resumed(site, path):
    # A limit on the size of files fails the write as a full disk does.
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, limits[1]))
    try:
        with pytest.raises(
            DatasetError, match=f'Cannot write {site.url} to .*Make room'
        ):
            download(site.url, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    download(site.url, path)
    assert site.asked == [None, f'bytes={HALF}-'] and path.read_bytes() == CONTENT


def test_a_killed_download_is_resumed(site, path):
    site.breaks = [HALF]
    site.released.clear()  # The second half does not come.
    process = _start(site, path)
    part = path.with_name('data.bin.part')
    while not (part.exists() and part.stat().st_size == HALF):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    site.released.set()
    download(site.url, path)
    assert site.asked == [None, f'bytes={HALF}-']
    assert path.read_bytes() == CONTENT and _names(path) == ['data.bin']


def test_two_processes_make_one_download(site, path):
    site.breaks = [HALF]
    site.released.clear()
    first = _start(site, path)
    while not site.asked:
        assert first.poll() is None, first.stderr.read()
        time.sleep(0.01)
    second = _start(site, path)
    said = second.stderr.readline()
    site.released.set()
    assert [process.wait() for process in (first, second)] == [0, 0]
    for process in (first, second):
        process.communicate()
    assert 'Another process (pid ' in said and 'data.bin.lock; waiting for it' in said
    assert site.asked == [None]
    assert path.read_bytes() == CONTENT and _names(path) == ['data.bin']


def test_many_threads_never_hold_a_lock_together(path):
    holders, most = [], []

    def hold(name):
        for _ in range(20):
            with locked(path):
                holders.append(name)
                most.append(len(holders))
                os.sched_yield()
                holders.remove(name)

    threads = [threading.Thread(target=hold, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 160 and _names(path) == []
