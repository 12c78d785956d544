"""The first signal is recorded, and handlers are restored."""

import concurrent.futures
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainers.run.signals import stop_on_signals

ROOT = Path(__file__).resolve().parents[3]
SIGNALS = [signal.SIGTERM, signal.SIGINT]


def handlers() -> list:
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize('number', SIGNALS)
def test_the_first_signal_is_recorded_and_handlers_are_restored(number):
    before = handlers()
    with stop_on_signals() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
        assert stop.signal_name == number.name
        assert handlers() == [signal.SIG_DFL, signal.SIG_DFL]
    assert handlers() == before


def test_handlers_are_restored_after_an_error():
    before = handlers()
    with pytest.raises(OSError):
        with stop_on_signals():
            raise OSError
    assert handlers() == before


@pytest.mark.parametrize('first', SIGNALS)
@pytest.mark.parametrize('second', SIGNALS)
def test_second_ends_the_process(first, second):
    code = (
        'import os\n'
        'from trainers.run.signals import stop_on_signals\n'
        'with stop_on_signals():\n'
        f'    os.kill(os.getpid(), {first.value})\n'
        '    print("went on", flush=True)\n'
        f'    os.kill(os.getpid(), {second.value})\n'
        '    print("too far", flush=True)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (-second, 'went on\n')


def test_outside_the_main_thread_nothing_is_recorded():
    before = handlers()
    with concurrent.futures.ThreadPoolExecutor() as pool:

        def stopped() -> bool:
            with stop_on_signals() as stop:
                return bool(stop)

        assert pool.submit(stopped).result() is False
    assert handlers() == before
