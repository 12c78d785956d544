"""Predictions are written as a whole or not at all."""

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from scripts.common.output_folder import OutputError
from scripts.predict.output import opened


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / 'predictions.csv'
    path.write_text('old')
    with opened(str(path)) as write:
        write(b'new\n')
        assert path.read_text() == 'old'
        write(b'n\xff\n')
    assert path.read_bytes() == b'new\nn\xff\n'
    assert os.listdir(tmp_path) == ['predictions.csv']


@pytest.mark.parametrize('error', [KeyboardInterrupt, ValueError])
def test_after_an_error_all_is_as_before(tmp_path, error):
    path = tmp_path / 'predictions.csv'
    path.write_text('old')
    with pytest.raises(error):
        with opened(str(path)) as write:
            write(b'new')
            raise error
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['predictions.csv']


@pytest.mark.parametrize('failing', ['fsync', 'replace'])
def test_a_full_disk_is_explained(tmp_path, monkeypatch, failing):

    def fail(*args):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(os if failing == 'fsync' else Path, failing, fail)
    path = tmp_path / 'predictions.csv'
    with pytest.raises(
        OutputError,
        match='to be writable, got .*: No space left on device. Choose another',
    ):
        with opened(str(path)) as write:
            write(b'new')
    assert os.listdir(tmp_path) == []


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / 'link').symlink_to('there')
    with opened(str(tmp_path / 'link')) as write:
        write(b'new')
    assert (tmp_path / 'link').is_symlink()
    assert (tmp_path / 'there').read_bytes() == b'new'


@pytest.mark.parametrize(
    'name, message',
    [
        ('', 'to be a file, got .*, which is a folder'),
        (
            'nowhere/x.csv',
            'to be writable, got .*: No such file or directory. Choose another',
        ),
        (
            'file/x.csv',
            'Expected --output to be writable, got .*: Not a directory. Choose another',
        ),
        (
            'photo.JPG',
            r'such as predictions.csv, got the name of an image: .*photo.JPG',
        ),
    ],
)
def test_what_cannot_be_written_to(tmp_path, name, message):
    (tmp_path / 'file').touch()
    with pytest.raises(OutputError, match=message):
        with opened(str(tmp_path / name)):
            pass
    assert os.listdir(tmp_path) == ['file']


def test_a_device():
    with pytest.raises(OutputError, match='got /dev/null, which is a device'):
        with opened('/dev/null'):
            pass


def test_a_full_standard_output_is_explained(monkeypatch):
    stdout = io.TextIOWrapper(open('/dev/full', 'wb'))
    monkeypatch.setattr(sys, 'stdout', stdout)
    with pytest.raises(
        OutputError,
        match='^Expected the output to be writable, got standard output: No space left '
        'on device. Choose another --output.$',
    ):
        with opened('') as write:
            write(b'new')
    stdout.close()  # Nothing is left that would fail again.


def test_a_closed_standard_output_is_explained(monkeypatch):
    monkeypatch.setattr(sys, 'stdout', None)
    with pytest.raises(
        OutputError,
        match='^Expected a standard output, but it is closed. Pass --output.$',
    ):
        with opened('') as write:
            write(b'new')


def test_standard_output_takes_bytes(capfdbinary):
    with opened('') as write:
        write(b'n\xff\n')
        assert capfdbinary.readouterr().out == b'n\xff\n'
