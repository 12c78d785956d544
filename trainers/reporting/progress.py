"""One line that says how a run is doing, and log messages that do not tear it."""

import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import TextIO

_REDRAW = 0.1  # Seconds: more often than that nobody can read.


def format_duration(seconds: float) -> str:
    """'42 s', '3 m 05 s', '1 h 02 m', '2 d 03 h'; the last part is rounded."""
    if seconds != seconds or seconds in (float('inf'), float('-inf')):
        return '?'
    whole = max(round(seconds), 0)
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60} m {whole % 60:02d} s'
    minutes = round(whole / 60)
    if minutes < 24 * 60:
        return f'{minutes // 60} h {minutes % 60:02d} m'
    hours = round(whole / 3600)
    return f'{hours // 24} d {hours % 24:02d} h'


def format_line(
    step: int,
    total_steps: int,
    fields: Mapping[str, str],
    left: float | None = None,
    width: int | None = None,
) -> str:
    """' 42 %  epoch 3/7  step 420/1,000  loss 2.31  3 m 05 s left'.

    Args:
        fields: name -> value as it is to be shown, in this order.
        left: seconds to go, None while nobody can tell.
        width: columns to cut the line to.
    """
    percent = 100 * step // total_steps if total_steps else 100
    parts = [f'{percent:3d} %', f'step {step:,}/{total_steps:,}']
    parts += [f'{name} {value}' for name, value in fields.items()]
    if left is not None:
        parts.append(f'{format_duration(left)} left')
    return '  '.join(parts)[:width]


class Progress:
    """The progress of a run: redrawn in place on a terminal, else a line now and then.

    Use it as a context manager, so that it leaves the terminal clean.

    Args:
        total_steps: of the whole run.
        stream: standard error by default.
        interval: seconds between two lines where there is no terminal.
    """

    def __init__(
        self,
        total_steps: int,
        stream: TextIO | None = None,
        interval: float = 30.0,
    ):
        self._total_steps = total_steps
        self._stream = sys.stderr if stream is None else stream
        self._interval = _REDRAW if self._stream.isatty() else interval
        self._terminal = self._stream.isatty()
        self._lock = threading.RLock()  # Messages may come from any thread.
        self._line: tuple[int, Mapping[str, str], float | None] | None = None
        self._drawn = 0  # Columns on the terminal now.
        self._first: tuple[int, float] | None = None
        self._last = time.monotonic() - (_REDRAW if self._terminal else 0)

    def update(self, step: int, fields: Mapping[str, str]) -> None:
        """Shows the state after a step; cheap enough to be called at every step.

        The time left follows from all time since the first call, pauses included.
        """
        now = time.monotonic()
        with self._lock:
            self._line = (step, dict(fields), self._left(step, now))
            if now - self._last >= self._interval:
                self._last = now
                self._draw()

    def expect(self, total_steps: int) -> None:
        """Says anew how many steps the run has."""
        with self._lock:
            self._total_steps = total_steps

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """The terminal is free for other messages meanwhile."""
        with self._lock:
            shown = self._drawn > 0
            self._erase()
            try:
                yield
            finally:
                if shown:
                    self._draw()

    def finish(self) -> None:
        """Erases the line for good; the run's last words belong to the log."""
        with self._lock:
            self._erase()
            self._line = None

    def __enter__(self) -> 'Progress':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.finish()

    def _left(self, step: int, now: float) -> float | None:
        if self._first is None:  # A resumed run does not begin at step 0.
            self._first = (step, now)
        first_step, first_time = self._first
        if step <= first_step:
            return None
        return (now - first_time) / (step - first_step) * (self._total_steps - step)

    def _draw(self) -> None:
        if self._line is None:
            return
        step, fields, left = self._line
        if not self._terminal:
            self._write(format_line(step, self._total_steps, fields, left) + '\n')
            return
        # The last column stays free: some terminals wrap when it is written to.
        width = max(self._columns() - 1, 0)
        line = format_line(step, self._total_steps, fields, left, width)
        self._write('\r' + line.ljust(min(self._drawn, width)))
        self._drawn = len(line)

    def _erase(self) -> None:
        if self._drawn:
            self._write('\r' + ' ' * self._drawn + '\r')
            self._drawn = 0

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # The terminal was closed: no reason for the run to end.
            pass


class ConsoleHandler(logging.StreamHandler):
    """Logs to a stream, standard error by default, around the progress line.

    Set `progress` while there is one on the same terminal.
    """

    progress: Progress | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.progress is None:
            super().emit(record)
        else:
            with self.progress.hidden():
                super().emit(record)
