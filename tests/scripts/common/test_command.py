"""How a command starts, logs, fails and stops."""

import contextlib
import io
import logging
import os
import subprocess
import sys
import threading

import pytest
from commands import ROOT, run_python
from tqdm.contrib.logging import logging_redirect_tqdm

from scripts.common import quiet

PROGRAM = """
import os, signal, sys
from scripts.common import command, model_settings
from trainers.run.signals import Stopped
from trainers.settings.config import ConfigError
from vision.errors import UserError

def throw(error): raise error
def tf(): return sys.modules['tensorflow']
def terminate():
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()

command.start('What it does.', model_settings.model_fields(),
              lambda arguments: PREPARE, lambda arguments: WORK, arguments=True)
"""


def program(work: str, prepare: str = 'arguments') -> str:
    """A command whose parts are expressions of `arguments`."""
    return PROGRAM.replace('PREPARE', prepare).replace('WORK', work)


def execute(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300
    )


def run(code: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    return run_python(('-c', code), *arguments, **options)


def test_arguments_that_are_no_flags_are_handed_on_wherever_they_stand():
    code = program('print(arguments, command.flags.FLAGS.run_dir)')
    done = run(code, 'a', '--run_dir=r', '-', '*', '--', '--run_dir=x')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout == "['a', '-', '*', '--run_dir=x'] r\n"


def test_a_library_that_set_up_logging_earlier_changes_no_message():
    earlier = 'import logging\nlogging.basicConfig(format="earlier: %(message)s")\n'
    done = run(earlier + program('logging.getLogger("a").info("Noted.")'))
    assert (done.returncode, done.stderr) == (0, 'Noted.\n')


@pytest.mark.parametrize(
    'work, code, message',
    [
        ('throw(KeyboardInterrupt)', 130, 'Interrupted.\n'),
        ('terminate()', 130, 'Interrupted.\n'),
        ('throw(Stopped("Saved."))', 75, 'Saved.\n'),
        ('throw(BrokenPipeError)', 1, ''),
        ('throw(UserError("It failed."))', 1, 'It failed.\n'),
        (
            'throw(UserError("It failed.", "run_dir", "epochs", "model", "labels"))',
            1,
            'It failed.\nSee --run_dir, --model and --labels.\n',
        ),
        (
            'throw(UserError("It failed.", "download"))',
            1,
            'It failed.\nSee --download.\n',
        ),
        (
            'throw(MemoryError("Unable to allocate 9 GiB"))',
            1,
            'Memory or disk space is exhausted: Unable to allocate 9 GiB. Use smaller '
            'batches or images, or free some.\nSee --image_size.\n',
        ),
        (
            'throw(tf().errors.ResourceExhaustedError(None, None, "Graph execution '
            'error:\\n\\nOOM when allocating tensor\\n\\t [[node]]"))',
            1,
            'Memory or disk space is exhausted: OOM when allocating tensor. Use '
            'smaller batches or images, or free some.\nSee --image_size.\n',
        ),
    ],
)
def test_how_a_command_ends(work, code, message):
    done = run(program(work))
    assert (done.returncode, done.stdout, done.stderr) == (code, '', message)


def test_usage_error_is_reported_before_tensorflow_is_imported():
    code = program('print(arguments)', 'throw(ConfigError("Expected another."))')
    done = run(code, python=('-X', 'importtime'))
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.endswith('\nExpected another.\n')
    assert 'tensorflow' not in done.stderr


def test_value_that_is_no_number_is_a_usage_error():
    done = run(program('print(arguments)'), '--temperature=much')
    assert (done.returncode, done.stdout) == (2, '')
    assert '--temperature=much' in done.stderr


def test_unexpected_error_shows_its_traceback():
    done = run(program('throw(ValueError("a bug"))'))
    assert done.returncode == 1
    assert done.stderr.startswith('Traceback')
    assert done.stderr.endswith('ValueError: a bug\n')


def test_reader_that_has_seen_enough_ends_the_command_silently():
    read, write = os.pipe()
    lines = []

    def read_a_line() -> None:
        with open(read) as reader:
            lines.append(reader.readline())

    thread = threading.Thread(target=read_a_line)
    thread.start()
    code = program('[print("x" * 100) for _ in range(100_000)]')
    done = run(code, stdout=write)
    thread.join()
    os.close(write)
    assert (done.returncode, done.stderr, lines) == (1, '', ['x' * 100 + '\n'])


@pytest.mark.slow
def test_closed_standard_output_ends_the_command_silently():
    code = program('[print("x" * 100) for _ in range(100_000)]')
    pipeline = '"$0" -c "$1" | head -n 1; echo "${PIPESTATUS[0]}"'
    done = execute('bash', '-c', pipeline, sys.executable, code)
    assert (done.stdout.split()[1:], done.stderr) == (['1'], '')


@pytest.mark.parametrize(
    'error, code, closed, shown',
    [
        ('Stopped("Message.")', 75, ('stdout', 'stderr'), {}),
        ('Stopped("Message.")', 75, ('stdout',), {'stderr': 'Message.\n'}),
        ('Stopped("Message.")', 75, ('stderr',), {'stdout': 'printed\n'}),
        ('KeyboardInterrupt', 130, ('stdout', 'stderr'), {}),
        ('ConfigError("Message.", "run_dir")', 2, ('stdout', 'stderr'), {}),
    ],
)
def test_pipes_whose_reader_has_gone_change_no_exit_code(error, code, closed, shown):
    read, write = os.pipe()
    os.close(read)
    work = program(f'[print("printed"), throw({error})]')
    done = run(work, **dict.fromkeys(closed, write))
    os.close(write)
    assert done.returncode == code
    assert {name: getattr(done, name) for name in shown} == shown


def test_unknown_flag_is_a_usage_error_where_standard_error_is_closed():
    pipeline = '"$0" -c "$1" --zebra 2>&1 | true; echo "${PIPESTATUS[0]}"'
    code = 'import time\ntime.sleep(0.2)\n' + program('print(arguments)')
    assert execute('bash', '-c', pipeline, sys.executable, code).stdout == '2\n'


WITHOUT_STDERR = program('[print(arguments), sys.stderr.write("x"), os.write(2, b"x")]')


def test_command_works_without_standard_error():
    # What Python does at its start after `2>&-`.
    closed = 'import os, sys\nos.close(2)\nsys.stderr = sys.__stderr__ = None\n'
    done = run(closed + WITHOUT_STDERR, 'a')
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a']\n", '')


@pytest.mark.slow
def test_command_works_where_the_shell_closes_standard_error():
    shell = '"$0" -c "$1" a 2>&-'
    done = execute('bash', '-c', shell, sys.executable, WITHOUT_STDERR)
    assert (done.returncode, done.stdout, done.stderr) == (0, "['a']\n", '')


def test_lists_are_printed_in_place_of_the_work():
    done = run(program('print("work")', 'print("prepared")'), '--list_recipes')
    assert (done.returncode, done.stderr) == (0, '')
    assert 'default ' in done.stdout
    assert not {'work', 'prepared'} & set(done.stdout.splitlines())


def test_help_names_exit_codes_and_lists():
    done = run(program('print("work")'), '--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert done.stdout.startswith('What it does.\nExit codes: 0 done, 1 ')
    for text in ('2 a usage error', '75 stopped', '130 interrupted', '--list_models'):
        assert text in done.stdout
    assert 'tensorflow' not in done.stderr


def test_log_messages_are_shown_while_native_code_is_suppressed():
    work = """
def work():
    import logging
    from scripts.common import quiet
    with quiet.native_stderr_suppressed() as stderr:
        os.write(2, b'noise')
        print('stream', file=stderr, flush=True)
        print('sys', file=sys.stderr, flush=True)
        logging.getLogger('scripts').info('logged')
    print('after', file=sys.stderr)
"""
    done = run(work + program('work()'))
    assert (done.returncode, done.stderr) == (0, 'stream\nsys\nlogged\nafter\n')


def test_log_messages_go_once_to_what_standard_error_is_at_the_time():
    log, shown = logging.Logger('log'), io.StringIO()
    log.addHandler(quiet.StderrHandler())
    with contextlib.redirect_stderr(shown):
        log.warning('alone')
        with logging_redirect_tqdm([log]):
            log.warning('beside a bar')
    assert shown.getvalue() == 'alone\nbeside a bar\n'


def test_unexpected_error_shows_what_was_suppressed():
    done = run("""
import os
from scripts.common import quiet
with quiet.native_stderr_suppressed():
    os.write(2, b'native message\\n')
    raise ValueError('a bug')
""")
    assert done.stderr.startswith('native message\nTraceback')
    assert done.stderr.endswith('ValueError: a bug\n')
