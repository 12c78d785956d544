"""What a run saves, and when the last save was."""

import dataclasses
import time
from typing import Any

import tensorflow as tf

from trainers.settings.config import Config
from trainers.step.trainer import Trainer
from trainers.storage.checkpoints import Checkpoints
from trainers.storage.history import History
from trainers.storage.run_directory import RunDirectory
from vision.data import BadFiles, Source
from vision.models.specification import Specification


class Checkpointer:
    """Saves and restores the last and the best state of a run, and its bad files.

    Args:
        config: the run's settings.
        specification: stored with the weights.
        trainer: what is saved.
        directory: of the run, opened for writing.
        source: the dataset, for the share of its images that may be bad.
        bad_files: the images that could not be decoded.

    Attributes:
        run_dir: the directory's path.
        folder: of the checkpoints that a run resumes from.
    """

    def __init__(
        self,
        config: Config,
        specification: Specification,
        trainer: Trainer,
        directory: RunDirectory,
        source: Source,
        bad_files: BadFiles,
    ):
        self._config = config
        self._specification = specification.to_dict()
        self._state = trainer.state
        self._directory = directory
        self.run_dir = directory.path
        self.folder = directory.checkpoints_last
        self._source = source
        self._bad_files = bad_files
        self._last = Checkpoints(
            directory.checkpoints_last, tf.train.Checkpoint(**trainer.checkpointed())
        )
        self._best = Checkpoints(
            directory.checkpoints_best, tf.train.Checkpoint(**trainer.state.evaluated())
        )
        self._saved = time.monotonic()

    def restore(self) -> History | None:
        """Restores the newest checkpoint; None where there is none."""
        state = self._last.restore()
        if state is None:
            return None
        self._bad_files.restore(state['bad_files'])
        return History(**state['history'])

    def save(self, history: History) -> None:
        """Saves the whole state of the run.

        Raises:
            DatasetError: too many images could not be decoded.
        """
        self.check_bad_files()
        self._saved = time.monotonic()
        self._last.save(
            self._step(),
            {
                'history': dataclasses.asdict(history),
                'bad_files': list(self._bad_files.items()),
                'specification': self._specification,
            },
        )

    def save_best(self, epoch: int) -> None:
        """Saves the weights of the best epoch, averaged where there are averages."""
        with self._state.averaged_weights():
            self._best.save(
                self._step(),
                {
                    'epoch': epoch,
                    'weights': 'averaged' if self._config.ema else 'raw',
                    'specification': self._specification,
                },
            )

    def restore_best(self) -> int:
        """Restores the weights of the best epoch and returns its number."""
        state: dict[str, Any] | None = self._best.restore()
        assert state is not None, 'A phase has at least one epoch, which is its best.'
        return state['epoch']

    def seconds_since_save(self) -> float:
        """Seconds since the last `save`, or since the start."""
        return time.monotonic() - self._saved

    def is_due(self) -> bool:
        """Whether `checkpoint_minutes` have passed since the last `save`."""
        return self.seconds_since_save() >= 60 * self._config.checkpoint_minutes

    def check_bad_files(self) -> None:
        """Writes bad_files.csv.

        Raises:
            DatasetError: too many images could not be decoded.
        """
        self.write_bad_files()
        total = sum(map(len, self._source.splits.values()))
        self._bad_files.check(total, self._config.max_bad_fraction)

    def write_bad_files(self) -> None:
        """Writes bad_files.csv, where there are any."""
        items = self._bad_files.items()
        if items:
            self._directory.write_bad_files(
                (file.name, self._source.classes[file.label], file.reason)
                for file in items
            )

    def _step(self) -> int:
        return int(self._state.step.numpy())
