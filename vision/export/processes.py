"""Asking an export in a fresh process that holds nothing but its runtime."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vision.errors import UserError
from vision.export.formats import Answers

# Run by its path: as a module of ours it would import ours, and TensorFlow with them.
_ANSWER = Path(__file__).parent / 'runners' / 'answer.py'


def ask(runtime: str, target: Path, images: np.ndarray) -> Answers:
    """What an export says of uint8 `[N, S, S, 3]`, on the processor.

    Args:
        runtime: one that runners/answer.py knows.
        target: the export.
        images: RGB.

    Raises:
        UserError: the runtime refuses the export.
    """
    with tempfile.TemporaryDirectory(prefix='tapestry-export-') as folder:
        input_file, answers = Path(folder, 'images.npy'), Path(folder, 'answers.npz')
        np.save(input_file, images)
        quiet = {'CUDA_VISIBLE_DEVICES': '', 'TF_CPP_MIN_LOG_LEVEL': '3'}
        process = subprocess.run(
            [
                sys.executable,
                str(_ANSWER),
                runtime,
                str(target.absolute()),
                str(input_file),
                str(answers),
            ],
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            errors='replace',
            check=False,
        )
        if process.returncode:
            raise UserError(
                f'Expected {runtime} to run {target.name}, but it failed '
                f'with {process.returncode}:\n{process.stderr.strip()}'
            )
        with np.load(answers) as found:
            return Answers(found['probabilities'], float(found['milliseconds']))
