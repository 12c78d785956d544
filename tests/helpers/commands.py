"""Commands that tests run: in this process, or with programs in processes of their own.

To import TensorFlow takes Python five seconds of computation. Most tests are not about
the import: their programs run in forks of one process, made for all tests, that has
imported it and done nothing else.
"""

import array
import contextlib
import functools
import io
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from absl import flags as absl_flags
from absl import logging as absl_logging

from scripts.common import flags

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 300  # Seconds for one program.

# Reads requests from its standard input, a socket: JSON and three file descriptors. The
# fork leaves the loop and ends like any other process; the server sends its number, and
# its exit code when it has ended.
_SERVER = """
import array, gc, json, os, runpy, select, signal, socket, sys
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['KERAS_HOME'] = os.path.join(os.devnull, 'keras')
import keras, tensorflow
sys.path[0] = os.getcwd()
gc.freeze()  # Forks neither copy nor free what is there already.
listener = socket.socket(fileno=os.dup(0))
clients = [listener.accept()[0]]
before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    if clients:
        ready = select.select([listener, *clients], [], [])[0]
    else:
        if os.path.exists(listener.getsockname()):
            os.remove(listener.getsockname())
        ready = select.select([listener], [], [], 0)[0]
        if not ready:
            sys.exit()
    if listener in ready:
        clients.append(listener.accept()[0])
        continue
    client = ready[0]
    message, fds, _, _ = socket.recv_fds(client, 1 << 20, 3)
    if not message:
        clients.remove(client)
        client.close()
        continue
    if os.fork():
        for fd in fds:
            os.close(fd)
        continue
    # One process waits for the program, which is another.
    signal.signal(signal.SIGCHLD, before)
    pid = os.fork()
    if not pid:
        break
    client.sendall(array.array('i', [pid]).tobytes())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    client.sendall(array.array('i', [code]).tobytes())
    os._exit(0)
for opened in (listener, *clients):
    opened.close()
for number, fd in enumerate(fds):
    os.dup2(fd, number)
    os.close(fd)
for number, name, mode in ((0, 'stdin', 'r'), (1, 'stdout', 'w'), (2, 'stderr', 'w')):
    errors = 'backslashreplace' if name == 'stderr' else 'strict'
    stream = open(number, mode, closefd=False, encoding='utf-8', errors=errors)
    setattr(sys, name, stream)
    setattr(sys, f'__{name}__', stream)
sys.stderr.reconfigure(line_buffering=True)
request = json.loads(message)
os.environ.clear()
os.environ.update(request['env'])
os.chdir(request['cwd'])
option, program, *arguments = request['arguments']
sys.argv = [option, *arguments]
if option == '-m':
    runpy.run_module(program, run_name='__main__', alter_sys=True)
else:
    exec(compile(program, '<string>', 'exec'), {'__name__': '__main__'})
"""


