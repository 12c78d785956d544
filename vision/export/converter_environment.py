"""Where the converter to TensorFlow.js lives: it cannot share ours.

Its versions of TensorFlow and protobuf are not those that train. So it has a folder of
a Python environment of its own, and beside that the scripts that a page needs.
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

from vision.data.download.download import locked
from vision.errors import UserError

DEFAULT = Path('.tapestry', 'tensorflowjs')

_log = logging.getLogger(__name__)

_PINS = Path(__file__).parent / 'converter'
_PINNED = ('requirements.txt', 'package.json', 'package-lock.json')
_VERSIONS = ((3, 10), (3, 11), (3, 12))  # Pythons that TensorFlow 2.19 is made for
# What there are wheels for, of TensorFlow Decision Forests, which it imports.
_MACHINES = (('linux', 'x86_64'), ('darwin', 'arm64'))
_BYTES = 6 * 10**9  # what building takes for a while; 2.7 GB remain
_TFJS = 'node_modules/@tensorflow/tfjs/dist/'
_WASM = 'node_modules/@tensorflow/tfjs-backend-wasm/dist/'
_SCRIPTS = (
    f'{_TFJS}tf.es2017.min.js',
    f'{_WASM}tf-backend-wasm.es2017.min.js',
    f'{_WASM}tfjs-backend-wasm.wasm',
    f'{_WASM}tfjs-backend-wasm-simd.wasm',
)


def python(folder: Path) -> Path:
    """The interpreter that has the converter."""
    return folder / 'python' / 'bin' / 'python'


def scripts(folder: Path) -> Path:
    """The folder of what a page loads of TensorFlow.js."""
    return folder / 'scripts'


def is_built(folder: Path) -> bool:
    """Whether the whole environment is there, in the versions that are pinned now."""
    marker = _marker(folder)
    return (
        marker.is_file()
        and marker.read_text('utf-8') == _pins()
        and python(folder).exists()
    )


def build(folder: Path) -> None:
    """Makes the environment, unless it is there already.

    It is made beside the folder and renamed as a whole, so what a kill leaves is never
    taken for one. Everything that pip and npm say goes to `<folder>.log`.

    Raises:
        UserError: something that it needs is not there, or pip or npm fails.
    """
    _check_machine()
    folder = folder.absolute()
    with locked(folder):
        if is_built(folder):
            return
        _check_place(folder)
        interpreter = _interpreter()
        for program in ('node', 'npm'):
            if shutil.which(program) is None:
                raise UserError(
                    f'Expected {program} on the PATH, for TensorFlow.js. '
                    'Install Node.js 18 or newer, which brings npm '
                    '(https://nodejs.org).'
                )
        _make(folder, interpreter)


def _check_machine() -> None:
    if (sys.platform, platform.machine()) not in _MACHINES:
        raise UserError(
            'Expected Linux on x86_64 or macOS on Apple silicon to build the converter '
            f'to TensorFlow.js on, got {sys.platform} on {platform.machine()}, which '
            'packages that it needs are not made for. Leave tensorflowjs out of '
            '--formats, or export the run on another computer.'
        )


def _check_place(folder: Path) -> None:
    if folder.exists() and not _marker(folder).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise UserError(
                f'Expected {folder} to be a new folder or one with an earlier '
                'converter, got something else. Choose another folder.'
            )
    free = shutil.disk_usage(folder.parent).free
    if free < _BYTES:
        raise UserError(
            f'Building the converter needs {_BYTES / 1e9:.0f} GB in '
            f'{folder.parent}, where {free / 1e9:.1f} GB are free. Make '
            'room, or choose another folder.'
        )


def _interpreter() -> str:
    """A Python that the converter's TensorFlow supports: this one, or one on PATH."""
    if sys.version_info[:2] in _VERSIONS:
        return sys.executable
    for major, minor in reversed(_VERSIONS):
        found = shutil.which(f'python{major}.{minor}')
        # Version managers put names on the PATH behind which there may be nothing.
        if (
            found
            and not subprocess.run(
                [found, '-c', ''], capture_output=True, check=False
            ).returncode
        ):
            return found
    names = ', '.join(f'python{major}.{minor}' for major, minor in _VERSIONS)
    raise UserError(
        f'Expected one of {names} on the PATH: TensorFlow 2.19, which the converter to '
        f'TensorFlow.js needs, does not run on Python {sys.version_info[0]}.'
        f'{sys.version_info[1]}. Install one of them.'
    )


def _make(folder: Path, interpreter: str) -> None:
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
        _marker(staging).write_text(_pins(), 'utf-8')
        if folder.exists():
            shutil.rmtree(folder)
        staging.rename(folder)
    except subprocess.CalledProcessError as error:
        tail = '\n'.join(log.read_text('utf-8', 'replace').splitlines()[-15:])
        raise UserError(
            f'Building the converter failed: {" ".join(error.cmd[:4])}... '
            f'ended with {error.returncode}. The end of {log}:\n{tail}\n'
            'Mend that and run again.'
        ) from error
    except OSError as error:
        raise UserError(
            f'Cannot build the converter in {folder}: {error}. Make room '
            'there, or choose another folder.'
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _install_converter(staging: Path, interpreter: str, log: BinaryIO) -> None:
    _run([interpreter, '-m', 'venv', str(staging / 'python')], staging, log)
    # The list is complete, and closer than what the packages themselves ask for.
    _run(
        [
            str(python(staging)),
            '-m',
            'pip',
            'install',
            '--no-deps',
            '--no-cache-dir',
            '--only-binary=:all:',
            '--no-input',
            '--disable-pip-version-check',
            '--requirement',
            str(_PINS / 'requirements.txt'),
        ],
        staging,
        log,
    )
    _run([str(python(staging)), '-c', 'import tensorflowjs'], staging, log)


def _install_scripts(staging: Path, log: BinaryIO) -> None:
    """Keeps four files of what npm installs, and checks, by the lock file."""
    work = staging / 'npm'
    work.mkdir()
    for name in _PINNED[1:]:
        shutil.copy(_PINS / name, work)
    npm = str(shutil.which('npm'))
    _run(
        [
            npm,
            'ci',
            '--ignore-scripts',
            '--no-audit',
            '--no-fund',
            '--cache',
            str(work / 'cache'),
        ],
        work,
        log,
    )
    scripts(staging).mkdir()
    for name in _SCRIPTS:
        shutil.copyfile(work / name, scripts(staging) / Path(name).name)
    shutil.rmtree(work)


def _run(command: Sequence[str], folder: Path, log: BinaryIO) -> None:
    ours = {name: v for name, v in os.environ.items() if not name.startswith('PYTHON')}
    log.write(f'$ {" ".join(command)}\n'.encode('utf-8', 'surrogateescape'))
    log.flush()
    subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        check=True,
        env=ours,
    )


def _marker(folder: Path) -> Path:
    return folder / 'pins.sha256'


def _pins() -> str:
    return hashlib.sha256(
        b'\n'.join((_PINS / name).read_bytes() for name in _PINNED)
    ).hexdigest()
