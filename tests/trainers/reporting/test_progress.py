"""The progress bar, on real pseudo-terminals and on plain streams."""

import fcntl
import io
import logging
import os
import pty
import re
import select
import struct
import sys
import termios
import time

import pytest

from trainers.reporting import progress as progress_module
from trainers.reporting.progress import DownloadBars, Progress, format_duration

FIELDS = {'epoch': '3/7', 'loss': '2.31'}


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (-1, '0 s'),
        (0.4, '0 s'),
        (59.4, '59 s'),
        (59.6, '1 m 00 s'),
        (185, '3 m 05 s'),
        (3599.4, '59 m 59 s'),
        (3599.6, '1 h 00 m'),
        (3725, '1 h 02 m'),
        (86399, '1 d 00 h'),
        (2 * 86400 + 3 * 3600, '2 d 03 h'),
        (float('nan'), '?'),
        (float('inf'), '?'),
    ],
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


class Terminal:
    """A pseudo-terminal and what it shows."""

    def __init__(self, columns: int = 60):
        self.master, slave = pty.openpty()
        size = struct.pack('HHHH', 24, columns, 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, size)
        self.stream = os.fdopen(slave, 'w')

    def received(self) -> str:
        content = b''
        # The kernel takes its time to pass it on.
        while select.select([self.master], [], [], 0.05)[0]:
            content += os.read(self.master, 1 << 16)
        return content.decode()

    def screen(self) -> list[str]:
        """The lines as they stand after all carriage returns; trailing blanks off."""
        lines = []
        for line in self.received().split('\n'):
            cells: list[str] = []
            for part in line.split('\r'):
                cells[: len(part)] = part
            lines.append(''.join(cells).rstrip())
        return lines


@pytest.fixture
def terminal():
    made = Terminal()
    yield made
    made.stream.close()
    os.close(made.master)


def test_a_terminal_shows_one_line(terminal):
    with Progress(1000, terminal.stream) as progress:
        progress.update(420, 'Epoch 3/7', {'loss': '2.3100000'})
        (line,) = terminal.screen()
        assert line.startswith('Epoch 3/7  42%|')
        assert line.endswith('| 420/1000 [?, loss=2.3100000]')
        time.sleep(0.11)
        progress.update(421, 'Epoch 3/7', {'loss': '2'})
        (line,) = terminal.screen()
        assert re.search(r'\| 421/1000 \[\d\d:\d\d, loss=2\]$', line)


def test_a_shorter_line_leaves_nothing_of_the_longer(terminal):
    with Progress(1000, terminal.stream) as progress:
        progress.update(420, 'Epoch 1/1', {'a long name': 'and a long value'})
        time.sleep(0.11)
        progress.update(421, 'Epoch 1/1', {'a': '1'})
        (line,) = terminal.screen()
        assert line.endswith(', a=1]')


def test_a_terminal_is_left_clean(terminal):
    with Progress(1000, terminal.stream) as progress:
        progress.update(420, 'Epoch 3/7', FIELDS)
    terminal.stream.write('results\n')
    terminal.stream.flush()
    assert terminal.screen() == ['results', '']


def test_many_updates_are_few_redraws(terminal):
    with Progress(1000, terminal.stream) as progress:
        for step in range(1000):
            progress.update(step, 'Epoch 1/1', FIELDS)
        assert terminal.received().count('\r') < 20


def test_the_line_is_cut_to_the_terminal(terminal):
    with Progress(1000, terminal.stream) as progress:
        progress.update(420, 'Epoch 1/1', {'name': 'x' * 100})
        (line,) = terminal.screen()
    assert re.fullmatch(r'Epoch 1/1  42%\|.\| 420/1000 \[\?, name=x+', line)
    assert len(line) <= 60


