"""Commands and programs that tests run in processes of their own.

To import TensorFlow takes Python five seconds of computation. Most tests are not about
the import: their programs run in forks of one process, made for all tests, that has
imported it and done nothing else.
"""

import array
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 300  # Seconds for one program.

# Reads requests from its standard input, a socket: JSON and three file descriptors. The
# fork leaves the loop and ends like any other process; the server sends its exit code.
_SERVER = """
import array, gc, json, os, runpy, socket, sys
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ['KERAS_HOME'] = os.path.join(os.devnull, 'keras')
import keras, tensorflow
sys.path[0] = os.getcwd()
gc.freeze()  # Forks neither copy nor free what is there already.
requests = socket.socket(fileno=os.dup(0))
while True:
    message, fds, _, _ = socket.recv_fds(requests, 1 << 20, 3)
    if not message:
        sys.exit()
    pid = os.fork()
    if not pid:
        break
    for fd in fds:
        os.close(fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    requests.sendall(array.array('i', [code]).tobytes())
requests.close()
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
    """Starts the process that programs are forked from."""
    client, server = socket.socketpair()
    with server:
        subprocess.Popen(
            [sys.executable, '-c', _SERVER],
            cwd=ROOT,
            stdin=server,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    client.settimeout(TIMEOUT)
    return client


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
    request = {'arguments': arguments, 'env': dict(os.environ), 'cwd': str(cwd)}
    socket.send_fds(_server(), [json.dumps(request).encode()], fds)
    (code,) = array.array('i', _server().recv(array.array('i').itemsize))
    return code
