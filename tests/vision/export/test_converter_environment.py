"""The environment of the converter, which is complete or absent."""

import importlib
import logging
import os
import platform
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vision import files
from vision.errors import UserError
from vision.export import converter_environment
from vision.export.converter_environment import build, is_built
from vision.export.tensorflowjs import TensorFlowJs


def program(path: Path, lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n{lines}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture(autouse=True)
def machine(monkeypatch) -> None:
    """A machine that the converter supports."""
    importlib.import_module('filelock')  # which looks at the version when imported
    monkeypatch.setattr(sys, 'platform', 'linux')
    monkeypatch.setattr(platform, 'machine', lambda: 'x86_64')
    monkeypatch.setattr(sys, 'version_info', (3, 12, 0))
    monkeypatch.setattr(converter_environment, '_BYTES', 0)


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """The only folder on the PATH."""
    folder = tmp_path / 'path'
    folder.mkdir()
    monkeypatch.setenv('PATH', str(folder))
    return folder


# A Python with the pip, and an npm, that install nothing. They end with exit code 3
# when $FAILS is in their arguments.
ENDS = 'case "$*" in *"${FAILS:-nowhere}"*) exit 3;; esac\n'
INTERPRETER = (
    '[ "$2" ] || exit 0; echo "path <$PYTHONPATH>"; read line && exit 1\n'
    f'{ENDS}'
    'if [ "$2" = venv ]; then /bin/mkdir -p "$3/bin"; /bin/cp "$0" "$3/bin/python"; fi'
)
SCRIPTS = (
    'tfjs/dist/tf.es2017.min.js',
    'tfjs-backend-wasm/dist/tf-backend-wasm.es2017.min.js',
    'tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm',
    'tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm',
)
NPM = f'[ -f package-lock.json ] || exit 1\n{ENDS}' + '\n'.join(
    f'f=node_modules/@tensorflow/{name}; /bin/mkdir -p "${{f%/*}}"; echo {name} > $f'
    for name in SCRIPTS
)


@pytest.fixture
def programs(path, monkeypatch) -> Iterator[Path]:
    """The folder on the PATH, with programs that install in milliseconds."""
    program(path / 'node', 'exit 0')
    program(path / 'npm', NPM)
    program(path / 'python3.12', INTERPRETER)
    monkeypatch.setattr(sys, 'executable', str(path / 'python3.12'))
    monkeypatch.setenv('PYTHONPATH', '/of/this/environment')
    (path / 'typed').write_text('typed\n')
    before = os.dup(0)
    with (path / 'typed').open() as typed:
        os.dup2(typed.fileno(), 0)
    yield path
    os.dup2(before, 0)
    os.close(before)


def test_an_environment_is_built_once_and_under_a_lock(tmp_path, programs, monkeypatch):
    locked = []

    class Building(logging.Handler):
        def emit(self, record):
            with pytest.raises(files.LockedError):
                with files.locked(tmp_path / 'converter.lock', wait=False):
                    pass
            locked.append(record.getMessage())

    handler = Building()
    logger = logging.getLogger('vision.export.converter_environment')
    monkeypatch.setattr(logger, 'handlers', [handler])
    monkeypatch.setattr(logger, 'level', logging.INFO)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'converter'
    build(Path('converter'))
    assert is_built(folder)
    assert locked == [
        f'Building the converter in {folder}: 2.7 GB, some minutes. '
        f'Log: {tmp_path / "converter.log"}'
    ]
    assert sorted(os.listdir(tmp_path)) == ['converter', 'converter.log', 'path']
    assert sorted(os.listdir(folder)) == ['pins.sha256', 'python', 'scripts']
    assert {p.name: p.read_text() for p in (folder / 'scripts').iterdir()} == {
        Path(name).name: f'{name}\n' for name in SCRIPTS
    }
    log = (tmp_path / 'converter.log').read_text()
    assert log.count('path <>\n') == 3
    commands = re.findall(r'^\$ (.*)\npath', log, re.MULTILINE)
    assert [command.split()[1:3] for command in commands] == [
        ['-m', 'venv'],
        ['-m', 'pip'],
        ['-c', 'import'],
    ]
    assert '--no-deps' in commands[1] and '--only-binary=:all:' in commands[1]
    assert re.search(r'--requirement \S+/converter/requirements\.txt$', commands[1])
    assert '$ npm ci --ignore-scripts' in log
    build(folder)
    assert len(locked) == 1


def test_an_environment_without_its_interpreter_or_of_other_versions_is_built_anew(
    tmp_path, programs
):
    folder = tmp_path / 'converter'
    folder.mkdir()
    build(folder)
    (folder / converter_environment.PYTHON).unlink()
    assert not is_built(folder)
    build(folder)
    (folder / 'pins.sha256').write_text('0' * 64)
    (folder / 'scripts' / 'old.js').touch()
    build(folder)
    assert is_built(folder)
    assert not (folder / 'scripts' / 'old.js').exists()


@pytest.mark.parametrize('step', ['-m venv', '-m pip', 'import tensorflowjs', 'ci --'])
def test_a_step_that_fails_leaves_the_earlier_environment(
    tmp_path, programs, monkeypatch, step
):
    folder = tmp_path / 'converter'
    folder.mkdir()
    (folder / 'pins.sha256').write_text('0' * 64)
    monkeypatch.setenv('FAILS', step)
    with pytest.raises(UserError, match='ended with exit code 3. The end of'):
        build(folder)
    assert not is_built(folder)
    assert os.listdir(folder) == ['pins.sha256']
    assert sorted(os.listdir(tmp_path)) == ['converter', 'converter.log', 'path']


def test_a_folder_that_cannot_be_made_is_an_error_of_the_user(tmp_path, path):
    (tmp_path / 'file').touch()
    folder = tmp_path / 'file' / 'converter'
    with pytest.raises(UserError) as error:
        build(folder)
    assert re.fullmatch(
        re.escape(f'Cannot build the converter in {folder}: ')
        + r'\[Errno \d+\] .*\. Free space there, or choose another folder\.',
        str(error.value),
    )


def test_a_missing_environment_is_reported_with_the_flag(tmp_path, path):
    program(path / 'node', 'echo v18.0.0')
    with pytest.raises(UserError) as error:
        TensorFlowJs(tmp_path / 'nothing').check_available()
    assert str(error.value) == (
        'Expected the converter to TensorFlow.js, which needs another version of '
        f'TensorFlow than this environment has, in {tmp_path / "nothing"}. Install it '
        'once (2.7 GB, some minutes).'
    )
    assert error.value.parameters == ('install_converter',)


@pytest.mark.parametrize('version', ['v17.9.1', 'not a version', None])
def test_a_missing_node_is_reported_with_advice(tmp_path, path, version):
    if version:
        program(path / 'node', f'echo {version}')
    with pytest.raises(
        UserError,
        match=r'Node\.js 18 or newer as node on the PATH, received '
        rf'{version or "none"}\. Install it \(https://nodejs\.org\)',
    ):
        TensorFlowJs(tmp_path).check_available()


def test_a_half_built_environment_is_none(tmp_path):
    interpreter = tmp_path / converter_environment.PYTHON
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    (tmp_path / converter_environment.SCRIPTS).mkdir()
    assert not is_built(tmp_path)


def test_an_environment_of_other_versions_is_none(tmp_path):
    interpreter = tmp_path / converter_environment.PYTHON
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(sys.executable)
    (tmp_path / 'pins.sha256').write_text('0' * 64)
    assert not is_built(tmp_path)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    folder = tmp_path / 'documents'
    folder.mkdir()
    (folder / 'letter.txt').write_text('text')
    with pytest.raises(
        UserError, match='received something else. Choose another folder'
    ):
        build(folder)
    assert os.listdir(folder) == ['letter.txt']
    with pytest.raises(UserError, match=r'documents/letter\.txt to be a new folder'):
        build(folder / 'letter.txt')
    assert (folder / 'letter.txt').read_text() == 'text'


@pytest.mark.parametrize('missing', ['node', 'npm'])
def test_a_missing_program_is_named(tmp_path, path, missing):
    for name in {'node', 'npm'} - {missing}:
        program(path / name, 'exit 0')
    with pytest.raises(UserError, match=f'Expected {missing} on the PATH'):
        build(tmp_path / 'converter')
    assert not (tmp_path / 'converter').exists()


@pytest.mark.parametrize(
    'system, processor', [('linux', 'aarch64'), ('darwin', 'x86_64')]
)
def test_a_machine_without_packages_is_refused_first(
    tmp_path, path, monkeypatch, system, processor
):
    monkeypatch.setattr(sys, 'platform', system)
    monkeypatch.setattr(platform, 'machine', lambda: processor)
    with pytest.raises(
        UserError, match=f'received {system} on {processor}, which its packages'
    ) as error:
        build(tmp_path / 'a' / 'converter')
    assert error.value.parameters == ('formats',)
    assert not (tmp_path / 'a').exists()


def test_a_full_disk_is_reported_before_the_installation(tmp_path, path, monkeypatch):
    monkeypatch.setattr(converter_environment, '_BYTES', 10**21)
    with pytest.raises(
        UserError,
        match=r'needs 1000000000000 GB in .*GB are free. '
        'Free space, or choose another',
    ):
        build(tmp_path / 'converter')
    assert not (tmp_path / 'converter').exists()


def test_with_a_python_that_is_too_new_an_older_one_is_searched(
    tmp_path, path, monkeypatch
):
    monkeypatch.setattr(sys, 'version_info', (3, 13, 0))
    program(path / 'python3.12', 'exit 127')  # what a version manager leaves there
    with pytest.raises(
        UserError,
        match='python3.10, python3.11, python3.12 on the '
        'PATH.*does not run on Python 3.13',
    ):
        build(tmp_path / 'converter')


def test_the_newest_python_that_runs_is_taken(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(sys, 'version_info', (3, 13, 0))
    monkeypatch.setattr(sys, 'executable', 'nothing')
    program(programs / 'python3.12', 'exit 127')
    program(programs / 'python3.11', INTERPRETER)
    program(programs / 'python3.10', INTERPRETER)
    monkeypatch.setenv('FAILS', '-m venv')
    with pytest.raises(UserError, match=r'python3\.11 -m venv \S+\.\.\. ended'):
        build(tmp_path / 'converter')


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_nothing(
    tmp_path, path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    for name in ('node', 'npm'):
        program(path / name, 'exit 0')
    monkeypatch.setattr(sys, 'executable', str(path / 'broken'))
    lines = [f'line {number}' for number in range(20)]
    program(path / 'broken', f'echo "{chr(10).join(lines)}"; echo no room >&2; exit 3')
    folder = tmp_path / 'converter'
    # What a killed build has left.
    (tmp_path / 'converter.partial' / 'python').mkdir(parents=True)
    with pytest.raises(UserError) as error:
        build(folder)
    command = f'{path / "broken"} -m venv {folder}.partial/python'
    shown = '\n'.join([*lines[-14:], 'no room'])
    assert str(error.value) == (
        f'Building the converter failed: {command}... ended with exit code 3. '
        f'The end of {folder}.log:\n{shown}\n'
        'Correct the cause and run the command again.'
    )
    written = (tmp_path / 'converter.log').read_text()
    assert written == '\n'.join([f'$ {command}', *lines, 'no room', ''])
    assert not is_built(folder)
    assert sorted(os.listdir(tmp_path)) == ['converter.log', 'path']
    assert f'Log: {folder}.log' in caplog.text
