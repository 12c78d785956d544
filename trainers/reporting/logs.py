"""The log file of a run."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from vision.errors import UserError

# The loggers of this project; without a level of their own, a caller that has not
# configured logging would let warnings through only.
_LOGGERS = ('trainers', 'vision')


@contextlib.contextmanager
def log_to(path: Path, expected: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Appends all log messages to a file, and the error that ends the context.

    Args:
        path: of the file.
        expected: exceptions that end a run without an error.
    """
    # Names of files need not be valid UTF-8.
    handler = logging.FileHandler(path, encoding='utf-8', errors='backslashreplace')
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
    root = logging.getLogger()
    handlers: list[logging.Handler] = [handler]
    if not root.handlers and logging.lastResort:  # keeps warnings on standard error
        handlers.append(logging.lastResort)
    for added in handlers:
        root.addHandler(added)
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        if logging.getLogger(name).getEffectiveLevel() > logging.INFO:
            logging.getLogger(name).setLevel(logging.INFO)
    try:
        yield
    except Exception as error:
        # In the file only: the command prints it on the terminal.
        level = logging.INFO if isinstance(error, expected) else logging.ERROR
        if isinstance(error, (UserError, *expected)):
            message, trace = str(error), None
        else:
            message, trace = repr(error), (type(error), error, error.__traceback__)
        handler.handle(
            logging.LogRecord(__name__, level, __file__, 0, message, None, trace)
        )
        raise
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        for added in handlers:
            root.removeHandler(added)
        handler.close()
