"""The record of images that could not be decoded, and the budget for them."""

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from vision.data.source import DatasetError

_LISTED = 20  # A longer list would hide the advice of the error.


class BadFile(NamedTuple):
    """One image that could not be decoded, its label, and why."""

    name: str
    label: int
    reason: str


class BadFiles:
    """Collects bad files by name; safe to share between input threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: dict[str, BadFile] = {}

    def record(self, name: str, label: int, reason: str) -> None:
        """Records and logs a file once, however often it fails."""
        with self._lock:
            known = name in self._files
            self._files.setdefault(name, BadFile(name, label, reason))
        if not known:
            logging.getLogger(__name__).warning('Skipping %s: %s', name, reason)

    def restore(self, files: Iterable[Sequence]) -> None:
        """Records, without logging, what `items` returned in an earlier process."""
        with self._lock:
            for file in files:
                self._files.setdefault(file[0], BadFile(*file))

    def items(self) -> tuple[BadFile, ...]:
        """The files so far, sorted by name: threads find them in any order."""
        with self._lock:
            return tuple(sorted(self._files.values()))

    def check(self, total: int, max_fraction: float) -> None:
        """Checks that at most max_fraction of the total files are bad.

        Raises:
            DatasetError: more are; the message lists them.
        """
        files = self.items()
        if len(files) <= max_fraction * total:
            return
        lines = [f'  {f.name}: {f.reason}' for f in files[:_LISTED]]
        if len(files) > _LISTED:
            lines.append(f'  and {len(files) - _LISTED} more')
        raise DatasetError(
            f'At most {max_fraction:.2%} of the {total} images may be undecodable, '
            f'got {len(files)}; replace or remove these:\n' + '\n'.join(lines)
        )
