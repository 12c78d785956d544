import logging
import os
import threading
from pathlib import Path

import pytest

from vision import files


def test_a_lock_names_its_holder_and_leaves_no_files(tmp_path):
    lock = tmp_path / 'a.lock'
    with files.locked(lock):
        with pytest.raises(files.LockedError, match=f'^pid {os.getpid()} on .*started'):
            _take_in_another_thread(lock, wait=False)
    assert not list(tmp_path.iterdir())
    with files.locked(lock, wait=False):
        pass


def test_who_waits_for_a_lock_gets_it_and_says_so(tmp_path, caplog):
    lock, held, warned = tmp_path / 'a.lock', threading.Event(), threading.Event()

    class Warned(logging.Handler):
        def emit(self, record):
            warned.set()

    def hold():
        with files.locked(lock):
            held.set()
            assert warned.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(60)
    handler = Warned()
    logging.getLogger('vision.files').addHandler(handler)
    try:
        with files.locked(lock):
            pass
    finally:
        logging.getLogger('vision.files').removeHandler(handler)
        holder.join()
    assert f'Another process (pid {os.getpid()} on ' in caplog.text
    assert f'holds {lock}; waiting for it.' in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_lock_creates_its_folder_or_is_an_error_of_the_system(tmp_path):
    with files.locked(tmp_path / 'new' / 'a.lock'):
        assert (tmp_path / 'new' / 'a.lock').is_file()
    (tmp_path / 'file').touch()
    with pytest.raises(OSError):
        with files.locked(tmp_path / 'file' / 'a.lock'):
            pass


def test_a_lock_is_held_without_the_record_of_its_holder(tmp_path, monkeypatch):
    lock = tmp_path / 'a.lock'

    def fail(*arguments, **options):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(Path, 'write_text', fail)
    monkeypatch.setattr(Path, 'unlink', fail)
    for _ in range(2):
        with files.locked(lock, wait=False):
            with pytest.raises(files.LockedError, match='^unknown process$'):
                _take_in_another_thread(lock, wait=False)


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / 'a'
    files.write_atomically(path, 'old')
    with pytest.raises(KeyboardInterrupt):
        with files.replacing(path) as file:
            file.write(b'half')
            raise KeyboardInterrupt
    assert path.read_bytes() == b'old' and list(tmp_path.iterdir()) == [path]
    with files.replacing(path) as file:
        file.write(b'new')
        file.flush()
        assert path.read_bytes() == b'old'
    assert path.read_bytes() == b'new' and list(tmp_path.iterdir()) == [path]


@pytest.fixture
def flushed(monkeypatch) -> list:
    """What was flushed: a file with its contents then, or a folder with its names."""
    fsync, calls = os.fsync, []

    def record(descriptor):
        fsync(descriptor)
        path = Path(os.readlink(f'/proc/self/fd/{descriptor}'))
        calls.append((path, os.listdir(path) if path.is_dir() else path.read_bytes()))

    monkeypatch.setattr(os, 'fsync', record)
    return calls


needs_linux = pytest.mark.skipif(not Path('/proc/self/fd').exists(), reason='Linux')


@needs_linux
def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_the_name(
    tmp_path, flushed
):
    files.write_atomically(tmp_path / 'a', 'new')
    assert flushed == [(tmp_path / '.a.tmp', b'new'), (tmp_path, ['a'])]


@needs_linux
def test_the_names_of_new_folders_are_on_the_disk(tmp_path, flushed):
    for _ in range(2):
        files.make_directory(tmp_path / 'a' / 'b')
        assert sorted(flushed) == [(tmp_path, ['a']), (tmp_path / 'a', ['b'])]


def test_text_is_written_as_utf_8_but_for_names_that_are_none(tmp_path):
    files.write_atomically(tmp_path / 'a', 'b\u00e4r \udcff')
    assert (tmp_path / 'a').read_bytes() == b'b\xc3\xa4r \xff'


def test_a_replaced_file_leaves_the_temporary_file_of_the_next_writer(
    tmp_path, monkeypatch
):
    path, temporary = tmp_path / 'a', tmp_path / '.a.tmp'
    publish = files.publish

    def publish_before_the_next_write(*paths):
        publish(*paths)
        temporary.write_bytes(b'half')

    monkeypatch.setattr(files, 'publish', publish_before_the_next_write)
    files.write_atomically(path, 'new')
    assert path.read_bytes() == b'new' and temporary.read_bytes() == b'half'


def _take_in_another_thread(lock, wait):
    errors = []

    def take():
        try:
            with files.locked(lock, wait):
                pass
        except files.LockedError as error:
            errors.append(error)

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    raise errors[0]
