"""The Python environment of the converter to TensorFlow.js.

It needs other versions of TensorFlow and protobuf than training does, so it has an
environment in a folder of its own, next to the scripts that the exported page loads.
"""

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from vision.errors import UserError
from vision.files import locked

DEFAULT = Path('.tapestry', 'tensorflowjs')
# In the folder of the environment: the interpreter, which has the converter, and the
# scripts of TensorFlow.js that the page loads.
PYTHON = Path('python', 'bin', 'python')
SCRIPTS = 'scripts'

_log = logging.getLogger(__name__)

_PINS = Path(__file__).parent / 'converter'
_PINNED = ('requirements.txt', 'package.json', 'package-lock.json')
_VERSIONS = ((3, 10), (3, 11), (3, 12))  # Pythons that TensorFlow 2.19 supports
# Platforms with wheels of TensorFlow Decision Forests, which the converter imports.
_MACHINES = (('linux', 'x86_64'), ('darwin', 'arm64'))
_BYTES = 6 * 10**9  # needed during the installation; 2.7 GB remain
_MARKER = 'pins.sha256'  # is written when the environment is complete
_SCRIPTS = (
    'node_modules/@tensorflow/tfjs/dist/tf.es2017.min.js',
    'node_modules/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.es2017.min.js',
    'node_modules/@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm',
    'node_modules/@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm',
)


def is_built(folder: Path) -> bool:
    """Whether the environment is complete, in the versions that are pinned now."""
    marker = folder / _MARKER
    return (
        marker.is_file()
        and marker.read_text('utf-8') == _pins()
        and (folder / PYTHON).exists()
    )


def build(folder: Path) -> None:
    """Installs the environment, unless it is complete already.

    It is made in another folder and renamed as a whole, so that an interrupted
    installation is never used. The output of pip and npm goes to `<folder>.log`.

    Raises:
        UserError: the machine or an installed program does not suffice, or pip or npm
            fails.
    """
    if (sys.platform, platform.machine()) not in _MACHINES:
        raise UserError(
            'Expected Linux on x86_64 or macOS on Apple silicon to build the converter '
            f'to TensorFlow.js, received {sys.platform} on {platform.machine()}, which '
            'its packages do not support. Leave tensorflowjs out of the formats, or '
            'export the run on another computer.',
            'formats',
        )
    folder = folder.absolute()
    try:
        with locked(folder.with_name(f'{folder.name}.lock')):
            if not is_built(folder):
                _check_place(folder)
                _install(folder, _interpreter())
    except OSError as error:
        raise UserError(
            f'Cannot build the converter in {folder}: {error}. Free space there, or '
            'choose another folder.'
        ) from error


def _check_place(folder: Path) -> None:
    if (
        folder.exists()
        and not (folder / _MARKER).is_file()
        and (not folder.is_dir() or any(folder.iterdir()))
    ):
        raise UserError(
            f'Expected {folder} to be a new folder or one with an earlier converter, '
            'received something else. Choose another folder.'
        )
    free = shutil.disk_usage(folder.parent).free
    if free < _BYTES:
        raise UserError(
            f'Building the converter needs {_BYTES / 1e9:.0f} GB in {folder.parent}, '
            f'where {free / 1e9:.1f} GB are free. Free space, or choose another folder.'
        )


def _interpreter() -> str:
    """A Python that the converter's TensorFlow supports: this one, or one on PATH."""
    if sys.version_info[:2] in _VERSIONS:
        return sys.executable
    names = [f'python{major}.{minor}' for major, minor in _VERSIONS]
    for interpreter in filter(None, map(shutil.which, reversed(names))):
        # Version managers put names on the PATH that may start no Python.
        if not subprocess.run(
            [interpreter, '-c', ''], capture_output=True, check=False
        ).returncode:
            return interpreter
    raise UserError(
        f'Expected one of {", ".join(names)} on the PATH: TensorFlow 2.19, which the '
        'converter to TensorFlow.js needs, does not run on Python '
        f'{sys.version_info[0]}.{sys.version_info[1]}. Install one of them.'
    )


def _install(folder: Path, interpreter: str) -> None:
    for program in ('node', 'npm'):
        if shutil.which(program) is None:
            raise UserError(
                f'Expected {program} on the PATH, for TensorFlow.js. Install Node.js '
                '18 or newer, which includes npm (https://nodejs.org).'
            )
    log = folder.with_name(f'{folder.name}.log')
    staging = folder.with_name(f'{folder.name}.partial')
    _log.info(
        'Building the converter in %s: 2.7 GB, some minutes. Log: %s', folder, log
    )
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        with log.open('wb') as output:
            _install_converter(staging, interpreter, output)
            _install_scripts(staging, output)
        (staging / _MARKER).write_text(_pins(), 'utf-8')
        if folder.exists():
            shutil.rmtree(folder)
        staging.rename(folder)
    except subprocess.CalledProcessError as error:
        tail = '\n'.join(log.read_text('utf-8', 'replace').splitlines()[-15:])
        raise UserError(
            f'Building the converter failed: {" ".join(error.cmd[:4])}... ended with '
            f'exit code {error.returncode}. The end of {log}:\n{tail}\n'
            'Correct the cause and run the command again.'
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _install_converter(staging: Path, interpreter: str, log: BinaryIO) -> None:
    _run([interpreter, '-m', 'venv', str(staging / 'python')], staging, log)
    # The list is complete, and stricter than the requirements of the packages.
    _run(
        [
            *(str(staging / PYTHON), '-m', 'pip', 'install', '--no-deps'),
            *('--no-cache-dir', '--only-binary=:all:', '--no-input'),
            '--disable-pip-version-check',
            *('--requirement', str(_PINS / 'requirements.txt')),
        ],
        staging,
        log,
    )
    _run([str(staging / PYTHON), '-c', 'import tensorflowjs'], staging, log)


def _install_scripts(staging: Path, log: BinaryIO) -> None:
    """Keeps four of the files that npm installs and checks by the lock file."""
    work = shutil.copytree(_PINS, staging / 'npm')
    _run(
        [
            *('npm', 'ci', '--ignore-scripts', '--no-audit', '--no-fund'),
            *('--cache', str(work / 'cache')),
        ],
        work,
        log,
    )
    (staging / SCRIPTS).mkdir()
    for name in _SCRIPTS:
        shutil.copyfile(work / name, staging / SCRIPTS / Path(name).name)
    shutil.rmtree(work)


def _run(command: Sequence[str], folder: Path, log: BinaryIO) -> None:
    log.write(f'$ {" ".join(command)}\n'.encode('utf-8', 'surrogateescape'))
    log.flush()
    subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        check=True,
        # Settings such as PYTHONPATH are of this environment.
        env={k: v for k, v in os.environ.items() if not k.startswith('PYTHON')},
    )


def _pins() -> str:
    return hashlib.sha256(
        b'\n'.join((_PINS / name).read_bytes() for name in _PINNED)
    ).hexdigest()
