"""What a run saves, and when the last save was."""

import dataclasses
import logging
import time

import tensorflow as tf

from trainers.settings.config import Config
from trainers.step.trainer import Trainer
from trainers.storage.checkpoints import Checkpoints
from trainers.storage.history import History
from trainers.storage.run_directory import RunDirectory
from vision.data import BadFiles, Source
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


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
        directory, bad_files: as given.
        saved: when the last `save` was, or else the start, by `time.monotonic`.
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
        self.directory = directory
        self._source = source
        self.bad_files = bad_files
        self._last = Checkpoints(
            directory.checkpoints_last, tf.train.Checkpoint(**trainer.checkpointed())
        )
        self._best = Checkpoints(
            directory.checkpoints_best, tf.train.Checkpoint(**trainer.state.evaluated())
        )
        self.saved = time.monotonic()

    def restore(self) -> History:
        """Restores the newest checkpoint; its history is empty where there is none."""
        state = self._last.restore()
        if state is None:
            if self.directory.resumed:
                _log.warning(
                    '%s holds a run without a checkpoint: it starts at step 0.',
                    self.directory.path,
                )
            return History()
        self.bad_files.restore(state['bad_files'])
        return History(**state['history'])

    def save(self, history: History) -> None:
        """Saves the whole state of the run.

        Raises:
            DatasetError: too many images could not be decoded.
        """
        self.check_bad_files()
        self.saved = time.monotonic()
        self._last.save(
            self._state.steps_taken,
            {
                'history': dataclasses.asdict(history),
                'bad_files': list(self.bad_files.items()),
                'specification': self._specification,
            },
        )

    def save_best(self, epoch: int) -> None:
        """Saves the weights of the best epoch, averaged where there are averages."""
        with self._state.averaged_weights():
            self._best.save(
                self._state.steps_taken,
                {
                    'epoch': epoch,
                    'weights': 'averaged' if self._config.ema else 'raw',
                    'specification': self._specification,
                },
            )

    def restore_best(self) -> int:
        """Restores the weights of the best epoch and returns its number."""
        state = self._best.restore()
        assert state is not None, 'A phase has at least one epoch, which is its best.'
        return state['epoch']

    def check_bad_files(self) -> None:
        """Writes bad_files.csv.

        Raises:
            DatasetError: too many images could not be decoded.
        """
        self.write_bad_files()
        self.bad_files.check(
            sum(map(len, self._source.splits.values())), self._config.max_bad_fraction
        )

    def write_bad_files(self) -> None:
        """Writes bad_files.csv, where there are any."""
        items = self.bad_files.items()
        if items:
            self.directory.write_bad_files(
                (file.name, self._source.classes[file.label], file.reason)
                for file in items
            )
