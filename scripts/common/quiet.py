"""Standard error without what native code writes to it, and closed standard streams.

C and C++ libraries write to the file descriptor of standard error, past `sys.stderr`:
TensorFlow when it starts, decoders about an image that they do not name.
"""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import TextIO

from tqdm import tqdm

from vision.errors import UserError


@contextlib.contextmanager
def native_stderr_suppressed() -> Iterator[TextIO]:
    """Suppresses what native code writes to standard error.

    Its file descriptor is redirected into a temporary file. `sys.stderr`, and with it
    log messages and progress bars, goes on to be shown. An unexpected exception shows
    what was suppressed. TF_CPP_MIN_LOG_LEVEL below 3 turns the suppression off.

    Yields:
        A stream to standard error.
    """
    if os.environ.get('TF_CPP_MIN_LOG_LEVEL', '3') != '3':
        yield sys.stderr
        return
    sys.stderr.flush()
    with (
        os.fdopen(os.dup(2), 'w', errors='backslashreplace') as stderr,
        tempfile.TemporaryFile() as captured,
        contextlib.redirect_stderr(stderr),
    ):
        os.dup2(captured.fileno(), 2)
        try:
            yield stderr
        except (UserError, KeyboardInterrupt, BrokenPipeError):
            raise
        except BaseException:
            captured.seek(0)
            os.write(stderr.fileno(), captured.read())
            raise
        finally:
            os.dup2(stderr.fileno(), 2)


@contextlib.contextmanager
def progress_bar(total: int | None, description: str = '') -> Iterator[tqdm]:
    """A progress bar of images on a terminal, with native standard error suppressed.

    Messages about single bad images are suppressed too: commands that show this bar
    list such images in their results.

    Args:
        total: number of images, None where it is not known.
        description: stands in front of the bar.
    """
    with (
        native_stderr_suppressed(),
        muted('vision.data.decoding.bad_files'),
        tqdm(
            total=total,
            desc=description or None,
            unit=' images',
            delay=1,
            disable=None,
            leave=False,
        ) as bar,
    ):
        yield bar


@contextlib.contextmanager
def muted(name: str) -> Iterator[None]:
    """Discards the messages of a logger."""
    logger = logging.getLogger(name)
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False


class StderrHandler(logging.StreamHandler):
    """Logs to what `sys.stderr` is at the time, without damaging progress bars."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)  # StreamHandler's would set the stream.

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # A closed terminal does not end the work.
            tqdm.write(self.format(record), file=self.stream)


def open_stderr() -> None:
    """Opens the null device as standard error where that is closed, as after `2>&-`."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, 'w')
        os.dup2(sys.stderr.fileno(), 2)


def print_error(message: object) -> None:
    """Prints a line on standard error, or nothing where its reader has gone."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def forget_closed_streams() -> None:
    """Discards what is still to be printed to pipes whose reader has gone.

    Python flushes the standard streams when it ends, and exits with code 120 where
    that fails.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # None after `>&-`
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def import_tensorflow() -> None:
    """Imports TensorFlow and finds its devices, without its start-up messages.

    Keras is kept from reading and writing ~/.keras, so that its configuration cannot
    select another backend.
    """
    os.environ['KERAS_BACKEND'] = 'tensorflow'
    os.environ['KERAS_HOME'] = os.path.join(os.devnull, 'keras')  # cannot exist
    with native_stderr_suppressed():
        os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
        import tensorflow as tf

        tf.config.list_physical_devices()
