"""Importing TensorFlow without its start-up notes."""

import contextlib
import os
import sys
import tempfile
from typing import Iterator


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
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


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
