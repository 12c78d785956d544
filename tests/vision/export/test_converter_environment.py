"""The environment of the converter, which is complete or absent."""

import importlib
import logging
import os
import platform
import stat
import sys
from pathlib import Path

import pytest

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


def test_a_missing_environment_is_reported_with_the_flag(tmp_path, path):
    program(path / 'node', 'echo v20.1.0')
    with pytest.raises(UserError, match=r'Install it once \(2\.7 GB') as error:
        TensorFlowJs(tmp_path / 'nothing').check_available()
    assert error.value.parameters == ('install_converter',)


@pytest.mark.parametrize('version', ['v16.20.0', 'not a version', None])
def test_a_missing_node_is_reported_with_advice(tmp_path, path, version):
    if version:
        program(path / 'node', f'echo {version}')
    with pytest.raises(UserError, match=rf'Node\.js 18 or newer.*{version or "none"}'):
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
    ):
        build(tmp_path / 'a' / 'converter')
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


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_nothing(
    tmp_path, path, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    for name in ('node', 'npm'):
        program(path / name, 'exit 0')
    monkeypatch.setattr(sys, 'executable', str(path / 'broken'))
    program(path / 'broken', 'echo no room for packages; exit 3')
    folder = tmp_path / 'converter'
    # What a killed build has left.
    (tmp_path / 'converter.partial' / 'python').mkdir(parents=True)
    with pytest.raises(
        UserError, match=r'ended with exit code 3[\s\S]*no room for packages'
    ):
        build(folder)
    assert not is_built(folder)
    assert sorted(os.listdir(tmp_path)) == ['converter.log', 'path']
    assert f'Log: {folder}.log' in caplog.text
