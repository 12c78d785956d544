"""Progress bars of tqdm, and plain lines where no bar can be drawn."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from tqdm.auto import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm
from tqdm.notebook import tqdm_notebook

IN_NOTEBOOK = issubclass(tqdm, tqdm_notebook)

# Both fit 80 columns with loss, accuracy and speed.
_BAR = '{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{remaining}{postfix}]'
_LINE = '{desc} {percentage:3.0f}% {n_fmt}/{total_fmt} [{remaining}{postfix}]'


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


class _Lines(tqdm):
    """Writes a plain line where tqdm would draw its bar anew."""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        # A closed pipe does not end the run.
        with contextlib.suppress(OSError, ValueError):
            if msg is None:
                print(self, file=self.fp, flush=True)
        return False  # nothing to erase

    def clear(self, nolock: bool = False) -> None:
        """There is nothing to erase."""


class Progress(contextlib.ExitStack):
    """The progress of a run: a bar on a terminal or in a notebook, else plain lines.

    Messages of the log do not tear the bar while the context lasts.

    Args:
        total_steps: of the whole run.
        stream: standard error by default.
        interval: seconds between two plain lines.
    """

    def __init__(
        self, total_steps: int, stream: TextIO | None = None, interval: float = 30.0
    ):
        super().__init__()
        self._total_steps = total_steps
        self._stream = stream or sys.stderr
        self._interval = interval
        self._bar: tqdm | None = None
        if self._stream.isatty():
            self.enter_context(logging_redirect_tqdm())
        self.callback(self.finish)

    def update(
        self, step: int, title: str = '', fields: Mapping[str, str] | None = None
    ) -> None:
        """Shows the state after a step; cheap enough to be called at every step.

        The remaining time follows from all time since the bar was started.

        Args:
            step: steps done.
            title: in front of the bar.
            fields: metrics by name.
        """
        metrics = ', '.join(f'{name}={text}' for name, text in (fields or {}).items())
        if self._bar is None:
            self._bar = self._create(step, title, metrics)
        self._bar.set_description_str(title, refresh=False)
        self._bar.set_postfix_str(metrics, refresh=False)
        self._bar.update(step - self._bar.n)

    def expect(self, total_steps: int) -> None:
        """Changes the number of steps of the run; the next update starts a new bar."""
        self.finish()
        self._total_steps = total_steps

    def finish(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _create(self, step: int, title: str, metrics: str) -> tqdm:
        options: dict[str, Any] = {
            'desc': title,
            'postfix': metrics,
            'initial': step,  # a resumed run does not begin at step 0
            'total': self._total_steps,
            'smoothing': 0,  # the average over all time
            'miniters': 1,
            'leave': False,
            'file': self._stream,
        }
        if IN_NOTEBOOK or self._stream.isatty():
            return tqdm(**options, bar_format=_BAR, dynamic_ncols=True)
        return _Lines(
            **options,
            bar_format=_LINE,
            mininterval=self._interval,
            maxinterval=self._interval,
            delay=1e-9,  # the first line comes after an interval
        )


def task_bar(title: str, total: int | None, **options: Any) -> tqdm:
    """A bar for a task before training, on a terminal or in a notebook only.

    Args:
        title: in front of the bar.
        total: how many units the task has, where that is known.
        **options: of tqdm.
    """
    return tqdm(
        desc=title, total=total, disable=False if IN_NOTEBOOK else None, **options
    )


class DownloadBars(contextlib.ExitStack):
    """A progress bar for each of several downloads, one after the other."""

    _label = ''
    _bar: tqdm | None = None

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if self._bar is None or self._label != label:
            self.close()
            self._label = label
            self._bar = self.enter_context(
                task_bar(label, total, unit='B', unit_scale=True)
            )
        self._bar.update(done - self._bar.n)