def test_log_messages_do_not_tear_the_line(terminal, monkeypatch):
    monkeypatch.setattr(sys, 'stderr', terminal.stream)
    handler = logging.StreamHandler(terminal.stream)
    root = logging.getLogger()
    monkeypatch.setattr(root, 'handlers', [handler])
    logger = logging.getLogger('test')
    logger.setLevel(logging.INFO)
    logger.info('before')
    with Progress(1000, terminal.stream) as progress:
        logger.info('no line yet')
        progress.update(420, 'Epoch 3/7', FIELDS)
        logger.info('epoch done')
        *messages, line = terminal.screen()
        assert messages == ['before', 'no line yet', 'epoch done']
        assert line.startswith('Epoch 3/7  42%|')
    logger.info('after')
    assert terminal.screen() == ['after', '']
    assert root.handlers == [handler]


def test_elsewhere_a_plain_line_now_and_then():
    stream = io.StringIO()
    with Progress(1000, stream, interval=0.05) as progress:
        progress.update(1, 'Epoch 3/7', FIELDS)
        assert stream.getvalue() == ''
        time.sleep(0.06)
        progress.update(2, 'Epoch 3/7', FIELDS)
        progress.update(3, 'Epoch 3/7', FIELDS)
        stream.write('message\n')
    first, second, rest = stream.getvalue().split('\n')
    assert re.fullmatch(
        r'Epoch 3/7   0% 2/1000 \[\d\d:\d\d, epoch=3/7, loss=2.31\]', first
    )
    assert (second, rest) == ('message', '')


def test_each_download_has_a_bar_of_its_own(monkeypatch):
    terminal = Terminal(80)
    monkeypatch.setattr(sys, 'stderr', terminal.stream)
    with DownloadBars() as bars:
        bars('Downloading a', 512, 2048)
        bars('Downloading a', 2048, 2048)
        bars('Downloading b', 5, None)
    first, second, rest = terminal.screen()
    assert re.match(r'Downloading a: 100%\|█+\| 2\.05k/2\.05k \[.*B/s\]$', first)
    assert re.match(r'Downloading b: 5\.00B \[.*B/s\]$', second) and rest == ''
    terminal.stream.close()
    os.close(terminal.master)
    elsewhere = io.StringIO()
    monkeypatch.setattr(sys, 'stderr', elsewhere)
    with DownloadBars() as bars:
        bars('Downloading a', 512, 2048)
    assert elsewhere.getvalue() == ''


def test_a_notebook_has_a_bar(monkeypatch):
    monkeypatch.setattr(progress_module, 'IN_NOTEBOOK', True)
    stream = io.StringIO()
    with Progress(1000, stream) as progress:
        progress.update(420, 'Epoch 3/7', FIELDS)
    assert re.search(r'Epoch 3/7  42%\|.+\| 420/1000', stream.getvalue())


def test_time_left_counts_from_where_the_run_resumed():
    stream = io.StringIO()
    progress = Progress(1000, stream, interval=0.0)
    progress.update(900, 'Epoch 9/10')
    time.sleep(0.5)
    progress.update(950, 'Epoch 9/10')
    assert stream.getvalue() in [
        f'Epoch 9/10  95% 950/1000 [00:0{seconds}]\n' for seconds in (0, 1)
    ]


def test_the_number_of_steps_can_change():
    stream = io.StringIO()
    progress = Progress(1000, stream, interval=0.0)
    progress.update(1, 'Epoch 1/10')
    progress.expect(500)
    progress.update(50, 'Epoch 2/5')
    progress.update(100, 'Epoch 2/5')
    assert stream.getvalue().startswith('Epoch 2/5  20% 100/500 [')


def test_a_closed_terminal_does_not_end_the_run():
    terminal = Terminal()
    with Progress(1000, terminal.stream) as progress:
        progress.update(1, 'Epoch 1/1', FIELDS)
        os.close(terminal.master)
        time.sleep(0.11)
        progress.update(2, 'Epoch 1/1', FIELDS)
    with pytest.raises(OSError):  # It really was closed.
        terminal.stream.close()
