"""Runs exports in fresh processes that hold nothing but their runtime."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vision.errors import UserError

# Run by its path: as a module of this package it would import TensorFlow.
RUNNER = Path(__file__).parent / 'runners' / 'predict.py'


class Predictions(NamedTuple):
    """The predictions of an export for N images, computed in its own runtime.

    Attributes:
        probabilities: float32 `[N, classes]`.
        milliseconds: median time of a batch of one image, after a warm-up.
        backend: what computed them, where a runtime has several backends.
    """

    probabilities: np.ndarray
    milliseconds: float
    backend: str = ''


def exchange(
    what: str, command: Sequence[str], target: Path, images: np.ndarray
) -> Predictions:
    """The predictions of an export for images, by a program that exchanges files.

    The program is called as `command EXPORT IMAGES PREDICTIONS`. IMAGES is a .npy file.
    The program writes the probabilities to PREDICTIONS, float32 in the machine's byte
    order. Its last line of output is JSON with the other attributes of `Predictions`.

    Args:
        what: the program's name, for messages.
        command: how it is started.
        target: the export.
        images: RGB, uint8 `[N, S, S, 3]`.

    Raises:
        UserError: the program fails, or there is no room for temporary files.
    """
    try:
        with tempfile.TemporaryDirectory(prefix='tapestry-export-') as folder:
            files = [f'{folder}/images.npy', f'{folder}/predictions']
            np.save(files[0], images)
            printed = run(
                f'{what} to run {target.name}',
                [*command, str(target.absolute()), *files],
            )
            probabilities = np.fromfile(files[1], np.float32)
    except OSError as error:
        raise UserError(
            f'Expected to store temporary files in {tempfile.gettempdir()}, but that '
            f'failed: {error}. Free space there, or set the environment variable '
            'TMPDIR to another folder.'
        ) from error
    return Predictions(
        probabilities.reshape(len(images), -1), **json.loads(printed.splitlines()[-1])
    )


def run(what: str, command: Sequence[str]) -> str:
    """Runs a program without a GPU and returns what it prints to standard output.

    Args:
        what: completes 'Expected ..., but it failed'.
        command: the program and its arguments.

    Raises:
        UserError: it ends with another code than 0.
        OSError: it cannot be started.
    """
    process = subprocess.run(
        command,
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': '', 'TF_CPP_MIN_LOG_LEVEL': '3'},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors='replace',
        check=False,
    )
    if process.returncode:
        tail = '\n'.join(process.stderr.strip().splitlines()[-15:])
        raise UserError(
            f'Expected {what}, but it failed with exit code {process.returncode}:\n'
            f'{tail}'
        )
    return process.stdout
