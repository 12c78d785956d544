"""The environment of a run: machine, versions, code and command line."""

import contextlib
import json
import os
import platform
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from trainers.storage.run_directory import RunDirectory

_CPUINFO = Path('/proc/cpuinfo')


class Gpu(NamedTuple):
    """A GPU that TensorFlow can use; compute capability as (major, minor)."""

    name: str
    compute_capability: tuple[int, int] | None


def describe() -> dict[str, Any]:
    """Machine, versions, code and command line, in JSON values; never fails."""
    return {
        'started': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        'command': sys.argv,
        'commit': _commit(),
        'python': platform.python_version(),
        'platform': platform.platform(),
        'tensorflow': tf.__version__,
        'keras': keras.__version__,
        'numpy': np.__version__,
        'cpu': {
            'model': cpu_model(),
            'cores': os.cpu_count(),
            # Containers and batch systems give fewer.
            'usable_cores': len(os.sched_getaffinity(0))
            if hasattr(os, 'sched_getaffinity')
            else os.cpu_count(),
            'bfloat16': supports_bfloat16_cpu(),
        },
        'gpus': [gpu._asdict() for gpu in gpus()],
        'memory_gib': _memory_gib(),
    }


def record(directory: RunDirectory) -> None:
    """Adds this start to environment.json, which lists every start of the run."""
    starts = []
    with contextlib.suppress(FileNotFoundError, ValueError):
        starts = json.loads(directory.environment.read_bytes())
    directory.write_json(directory.environment, [*starts, describe()])


def gpus() -> list[Gpu]:
    """The GPUs that TensorFlow sees."""
    devices = tf.config.list_physical_devices('GPU')
    details = map(tf.config.experimental.get_device_details, devices)
    return [
        Gpu(known.get('device_name', device.name), known.get('compute_capability'))
        for device, known in zip(devices, details)
    ]


def supports_bfloat16_cpu() -> bool:
    """Whether the CPU multiplies in bfloat16; elsewhere that is slower than float32.

    Known on Linux only, where the kernel lists the instructions.
    """
    flags = (_cpuinfo('flags') or _cpuinfo('Features') or '').split()
    return not {'avx512_bf16', 'amx_bf16', 'bf16'}.isdisjoint(flags)


def _cpuinfo(key: str) -> str | None:
    try:
        text = _CPUINFO.read_text(errors='replace')
    except OSError:
        return None
    line = re.search(rf'^{key}[ \t]*:(.*)$', text, re.MULTILINE)
    return line[1].strip() if line else None


def cpu_model() -> str:
    """The processor's name."""
    return _cpuinfo('model name') or platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(
            os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1
        )
    except (ValueError, OSError):
        return None


def _commit() -> dict[str, Any] | None:
    """The commit of this code and whether tracked files differ from it."""
    code = Path(__file__).resolve()
    try:
        # An installed copy may lie in the checkout of another project.
        _git(code.parent, 'ls-files', '--error-unmatch', code.name)
        commit = _git(code.parent, 'rev-parse', 'HEAD')
        changes = _git(code.parent, 'status', '--porcelain', '--untracked-files=no')
    except (OSError, subprocess.SubprocessError):
        return None
    return {'hash': commit, 'dirty': bool(changes)}


def _git(folder: Path, *arguments: str) -> str:
    # Without optional locks, which could make a concurrent commit fail.
    return subprocess.run(
        ['git', '--no-optional-locks', *arguments],
        cwd=folder,
        capture_output=True,
        encoding='utf-8',
        errors='replace',
        timeout=30,
        check=True,
    ).stdout.strip()
