"""SIGTERM and SIGINT as a request to stop, which the loop checks between calls."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class Stopped(Exception):
    """A signal stopped the run; the message says what is saved."""


class StopRequest:
    """Whether a signal asked the run to stop; true once it did.

    Attributes:
        signal_name: of the signal; empty before.
    """

    signal_name: str = ''

    def __bool__(self) -> bool:
        return bool(self.signal_name)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Records the first SIGTERM or SIGINT; a second one ends the process at once.

    Python delivers signals to the main thread only: elsewhere nothing is recorded.
    """
    request = StopRequest()
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT) if in_main_thread else ()

    def record(number: int, *_: object) -> None:
        request.signal_name = signal.Signals(number).name
        for other in numbers:
            signal.signal(other, signal.SIG_DFL)

    with contextlib.ExitStack() as restored:
        for number in numbers:
            restored.callback(signal.signal, number, signal.getsignal(number))
        for number in numbers:
            signal.signal(number, record)
        yield request
