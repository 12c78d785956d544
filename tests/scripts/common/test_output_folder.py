"""Files of a command are replaced, other files are left, errors are explained."""

import pytest

from scripts.common.output_folder import OutputError, check_writable, replace
from scripts.evaluate import output as evaluate_output
from scripts.explore import output as explore_output


def test_folder_that_cannot_be_is_an_error_before_the_work(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(
        OutputError,
        match='Expected --output to be writable, got .*: Not a directory. Choose '
        'another.',
    ):
        check_writable(tmp_path / 'file' / 'folder')
    with pytest.raises(
        OutputError, match='Expected --run_dir to be .*: File exists. Make room.'
    ):
        check_writable(tmp_path / 'file', '--run_dir', 'Make room.')
    check_writable(tmp_path / 'new' / 'folder')
    assert list((tmp_path / 'new' / 'folder').iterdir()) == []


def test_what_no_longer_applies_is_removed_and_the_rest_left(tmp_path):
    for name in ('old.txt', 'kept.txt', 'notes.txt'):
        (tmp_path / name).write_text('of an earlier time')
    names = ('new.png', 'old.txt', 'kept.txt')
    paths = replace(tmp_path, {'kept.txt': 'now', 'new.png': b'\xff'}, names)
    assert paths == [tmp_path / 'new.png', tmp_path / 'kept.txt']
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        'new.png': b'\xff',
        'kept.txt': b'now',
        'notes.txt': b'of an earlier time',
    }


def test_file_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / 'taken').mkdir()
    message = 'Expected --output to be writable, got .*taken: Is a directory. Choose '
    with pytest.raises(OutputError, match=message):
        replace(tmp_path, {'taken': 'text'}, ('taken',))
    assert [path.name for path in tmp_path.iterdir()] == ['taken']


def test_commands_share_it():
    assert (explore_output.replace, evaluate_output.replace) == (replace, replace)
