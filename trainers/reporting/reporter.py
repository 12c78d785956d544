"""What a run reports: log messages, progress, TensorBoard, plots and result files."""

import contextlib
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from trainers.reporting import plots
from trainers.reporting.progress import Progress
from trainers.settings.config import Config
from trainers.step import metrics
from trainers.step.state import TrainingState, TrainingTotals
from trainers.storage.history import History
from trainers.storage.run_directory import RunDirectory
from vision.data import Batch
from vision.models.pretrained import variables_by_path
from vision.models.profile import count_numbers

IMAGES_SHOWN = 20

_log = logging.getLogger(__name__)


class Reporter(contextlib.ExitStack):
    """Reports what the loop does; the loop calls a method for each event.

    The end of a `with` block removes the progress bar and closes the files.

    Args:
        config: the run's settings.
        directory: of the run, opened for writing.
        state: the network and the step.
        classes: names of the classes in label order.
        progress: the progress bar.

    Attributes:
        state: the network and the step.
        drawn: when the last drawing was, by `time.monotonic`.
    """

    def __init__(
        self,
        config: Config,
        directory: RunDirectory,
        state: TrainingState,
        classes: Sequence[str],
        progress: Progress,
    ):
        super().__init__()
        self._config = config
        self._directory = directory
        self.state = state
        self._classes = classes
        self._progress = progress
        self.callback(progress.finish)
        self._train, self._validation = (
            tf.summary.create_file_writer(str(path))
            for path in (directory.tensorboard_train, directory.tensorboard_validation)
        )
        self.callback(self._train.close)
        self.callback(self._validation.close)
        self.drawn = -math.inf

    def start(self, batch: Batch) -> None:
        """A new run starts: shows its first images and its configuration."""
        images, labels = (part[:IMAGES_SHOWN].numpy() for part in batch[:2])
        grid = plots.image_grid(
            images,
            [self._classes[i] for i in labels],
            self._directory.samples / 'training-step-000000000.png',
        )
        values = self._config.to_dict()
        text = json.dumps(values, indent=2).replace('\n', '\n    ')
        with self._train.as_default(step=0):
            tf.summary.image('training images', grid[None])
            tf.summary.text('configuration', '    ' + text)
            hparams.hparams(
                {
                    name: ','.join(value) if isinstance(value, list) else value
                    for name, value in values.items()
                    if value is not None
                }
            )

    def resume(self, history: History, total_steps: int) -> None:
        """A run continues from a checkpoint."""
        self._progress.expect(total_steps)
        if history.rows:
            self._directory.write_metrics(history.rows)
            self._draw_curves(history)
        _log.info(
            'Resuming after step %s of %s.',
            f'{self.state.steps_taken:,}',
            f'{total_steps:,}',
        )

    def begin_phase(
        self, index: int, epoch: int, weights: Sequence[tf.Variable], total_steps: int
    ) -> None:
        """A phase after the first starts.

        Args:
            index: of the phase, counted from 0.
            epoch: whose weights it starts from.
            weights: the variables that it trains.
            total_steps: of the run, which is shorter where the phase before stopped.
        """
        self._progress.expect(total_steps)
        _log.info(
            'Phase %d starts from the weights of epoch %d: %s parameters are trained.',
            index + 1,
            epoch,
            f'{count_numbers(weights):,}',
        )

    def show_progress(
        self, totals: TrainingTotals, history: History, epoch: int, epochs: int
    ) -> None:
        """Training steps were taken: updates the progress bar."""
        losses, accuracies = map(metrics.means, totals)
        self._progress.update(
            self.state.steps_taken,
            f'Epoch {epoch}/{epochs}',
            {
                'loss': f'{losses["main_loss"]:.3f}',
                'top-1': f'{accuracies["main_top1"]:.1%}',
                'images/s': f'{history.images_per_second:,.0f}',
            },
        )

    def training(
        self,
        before: TrainingTotals,
        after: TrainingTotals,
        learning_rate: float,
        images_per_second: float,
    ) -> None:
        """Writes the means over the steps between two totals to TensorBoard."""
        losses, accuracies = (
            metrics.means({name: value - start[name] for name, value in end.items()})
            for start, end in zip(before, after)
        )
        heads = self.state.heads
        self._write_scalars(
            self._train,
            {
                'loss/total': losses['loss'],
                'loss/weight_decay': losses['weight_decay'],
                'gradient_norm': losses['gradient_norm'],
                'learning_rate': learning_rate,
                'images_per_second': images_per_second,
                **{f'loss/{head}': losses[f'{head}_loss'] for head in heads},
                **{f'top1/{head}': accuracies[f'{head}_top1'] for head in heads},
                **{f'top5/{head}': accuracies[f'{head}_top5'] for head in heads},
            },
        )

    def epoch(self, history: History, best: bool, epochs: int) -> None:
        """An epoch was evaluated: writes the log, TensorBoard and metrics.csv.

        Args:
            history: its last row is that of the epoch.
            best: whether no epoch before was better.
            epochs: of the run.
        """
        row = history.rows[-1]
        _log.info(
            'Epoch %d/%d: train loss %.3f, top-1 %.2f%%; '
            'validation loss %.3f, top-1 %.2f%%%s%s',
            row['epoch'],
            epochs,
            row['train_loss'],
            100 * row['train_top1'],
            row['validation_loss'],
            100 * row['validation_top1'],
            f', averaged {row["validation_averaged_top1"]:.2%}'
            if self.state.average is not None
            else '',
            ' (best so far)' if best else '',
        )
        self._write_scalars(
            self._validation,
            {
                f'{metric}/main{weights}': row[f'validation{weights}_{metric}']
                for weights in ('', '_averaged')
                for metric in ('loss', 'top1', 'top5')
                if f'validation{weights}_{metric}' in row
            },
        )
        if self._config.histograms:
            with self._train.as_default(step=self.state.steps_taken):
                for name, variable in variables_by_path(self.state.model).items():
                    tf.summary.histogram(name, variable)
        self._train.flush()
        self._validation.flush()
        self._directory.write_metrics(history.rows)

    def lower_rate(self, factor: float) -> None:
        """The learning rate drops on a plateau."""
        _log.info(
            'No lower validation loss for %d epochs: the learning rate drops '
            'to %g of its schedule.',
            self._config.plateau_patience,
            factor,
        )

    def stop_early(self) -> None:
        """Early stopping ends a phase."""
        _log.info(
            'No better epoch for %d epochs: stopped early.', self._config.early_stopping
        )

    def draw(self, history: History, batch: Batch, predicted: tf.Tensor) -> None:
        """Draws the curves, and the predictions for a few validation images.

        Args:
            history: the epochs so far.
            batch: the images.
            predicted: their classes as predicted, int32 `[B]`.
        """
        self._draw_curves(history)
        labels, names = batch.labels.numpy(), self._classes
        grid = plots.image_grid(
            batch.images.numpy(),
            [
                names[guess] if guess == label else f'{names[guess]} ({names[label]})'
                for guess, label in zip(predicted, labels)
            ],
            self._directory.samples / 'predictions.png',
            correct=[bool(correct) for correct in predicted == labels],
        )
        with self._validation.as_default(step=self.state.steps_taken):
            tf.summary.image('validation predictions', grid[None])
        self._validation.flush()
        self.drawn = time.monotonic()

    def _write_scalars(self, writer: Any, values: Mapping[str, float]) -> None:
        with writer.as_default(step=self.state.steps_taken):
            for tag, value in values.items():
                tf.summary.scalar(tag, value)

    def _draw_curves(self, history: History) -> None:
        plots.plot_curves(
            history.rows,
            self._directory.plots / 'curves.png',
            history.best_epoch,
            history.phase_began,
        )
