"""How every command starts, logs, fails and stops.

A command ends with a call of `start`:

    if __name__ == '__main__':
        command.start(DESCRIPTION, FIELDS, prepare, work)

`prepare` runs before TensorFlow is imported, which takes seconds: it reads the flags
and raises a ConfigError where they are wrong. `work` runs afterwards with what
`prepare` returned. Neither of them catches errors, prints them or sets up logging: both
raise a UserError, and `start` turns it into a message and an exit code.
"""

import dataclasses
import enum
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from absl import app

from scripts.common import flags, quiet
from trainers.run.signals import Stopped
from trainers.settings.config import ConfigError
from vision.errors import UserError

Prepared = TypeVar('Prepared')

# Below the description of every command in its help text.
FOOTER = f"""
Exit codes: 0 done, 1 an error that the message explains, 2 a usage error, 75 stopped
by a signal with everything saved, 130 interrupted.

  {', '.join(f'--list_{kind}' for kind in flags.LISTINGS)}
                          List the choices, and exit.
"""


class ExitCode(enum.IntEnum):
    """What a command tells the shell where it is not done, which is 0."""

    ERROR = 1
    USAGE = 2
    STOPPED = 75  # EX_TEMPFAIL of sysexits.h: the same command continues the work.
    INTERRUPTED = 130  # 128 + SIGINT, as shells report it.


def start(
    description: str,
    fields: Sequence[dataclasses.Field],
    prepare: Callable[[list[str]], Prepared],
    work: Callable[[Prepared], object],
    *,
    arguments: bool = False,
    log_handler: logging.Handler | None = None,
) -> None:
    """Parses the command line and runs the command; exits with 0 or an `ExitCode`.

    Args:
        description: stands above the flags in the help text.
        fields: the settings that are flags of this command.
        prepare: called with the arguments that are not flags, before TensorFlow is
            imported; not called for `--help` and `--list_*`.
        work: called with what `prepare` returned, once TensorFlow is imported.
        arguments: whether arguments that are not flags are allowed.
        log_handler: where log messages go, by default standard error.

    How the command ends:
        A ConfigError is a usage error. Any other UserError, running out of memory
        included, is an error. Both print their message on standard error, with the
        flags of this command that `UserError.parameters` names in a further line.
        Ctrl-C and SIGTERM raise KeyboardInterrupt, so that temporary files are
        removed; training replaces that by a stop at the end of a step, `Stopped`. A
        closed standard output ends the command silently, and a closed standard error
        changes no exit code. Every other exception is a bug and shows its traceback.
    """
    quiet.open_stderr()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    flags.define(fields)
    # Flags may also follow arguments that are not flags.
    flags.FLAGS.set_gnu_getopt(arguments)
    try:
        app.run(
            lambda argv: _run(argv[1:], prepare, work, log_handler),
            flags_parser=lambda argv: flags.parse(
                argv, description + FOOTER, fields, arguments
            ),
        )
    except UserError as error:
        _print_error(error)
        sys.exit(ExitCode.USAGE if isinstance(error, ConfigError) else ExitCode.ERROR)
    except Stopped as stopped:
        quiet.print_error(stopped)
        sys.exit(ExitCode.STOPPED)
    except KeyboardInterrupt:
        quiet.print_error('Interrupted.')
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        sys.exit(ExitCode.ERROR)
    finally:
        quiet.forget_closed_streams()


def _run(
    arguments: list[str],
    prepare: Callable[[list[str]], Prepared],
    work: Callable[[Prepared], object],
    log_handler: logging.Handler | None,
) -> None:
    listing = any(flags.FLAGS[f'list_{kind}'].value for kind in flags.LISTINGS)
    prepared = None if listing else prepare(arguments)
    quiet.import_tensorflow()
    import tensorflow as tf

    _set_up_logging(log_handler)
    try:
        if listing:
            from scripts.common import listings

            listings.show(flags.FLAGS)
        else:
            work(prepared)  # type: ignore[arg-type]
    except (MemoryError, tf.errors.ResourceExhaustedError) as error:
        raise _exhausted(error) from error
    print(end='', flush=True)  # Nothing where standard output is closed, as by `>&-`.


def _set_up_logging(handler: logging.Handler | None) -> None:
    logging.basicConfig(
        level=logging.INFO,
        format='%(message)s',
        handlers=[handler or quiet.StderrHandler()],
        force=True,
    )
    logging.raiseExceptions = False  # A closed terminal does not end the work.
    logging.getLogger('absl').setLevel(logging.ERROR)  # TensorFlow's own messages
    logging.getLogger('urllib3').setLevel(logging.ERROR)  # one for each connection


def _exhausted(error: Exception) -> UserError:
    """The error of a machine whose memory or disk is full."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if 'OOM' in line or 'No space' in line]
    reasons = telling or lines or ['the allocation failed']
    return UserError(
        f'Memory or disk space is exhausted: {reasons[0]}. Use smaller batches or '
        'images, or free some.',
        'batch_size',
        'image_size',
    )


def _print_error(error: UserError) -> None:
    quiet.print_error(error)
    named = [f'--{name}' for name in error.parameters if name in flags.FLAGS]
    if named:
        *first, last = named
        listed = f'{", ".join(first)} and {last}' if first else last
        quiet.print_error(f'See {listed}.')
