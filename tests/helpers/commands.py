"""Commands that tests run in processes of their own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run_command(
    name: str, *arguments: str | bytes, python: tuple[str, ...] = (), **options
) -> subprocess.CompletedProcess:
    """Runs `python -m scripts.<name>` from the root of the project.

    Args:
        name: of the command.
        *arguments: of the command.
        python: options of the interpreter.
        **options: of `subprocess.run`.
    """
    command = [sys.executable, *python, '-m', f'scripts.{name}', *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, timeout=300, **options
    )
