"""The exported page in a real browser, driven by a second page.

The browser opens a driver page, which holds the exported page in a frame, chooses files
in it and reads the results.
"""

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from vision.errors import UserError

TOP = 5  # classes that the page shows

_PROGRAMS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
_DRIVER = Path(__file__).parent / 'driver'
_SECONDS = 300  # how long an answer of the page is awaited
_FLAGS = (
    '--headless',
    '--disable-gpu',
    '--disable-software-rasterizer',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
)


class Result(NamedTuple):
    """What the page shows for a file.

    Attributes:
        name: the file's.
        top: probabilities by label, in the order on the page.
        names: the names of those classes.
        failure: the page's error message, or ''.
    """

    name: str
    top: dict[int, float]
    names: tuple[str, ...]
    failure: str


def find() -> str | None:
    """A Chromium or Chrome on the PATH that runs."""
    return next(filter(_runs, filter(None, map(shutil.which, _PROGRAMS))), None)


def _runs(program: str) -> bool:
    # Some systems have a program of that name that only says how to install it.
    try:
        return not subprocess.run(
            [program, '--version'],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        ).returncode
    except (OSError, subprocess.TimeoutExpired):
        return False


def pngs(images: np.ndarray) -> list[tuple[str, bytes]]:
    """Lossless files of uint8 `[N, S, S, 3]`: names and contents."""
    return [
        (f'{number}.png', tf.io.encode_png(image).numpy())
        for number, image in enumerate(images, start=1)
    ]


def classify(
    program: str, folder: Path, files: Sequence[tuple[str, bytes]]
) -> list[Result]:
    """Chooses all files in the page at once and returns the results that it shows.

    Args:
        program: the browser.
        folder: the export.
        files: their names and contents.

    Raises:
        UserError: the page does not load, or the browser does not answer.
    """
    with tempfile.TemporaryDirectory(
        prefix='tapestry-browser-', ignore_cleanup_errors=True
    ) as scratch:
        site = shutil.copytree(_DRIVER, Path(scratch, 'site'))
        (site / 'page').symlink_to(folder.absolute())
        (site / 'images.json').write_text(json.dumps([name for name, _ in files]))
        for number, (_, contents) in enumerate(files):
            (site / f'image-{number}').write_bytes(contents)
        answer = _answer(program, site)
    if answer['failure']:
        raise UserError(
            f'Expected the page to run in {program}, but it failed: {answer["failure"]}'
        )
    return [
        Result(
            shown['name'],
            top={label: float(value) for label, value in shown['top']},
            names=tuple(shown['names']),
            failure=shown['failure'],
        )
        for shown in answer['results']
    ]


def _answer(program: str, site: Path) -> dict[str, Any]:
    """What the driver page sends when a browser opens it."""
    handler = functools.partial(_Handler, directory=str(site))
    with _Server(('127.0.0.1', 0), handler) as server:
        threading.Thread(
            target=server.serve_forever,
            args=(0.02,),  # seconds until it notices that it is to stop
            daemon=True,
        ).start()
        address = f'http://127.0.0.1:{server.server_port}/driver.html'
        log = site.with_name('stderr')
        deadline, problem = time.monotonic() + _SECONDS, ''
        try:
            with _browsing(program, address, site.with_name('profile'), log) as process:
                while server.answer is None and not problem:
                    time.sleep(0.1)
                    if process.poll() is not None:
                        problem = f'it ended with exit code {process.returncode}'
                    elif time.monotonic() > deadline:
                        problem = f'there was none in {_SECONDS} seconds'
                if server.answer is None:
                    raise UserError(
                        f'Expected an answer of the page in {program}, but {problem}. '
                        'Its error output:\n'
                        f'{log.read_text("utf-8", "replace")[-1500:]}'
                    )
        finally:
            server.shutdown()
    return server.answer


@contextmanager
def _browsing(
    program: str, address: str, profile: Path, log: Path
) -> Iterator[subprocess.Popen]:
    """The browser at an address, with a profile; it prints into a log."""
    sandbox = ['--no-sandbox'] if os.geteuid() == 0 else []  # it refuses that user
    with (
        log.open('wb') as errors,
        subprocess.Popen(
            [program, *_FLAGS, *sandbox, f'--user-data-dir={profile}', address],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):  # it has ended
                os.killpg(process.pid, signal.SIGKILL)  # and all processes it started


class _Server(ThreadingHTTPServer):
    """Serves the driver page, and keeps what that sends."""

    answer: dict[str, Any] | None = None

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A browser that is stopped closes its connections.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(SimpleHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers['Content-Length']))
        self.send_response(204)
        self.end_headers()
        self.server.answer = json.loads(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Does not log requests."""
