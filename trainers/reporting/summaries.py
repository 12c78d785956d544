"""What TensorBoard shows of a run."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from trainers.reporting import plots
from trainers.settings.config import Config
from trainers.storage.run_directory import RunDirectory


class Summaries:
    """Writers for the training and the validation curves of one run directory."""

    def __init__(self, directory: RunDirectory):
        self._directory = directory
        self._train = tf.summary.create_file_writer(str(directory.tensorboard_train))
        self._validation = tf.summary.create_file_writer(
            str(directory.tensorboard_validation)
        )

    def config(self, config: Config) -> None:
        """Writes the configuration as text and as hyperparameters."""
        values = config.to_dict()
        text = json.dumps(values, indent=2).replace('\n', '\n    ')
        with self._train.as_default(step=0):
            tf.summary.text('configuration', '    ' + text)
            hparams.hparams(
                {
                    name: ','.join(value) if isinstance(value, list) else value
                    for name, value in values.items()
                    if value is not None
                }
            )

    def train(self, step: int, values: Mapping[str, float]) -> None:
        """Writes training scalars."""
        _scalars(self._train, step, values)

    def validation(self, step: int, values: Mapping[str, float]) -> None:
        """Writes validation scalars."""
        _scalars(self._validation, step, values)

    def training_images(
        self, step: int, images: np.ndarray, titles: Sequence[str]
    ) -> None:
        """Writes a grid of augmented training images, uint8 `[N, H, W, 3]`."""
        path = self._directory.samples / f'training-step-{step:09d}.png'
        grid = plots.image_grid(images, titles, path)
        with self._train.as_default(step=step):
            tf.summary.image('training images', grid[None])

    def predictions(
        self,
        step: int,
        images: np.ndarray,
        titles: Sequence[str],
        correct: Sequence[bool],
    ) -> None:
        """Writes a grid of validation images titled with what they were taken for."""
        path = self._directory.samples / 'predictions.png'
        grid = plots.image_grid(images, titles, path, correct=correct)
        with self._validation.as_default(step=step):
            tf.summary.image('validation predictions', grid[None])

    def histograms(self, step: int, variables: Mapping[str, tf.Variable]) -> None:
        """Writes a histogram of each variable."""
        with self._train.as_default(step=step):
            for name, variable in variables.items():
                tf.summary.histogram(name, variable)

    def flush(self) -> None:
        """Makes all that was written visible to TensorBoard."""
        self._train.flush()
        self._validation.flush()

    def close(self) -> None:
        """Writes what is buffered and closes the files."""
        self._train.close()
        self._validation.close()


def _scalars(writer: Any, step: int, values: Mapping[str, float]) -> None:
    with writer.as_default(step=step):
        for name, value in values.items():
            tf.summary.scalar(name, value)
