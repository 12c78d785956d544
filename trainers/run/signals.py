"""Turning SIGTERM and SIGINT into a wish that the loop fulfils at its next pause."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Stopped(Exception):
    """A signal stopped the run; the message says what is saved."""


class StopRequest:
    """Whether somebody asked the run to stop, and by which signal."""

    signal_name: str = ''

    def __bool__(self) -> bool:
        return bool(self.signal_name)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Catches the first SIGTERM or SIGINT; a second one ends the process at once."""
    request = StopRequest()
    signals = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in signals}

    def remember(number: int, frame: FrameType | None) -> None:
        del frame
        request.signal_name = signal.Signals(number).name
        for each in signals:
            signal.signal(each, signal.SIG_DFL)

    for number in signals:
        signal.signal(number, remember)
    try:
        yield request
    finally:
        for number in signals:
            signal.signal(number, before[number])
