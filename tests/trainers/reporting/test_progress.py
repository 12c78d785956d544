"""The progress line, on real pseudo-terminals and on plain streams."""

import fcntl
import io
import logging
import os
import pty
import select
import struct
import termios
import time

import pytest

from trainers.reporting.progress import (
    ConsoleHandler,
    Progress,
    format_duration,
    format_line,
)

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


def test_line():
    line = ' 42 %  step 420/1,000  epoch 3/7  loss 2.31'
    assert format_line(420, 1000, FIELDS) == line
    assert format_line(420, 1000, FIELDS, 185.0) == line + '  3 m 05 s left'
    assert format_line(420, 1000, FIELDS, width=10) == line[:10]
    assert format_line(999, 1000, {}) == ' 99 %  step 999/1,000'
    assert format_line(0, 0, {}) == '100 %  step 0/0'


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
        progress.update(420, {'loss': '2.3100000'})
        assert terminal.screen() == [' 42 %  step 420/1,000  loss 2.3100000']
        time.sleep(0.11)
        progress.update(421, {'loss': '2'})
        line = terminal.screen()[0]
        assert line.startswith(' 42 %  step 421/1,000  loss 2  ')
        assert line.endswith('s left')


def test_a_shorter_line_leaves_nothing_of_the_longer(terminal):
    with Progress(1000, terminal.stream) as progress:
        progress.update(420, {'a long name': 'and a long value'})
        time.sleep(0.11)
        progress.update(420, {'a': '1'})
        assert terminal.screen() == [' 42 %  step 420/1,000  a 1']


def test_a_terminal_is_left_clean(terminal):
    with Progress(1000, terminal.stream) as progress:
        progress.update(420, FIELDS)
    terminal.stream.write('last words\n')
    terminal.stream.flush()
    assert terminal.screen() == ['last words', '']


def test_many_updates_are_few_redraws(terminal):
    with Progress(1000, terminal.stream) as progress:
        for step in range(1000):
            progress.update(step, FIELDS)
        assert terminal.received().count('\r') < 20


def test_the_line_is_cut_to_the_terminal(terminal):
    with Progress(1000, terminal.stream) as progress:
        progress.update(420, {'name': 'x' * 100})
        line = terminal.screen()[0]
    assert line == (' 42 %  step 420/1,000  name ' + 'x' * 100)[:59]


def test_log_messages_do_not_tear_the_line(terminal):
    handler = ConsoleHandler(terminal.stream)
    logger = logging.Logger('test')
    logger.addHandler(handler)
    logger.info('before')
    with Progress(1000, terminal.stream) as handler.progress:
        logger.info('no line yet')
        handler.progress.update(420, FIELDS)
        logger.info('epoch done')
        line = ' 42 %  step 420/1,000  epoch 3/7  loss 2.31'
        assert terminal.screen() == ['before', 'no line yet', 'epoch done', line]
    logger.info('after')
    assert terminal.screen() == ['after', '']


def test_elsewhere_a_plain_line_now_and_then():
    stream = io.StringIO()
    with Progress(1000, stream, interval=0.05) as progress:
        progress.update(1, FIELDS)
        assert stream.getvalue() == ''
        time.sleep(0.06)
        progress.update(2, FIELDS)
        progress.update(3, FIELDS)
        with progress.hidden():
            stream.write('message\n')
    first, second, rest = stream.getvalue().split('\n')
    assert first.startswith('  0 %  step 2/1,000  epoch 3/7  loss 2.31  ')
    assert (second, rest) == ('message', '')


def test_time_left_counts_from_where_the_run_resumed():
    stream = io.StringIO()
    progress = Progress(1000, stream, interval=0.0)
    progress.update(900, {})
    time.sleep(0.5)
    progress.update(950, {})
    assert stream.getvalue().split('\n')[0] == ' 90 %  step 900/1,000'
    assert stream.getvalue().split('\n')[1].split('  ')[-1] in ('0 s left', '1 s left')


def test_a_closed_terminal_does_not_end_the_run():
    terminal = Terminal()
    with Progress(1000, terminal.stream) as progress:
        os.close(terminal.master)
        progress.update(1, FIELDS)
    with pytest.raises(OSError):  # It really was closed.
        terminal.stream.close()
