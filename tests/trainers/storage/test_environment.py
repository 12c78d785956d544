"""What is written down about the machine and the code."""

import json
import os
import platform
import shutil
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from trainers.storage import environment
from trainers.storage.run_directory import RunDirectory


def test_describes_this_machine():
    described = environment.describe()
    assert described['python'] == platform.python_version()
    assert described['tensorflow'] == tf.__version__
    assert described['command'] == sys.argv
    assert described['cpu']['model']
    assert 1 <= described['cpu']['usable_cores'] <= os.cpu_count()
    assert described['memory_gib'] > 0.5
    assert json.loads(json.dumps(described))['numpy'] == np.__version__
    started = datetime.fromisoformat(described['started'])
    assert abs((datetime.now(timezone.utc) - started).total_seconds()) < 60


def test_every_start_is_recorded_even_after_damage(tmp_path):
    directory = RunDirectory(tmp_path)
    for count in (1, 2):
        environment.record(directory)
        starts = json.loads(directory.environment.read_bytes())
        assert len(starts) == count and starts[-1]['command'] == sys.argv
    directory.environment.write_text('[{"started": ')
    environment.record(directory)
    assert len(json.loads(directory.environment.read_bytes())) == 1


def test_gpus_are_those_of_tensorflow():
    gpus = environment.gpus()
    assert len(gpus) == len(tf.config.list_physical_devices('GPU'))
    assert all(gpu.name and gpu.compute_capability >= (1, 0) for gpu in gpus)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('model name\t: A\nflags\t\t: fpu avx512_bf16 sse\n', True),
        ('flags\t\t: fpu amx_bf16 amx_tile\n', True),
        ('Features\t: fp asimd bf16 i8mm\n', True),
        ('flags\t\t: fpu avx512f sse\n', False),
        ('flags\t\t: fpu\nflags\t\t: amx_bf16\n', False),
        ('bugs\t\t: bf16\n', False),
        ('', False),
        (None, False),
    ],
)
def test_bfloat16_follows_the_instructions(text, expected, tmp_path, monkeypatch):
    cpuinfo = tmp_path / 'cpuinfo'
    if text is not None:
        cpuinfo.write_text(text)
    monkeypatch.setattr(environment, '_CPUINFO', cpuinfo)
    assert environment.supports_bfloat16_cpu() is expected


def git(folder: Path, *arguments: str) -> str:
    identity = ['-c', 'user.name=A', '-c', 'user.email=a@example.org']
    done = subprocess.run(
        ['git', *identity, *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif(shutil.which('git') is None, reason='needs git')
def test_commit_of_a_checkout(tmp_path, monkeypatch):
    code = tmp_path / 'code.py'
    code.write_text('1\n')
    monkeypatch.setattr(environment, '__file__', str(code))
    assert environment.describe()['commit'] is None  # Not in a checkout.
    git(tmp_path, 'init', '--quiet')
    assert environment.describe()['commit'] is None  # In one, but not of it.
    git(tmp_path, 'add', 'code.py')
    git(tmp_path, 'commit', '--quiet', '--message', 'First')
    commit = git(tmp_path, 'rev-parse', 'HEAD')
    assert environment.describe()['commit'] == {'hash': commit, 'dirty': False}
    (tmp_path / 'notes.txt').touch()
    assert environment.describe()['commit'] == {'hash': commit, 'dirty': False}
    code.write_text('2\n')
    assert environment.describe()['commit'] == {'hash': commit, 'dirty': True}


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert environment.describe()['commit'] is None
