"""Fetching a dataset on request, with progress on the terminal."""

from pathlib import Path

from tqdm import tqdm

from vision import data
from vision.data import DatasetError


def download(dataset: str, data_dir: str) -> None:
    """Puts a dataset below `data_dir`, unless it is there.

    Raises:
        DatasetError: it has no public address, or cannot be had or written.
    """
    if not data_dir and not data.is_tfds(dataset):
        raise DatasetError(
            'Expected --data_dir with --download: the folder to put '
            f'{dataset} into, such as --data_dir=data.'
        )
    with Bars() as bars:
        data.obtain(dataset, Path(data_dir), bars)


class Bars:
    """A progress bar on standard error for each thing that is done in turn."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __call__(self, label: str, done: int, total: int | None) -> None:
        if self._bar is None or self._bar.desc != label:
            self.close()
            # No lines of bars in a file: only on a terminal.
            self._bar = tqdm(
                desc=label, total=total, unit='B', unit_scale=True, disable=None
            )
            self._bar.desc = label
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Ends the bar, where there is one."""
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> 'Bars':
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
