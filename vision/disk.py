"""What has to be done so that a file survives a power loss."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Waits until a file's contents, or a folder's list of names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
