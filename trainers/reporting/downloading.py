"""Downloading a dataset, with progress bars."""

import contextlib
from pathlib import Path

from tqdm.auto import tqdm

from trainers.reporting.progress import task_bar
from vision import data
from vision.data import DatasetError


def download(dataset: str, data_dir: str) -> None:
    """Downloads a dataset below `data_dir`, unless it is there.

    Raises:
        DatasetError: it has no public address, or cannot be downloaded or written.
    """
    if not data_dir and not data.is_tfds(dataset):
        raise DatasetError(
            'Expected --data_dir with --download: the folder to put '
            f'{dataset} into, such as --data_dir=data.'
        )
    with Bars() as bars:
        data.obtain(dataset, Path(data_dir), bars)


class Bars(contextlib.ExitStack):
    """A progress bar for each of several downloads, one after the other."""

    _label = ''
    _bar: tqdm | None = None

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if self._bar is None or self._label != label:
            self.close()
            self._label = label
            self._bar = self.enter_context(
                task_bar(label, total, unit='B', unit_scale=True)
            )
        self._bar.update(done - self._bar.n)