@functools.cache
def _server() -> socket.socket:
    """Connects to the process that programs are forked from, and starts it if needed.

    All processes of one run of the tests have it in common. It ends with the last of
    them.
    """
    run = os.environ.get('PYTEST_XDIST_TESTRUNUID') or time.time_ns()
    path = f'{tempfile.gettempdir()}/programs-of-tests-{run}'
    client = socket.socket(socket.AF_UNIX)
    end = time.monotonic() + TIMEOUT
    while client.connect_ex(path):
        assert time.monotonic() < end, f'Nothing answers on {path}.'
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(path)
            except OSError:  # Another process of the tests has just done it.
                time.sleep(0.01)
                continue
            listener.listen()
            subprocess.Popen(
                [sys.executable, '-c', _SERVER],
                cwd=ROOT,
                stdin=listener,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    client.settimeout(TIMEOUT)
    return client


def run_here(
    name: str, *arguments: str, input: str | bytes = b''
) -> subprocess.CompletedProcess:
    """Runs `python -m scripts.<name>` in this process, from its entry to its exit.

    Everything that the command changes in the process is as before afterwards. Help,
    signals and closed streams need a process of their own: `run_command`.

    Returns:
        The exit code and the text that Python code printed.
    """
    contents = input.encode() if isinstance(input, str) else input
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(contents)))
    stdout, stderr = (
        io.TextIOWrapper(io.BytesIO(), 'utf-8', write_through=True) for _ in range(2)
    )
    values = absl_flags.FlagValues()
    absl_flags.FLAGS.mark_as_parsed()
    with (
        _process_as_before(),
        mock.patch.object(flags, 'FLAGS', values),
        mock.patch.object(sys, 'argv', [name, *arguments]),
        mock.patch.object(sys, 'stdin', stdin),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            runpy.run_module(f'scripts.{name}', run_name='__main__', alter_sys=True)
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    texts = []
    for stream in (stdout, stderr):
        stream.seek(0)
        texts.append(stream.read())
    return subprocess.CompletedProcess(list(arguments), code, *texts)


@contextlib.contextmanager
def _process_as_before() -> Iterator[None]:
    """Restores signal handlers and the logging of the process afterwards."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in numbers}
    loggers = [logging.getLogger(name) for name in (None, 'absl', 'urllib3')]
    before = [(logger.level, logger.handlers.copy()) for logger in loggers]
    raises, disabled = logging.raiseExceptions, logging.root.manager.disable
    # The command closes the handlers that it replaces, and absl's closes its stream.
    logging.root.handlers[:] = []
    try:
        with (
            mock.patch.object(absl_logging, 'use_absl_handler'),
            mock.patch.dict(os.environ),
            warnings.catch_warnings(),
        ):
            # The module may have been imported already, which runpy notices.
            warnings.filterwarnings('ignore', '.*found in sys', RuntimeWarning)
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for logger, (level, handlers_before) in zip(loggers, before):
            logger.setLevel(level)
            logger.handlers[:] = handlers_before
        logging.raiseExceptions = raises
        logging.disable(disabled)


def run_command(
    name: str, *arguments: str, **options: Any
) -> subprocess.CompletedProcess:
    """Runs `python -m scripts.<name>`; arguments and result are as of `run_python`."""
    return run_python(('-m', f'scripts.{name}'), *arguments, **options)


def run_python(
    program: tuple[str, str],
    *arguments: str,
    python: tuple[str, ...] = (),
    input: str | bytes = b'',
    cwd: Path = ROOT,
    **streams: int,
) -> subprocess.CompletedProcess:
    """Runs a program in a process of its own.

    Args:
        program: `('-m', module)` or `('-c', code)`.
        *arguments: of the program.
        python: options of a new interpreter; if there are none, TensorFlow is imported
            already.
        input: what standard input holds.
        cwd: the working directory; by default the root of the project.
        **streams: file descriptors as `stdout` and `stderr`; by default these are
            recorded.

    Returns:
        The exit code and the recorded text.
    """
    with (
        tempfile.TemporaryFile() as stdin,
        tempfile.TemporaryFile() as stdout,
        tempfile.TemporaryFile() as stderr,
    ):
        stdin.write(input.encode() if isinstance(input, str) else input)
        stdin.seek(0)
        recorded = {'stdout': stdout, 'stderr': stderr}
        fds = [stdin.fileno()]
        fds += [streams.get(name, file.fileno()) for name, file in recorded.items()]
        start = _start if python else _fork
        code = start([*python, *program, *arguments], fds, cwd)
        for file in recorded.values():
            file.seek(0)
        texts = {name: file.read().decode() for name, file in recorded.items()}
    return subprocess.CompletedProcess(list(arguments), code, **texts)


def _start(arguments: list[str], fds: list[int], cwd: Path) -> int:
    stdin, stdout, stderr = fds
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        timeout=TIMEOUT,
    ).returncode


def _fork(arguments: list[str], fds: list[int], cwd: Path) -> int:
    return Fork(arguments, fds, cwd).wait()


class Fork:
    """A program in a fork, with the methods of `subprocess.Popen`.

    The next one can be started when it has ended.

    Args:
        arguments: `-m`, a module, and arguments; or `-c` and code.
        fds: file descriptors of standard input, output and errors.
        cwd: the working directory.

    Attributes:
        pid: the number of its process.
        returncode: its exit code, None before it is known.
    """

    def __init__(self, arguments: list[str], fds: list[int], cwd: Path = ROOT):
        request = {'arguments': arguments, 'env': dict(os.environ), 'cwd': str(cwd)}
        socket.send_fds(_server(), [json.dumps(request).encode()], fds)
        self.pid = _received()
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code if it has ended."""
        if self.returncode is None and select.select([_server()], [], [], 0)[0]:
            self.wait()
        return self.returncode

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Waits for its end and returns the exit code."""
        if self.returncode is None:
            _server().settimeout(timeout)
            self.returncode = _received()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Sends a signal if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _received() -> int:
    (value,) = array.array('i', _server().recv(array.array('i').itemsize))
    return value
