"""The search for a browser, and browsers that end or hang."""

import os
import select
import stat
from pathlib import Path

import pytest

from vision.errors import UserError
from vision.export import browser


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """The only folder on the PATH."""
    monkeypatch.setenv('PATH', str(tmp_path))
    return tmp_path


def program(path: Path, lines: str, interpreter: str = '/bin/sh') -> str:
    path.write_text(f'#!{interpreter}\n{lines}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_program_that_does_not_run_is_no_browser(path):
    program(path / 'chromium', 'echo Install it with snap; exit 10')
    program(path / 'chromium-browser', '', '/nothing/here')
    assert browser.find() is None
    command = program(path / 'google-chrome', 'echo Google Chrome 150')
    assert browser.find() == command


def test_a_browser_that_ends_is_reported_at_once_and_its_processes_are_stopped(
    path, monkeypatch
):
    monkeypatch.setattr(browser, '_SECONDS', 10**6)
    os.mkfifo(path / 'open')
    # Can be read to its end when no process holds it open.
    opened = os.open(path / 'open', os.O_RDONLY | os.O_NONBLOCK)
    command = program(
        path / 'chromium',
        f'exec 9>{path}/open; /bin/sleep 600 & echo there is no display >&2; exit 3',
    )
    with pytest.raises(UserError) as error:
        browser.classify(command, path, [])
    assert str(error.value) == (
        f'Expected an answer of the page in {command}, but it ended with exit code 3. '
        'Its error output:\nthere is no display\n'
    )
    assert select.select([opened], [], [], 10)[0]
    os.close(opened)


def test_a_browser_without_an_answer_is_stopped(path, monkeypatch):
    monkeypatch.setattr(browser, '_SECONDS', 0)
    command = program(path / 'chromium', 'while :; do :; done')
    with pytest.raises(UserError, match='there was none in 0 seconds'):
        browser.classify(command, path, [])
