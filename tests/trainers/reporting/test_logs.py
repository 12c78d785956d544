"""The log file of a run: every message, and the error that ended it."""

import contextlib
import logging
import re
from collections.abc import Iterator

import pytest

from trainers.reporting.logs import log_to
from trainers.run.signals import Stopped
from vision.errors import UserError

ROOT = logging.getLogger()
LOGGERS = [logging.getLogger(name) for name in ('trainers', 'vision')]


@contextlib.contextmanager
def handlers(*given: logging.Handler) -> Iterator[None]:
    """Logging as in a process that has set these handlers and no levels."""
    before, levels = ROOT.handlers, [logger.level for logger in LOGGERS]
    ROOT.handlers = list(given)
    for logger in LOGGERS:
        logger.setLevel(logging.NOTSET)
    try:
        yield
        assert ROOT.handlers == list(given)
    finally:
        ROOT.handlers = before
        for logger, level in zip(LOGGERS, levels):
            logger.setLevel(level)


def lines(path) -> list[str]:
    """The lines of the log without the time."""
    stamp = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ')
    return [stamp.sub('', line) for line in path.read_text('utf-8').splitlines()]


def test_all_messages_of_this_project_are_added_to_the_file(tmp_path, capsys):
    path = tmp_path / 'train.log'
    with handlers():
        for number in (1, 2):
            with log_to(path):
                logging.getLogger('trainers.run').info('run %d, odd\udcff.jpg', number)
                logging.getLogger('vision.data').warning('größer')
                logging.getLogger('elsewhere').info('not of this project')
            logging.getLogger('trainers.run').info('after it')
        assert {logger.level for logger in LOGGERS} == {logging.NOTSET}
    assert lines(path) == [
        r'INFO run 1, odd\udcff.jpg',
        'WARNING größer',
        r'INFO run 2, odd\udcff.jpg',
        'WARNING größer',
    ]
    # As without the file, warnings are on standard error.
    assert capsys.readouterr().err == 'größer\ngrößer\n'


def test_what_the_caller_has_configured_stays(tmp_path, capsys):
    seen: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: seen.append(record.getMessage())  # type: ignore[method-assign]
    with handlers(handler):
        LOGGERS[0].setLevel(logging.DEBUG)
        with log_to(tmp_path / 'train.log'):
            LOGGERS[0].debug('details')
            LOGGERS[1].warning('a warning')
        assert LOGGERS[0].level == logging.DEBUG
    assert lines(tmp_path / 'train.log') == ['DEBUG details', 'WARNING a warning']
    assert (seen, capsys.readouterr().err) == (['details', 'a warning'], '')


@pytest.mark.parametrize(
    'error, last, more',
    [
        (UserError('Pass --this.'), 'ERROR Pass --this.', False),
        (Stopped('SIGTERM received.'), 'INFO SIGTERM received.', False),
        (ValueError('a mistake'), "ERROR ValueError('a mistake')", True),
    ],
)
def test_the_error_that_ends_a_run_is_in_the_file_only(
    tmp_path, capsys, error, last, more
):
    with handlers():
        with pytest.raises(type(error)):
            with log_to(tmp_path / 'train.log', expected=(Stopped,)):
                raise error
    logged = lines(tmp_path / 'train.log')
    assert logged[0] == last
    assert ('Traceback (most recent call last):' in logged) is more
    assert (len(logged) > 1) is more
    assert capsys.readouterr().err == ''
