"""Importing TensorFlow without its start-up notes."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO, TextIO


@contextlib.contextmanager
def stderr_exchanged() -> Iterator[tuple[TextIO, IO[bytes]]]:
    """Has what is written to the file descriptor of standard error go into a file.

    That is how C libraries write, past `sys.stderr`. Gives a way to what was standard
    error, and the file.
    """
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        stderr = stack.enter_context(
            os.fdopen(os.dup(2), 'w', errors='backslashreplace')
        )
        said = stack.enter_context(tempfile.TemporaryFile())
        os.dup2(said.fileno(), 2)
        try:
            yield stderr, said
        finally:
            os.dup2(stderr.fileno(), 2)


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Holds back what is written to standard error, and shows it only after a failure.

    TensorFlow's C++ side writes to the file descriptor before any of its settings for
    logging take effect. Whoever sets TF_CPP_MIN_LOG_LEVEL below 3 sees everything.
    """
    if os.environ.get('TF_CPP_MIN_LOG_LEVEL', '3') != '3':
        yield
        return
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    with stderr_exchanged() as (stderr, said):
        try:
            yield
        except BaseException:
            said.seek(0)
            os.write(stderr.fileno(), said.read())
            raise


def forget_stdout() -> None:
    """Lets what is still to be printed vanish: whoever read it has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def import_tensorflow() -> None:
    """Imports TensorFlow and lets it find its devices, quietly.

    Keras is kept from reading and writing ~/.keras, so that no other backend slips in.
    """
    os.environ['KERAS_BACKEND'] = 'tensorflow'
    os.environ['KERAS_HOME'] = os.path.join(os.devnull, 'keras')  # cannot exist
    with quiet_stderr():
        import tensorflow as tf

        tf.config.list_physical_devices()
