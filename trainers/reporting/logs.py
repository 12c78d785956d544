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
    before = root.handlers
    root.handlers = [*before, handler]
    if not before and logging.lastResort:  # keeps warnings on standard error
        root.handlers.append(logging.lastResort)
    levels = {logger: logger.level for logger in map(logging.getLogger, _LOGGERS)}
    for logger in levels:
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
    try:
        yield
    except Exception as error:
        # In the file only: the command prints it on the terminal.
        explained = isinstance(error, (UserError, *expected))
        handler.handle(
            logging.LogRecord(
                name=__name__,
                level=logging.INFO if isinstance(error, expected) else logging.ERROR,
                pathname=__file__,
                lineno=0,
                msg=str(error) if explained else repr(error),
                args=None,
                exc_info=None
                if explained
                else (type(error), error, error.__traceback__),
            )
        )
        raise
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)
        root.handlers = before
        handler.close()
