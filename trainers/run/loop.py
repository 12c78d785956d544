"""The loop: when a run trains, evaluates, saves, reports and ends."""

import math
import time
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from trainers.reporting.reporter import Reporter
from trainers.run import checks
from trainers.run.batches import Batches
from trainers.run.checkpointer import Checkpointer
from trainers.run.signals import Stopped, StopRequest
from trainers.settings.config import CUSTOM, Config
from trainers.step import metrics
from trainers.step.trainer import Trainer, TrainingPhase
from trainers.storage.history import History, Row
from vision.data import Batch
from vision.errors import UserError

# Steps are grouped into calls of about this length: a signal, the progress bar and
# the clock of the checkpoints wait no longer, and Python's share stays negligible.
SECONDS_PER_CALL = 1.0
# A checkpoint takes a second: short epochs share one. Each phase ends with one.
SECONDS_BETWEEN_EPOCHS_SAVED = 5.0
# So does a drawing.
SECONDS_BETWEEN_DRAWINGS = 15.0


class DivergedError(UserError):
    """The loss is no longer a finite number."""


class Loop:
    """Runs the phases of a trainer to their end.

    Args:
        config: the run's settings.
        trainer: the phases and the state that they change.
        batches: the images, or their features.
        checkpointer: saves and restores.
        reporter: receives every event.
        stop: set when a signal came.
    """

    def __init__(
        self,
        config: Config,
        trainer: Trainer,
        batches: Batches,
        checkpointer: Checkpointer,
        reporter: Reporter,
        stop: StopRequest,
    ):
        self.config = config
        self.trainer = trainer
        self.state = trainer.state
        self.batches = batches
        self.checkpointer = checkpointer
        self.reporter = reporter
        self.stop = stop
        self.history = History()
        self._began = time.monotonic()
        self._traced = False  # since the phase or the image size changed
        self._steps_per_call = 1

    def run(self) -> dict[str, Any]:
        """Trains from the newest checkpoint, or the start, to the end of the run.

        Returns:
            The results, as results.json has them.

        Raises:
            Stopped: a signal came; the state is saved.
            DivergedError: the loss became infinite or NaN.
            UserError: something else that the user can correct.
        """
        try:
            self.history = self.checkpointer.restore()
            # As if no time had passed between the starts.
            self._began -= self.history.elapsed
            if self.state.steps_taken > 0:
                self.reporter.resume(
                    self.history, self.epochs * self.batches.steps_per_epoch
                )
            self.checkpointer.check_bad_files()
            if self.state.steps_taken == 0:
                self._check_start()
            self._train_phase()
            while self.history.phase + 1 < len(self.trainer.phases):
                self._begin_next_phase()
                self._train_phase()
            return self._finish()
        finally:
            self.checkpointer.write_bad_files()
            self.reporter.close()

    @property
    def phase(self) -> TrainingPhase:
        """The current phase."""
        return self.trainer.phases[self.history.phase]

    @property
    def epochs(self) -> int:
        """Epochs of the run, unless a phase ends early from now on."""
        return self.history.phase_began + sum(
            phase.config.epochs for phase in self.trainer.phases[self.history.phase :]
        )

    def _check_start(self) -> None:
        """Checks and reports the first batch, and checks the loss before training."""
        batch, classes = self.batches.first(), self.state.model.classes
        self.reporter.start(batch)
        checks.check_batch(batch, classes)
        if self.phase.config.features == 'cached':
            batch = next(iter(self.batches.train(self.phase.config, 0, 1, size=0)))
        # The loss of guessing is expected of random weights only.
        checks.check_initial_loss(
            self.phase.evaluate([batch])['loss'],
            classes,
            random=not self.config.pretrained and self.config.model != CUSTOM,
        )

    def _train_phase(self) -> None:
        """Trains to the end of a phase, with each size of the size schedule in turn."""
        while not self._phase_is_over():
            end = len(self.history.rows)
            size = self.batches.image_size(end)
            while end < self._last_epoch() and self.batches.image_size(end) == size:
                end += 1
            batches = iter(
                self.batches.train(
                    self.phase.config,
                    start=self.state.steps_taken,
                    end=end * self.batches.steps_per_epoch,
                    size=size,
                )
            )
            self._traced = False
            self._steps_per_call = 1
            try:
                while not self._phase_is_over() and len(self.history.rows) < end:
                    self._train_epoch(batches)
            except Stopped:
                self._save()
                raise
        if len(self.history.rows) < self._last_epoch():
            self.reporter.stop_early()

    def _train_epoch(self, batches: tf.data.Iterator) -> None:
        """Trains to the end of an epoch and evaluates it."""
        end = (len(self.history.rows) + 1) * self.batches.steps_per_epoch
        logged = self.state.totals()
        while (step := self.state.steps_taken) < end:
            log_at = min(
                end, step - step % self.config.log_every + self.config.log_every
            )
            count = min(self._steps_per_call, log_at - step)
            self._take_steps(batches, count)
            totals = self.state.totals()
            # Gradients too: the loss is from before their update.
            self._check_finite(totals.losses['loss'] + totals.losses['gradient_norm'])
            if step + count == log_at:
                self.reporter.training(
                    logged, totals, self._rate(), self.history.images_per_second
                )
                logged = totals
            self.reporter.show_progress(
                totals, self.history, len(self.history.rows) + 1, self.epochs
            )
            self._check_stop()
            minutes = (time.monotonic() - self.checkpointer.saved) / 60
            if minutes >= self.config.checkpoint_minutes and step + count < end:
                self._save()
        self._end_epoch()

    def _take_steps(self, batches: tf.data.Iterator, count: int) -> None:
        """Takes training steps in one call, and sizes the next by their time."""
        started = time.monotonic()
        self.phase.train_steps(batches, count)
        self.state.step.numpy()  # waits for the device
        seconds = time.monotonic() - started
        # The first call includes the tracing, and does not count.
        if self._traced:
            self.history.seconds += seconds
            self.history.images += count * self.config.batch_size
            self._steps_per_call = max(
                1, round(count * SECONDS_PER_CALL / max(seconds, 1e-6))
            )
        self._traced = True

    def _end_epoch(self) -> None:
        """Evaluates an epoch, decides whether it is the best, saves and reports."""
        row = self._evaluate_epoch()
        self._check_finite(row['validation_loss'])
        best = self.history.add(row, self.config)
        self.reporter.epoch(self.history, best, self.epochs)
        if self.history.plateaued(self.config):
            self.state.plateau.assign(self.state.plateau * self.config.plateau_factor)
            self.reporter.lower_rate(float(self.state.plateau))
        if best:
            self.checkpointer.save_best(len(self.history.rows))
        self.state.losses.reset()
        self.state.accuracies.reset()
        last = self._phase_is_over()
        now = time.monotonic()
        # The best weights must not be newer than the state that a run resumes from.
        if (
            best
            or last
            or now - self.checkpointer.saved >= SECONDS_BETWEEN_EPOCHS_SAVED
        ):
            self._save()
        if last or now - self.reporter.drawn >= SECONDS_BETWEEN_DRAWINGS:
            shown = self.batches.shown
            self.reporter.draw(self.history, shown, self.phase.predict(shown.images))

    def _begin_next_phase(self) -> None:
        """Begins the next phase with the best weights so far."""
        epoch = self.checkpointer.restore_best()
        self.history.begin_phase()
        self.state.begin_phase()
        self._save()  # from now on the best weights may be those of this phase
        self.reporter.begin_phase(
            self.history.phase,
            epoch,
            self.phase.weights,
            self.epochs * self.batches.steps_per_epoch,
        )

    def _finish(self) -> dict[str, Any]:
        """Evaluates the best weights on all splits and reports the results."""
        best_epoch = self.checkpointer.restore_best()
        names = ('averaged', 'raw') if self.state.average is not None else ('raw',)
        by_weights: dict[str, dict] = {name: {} for name in names}
        for split in ('validation', 'test'):
            # In the best checkpoint the model has the averaged weights, where there
            # are any, and the averages are the raw ones.
            for name, result in zip(names, self._evaluate(split)):
                by_weights[name][split] = result
        return {
            'best_epoch': best_epoch,
            'epochs': len(self.history.rows),
            'steps': len(self.history.rows) * self.batches.steps_per_epoch,
            'seconds': time.monotonic() - self._began,
            'training_seconds': self.history.earlier_seconds + self.history.seconds,
            'images_per_second': self.history.images_per_second,
            'weights': names[0],
            **by_weights[names[0]],
            'by_weights': by_weights,
        }

    def _evaluate_epoch(self) -> Row:
        """A row of metrics.csv: nothing in it depends on the clock."""
        losses, accuracies = map(metrics.means, self.state.totals())
        row = {
            'epoch': len(self.history.rows) + 1,
            'step': self.state.steps_taken,
            'learning_rate': self._rate(),
        }
        # As in validation, `loss` is the main head's, not the weighted sum.
        renamed = {
            'loss': 'total_loss',
            'main_loss': 'loss',
            'main_top1': 'top1',
            'main_top5': 'top5',
        }
        for name, value in {**losses, **accuracies}.items():
            row[f'train_{renamed.get(name, name)}'] = value
        results = self._evaluate(
            'validation',
            estimate=self.config.precise_bn > 0 and self.phase.trains_batch_norms(),
        )
        for weights, result in zip(('validation', 'validation_averaged'), results):
            row |= {f'{weights}_{name}': value for name, value in result.items()}
        return row

    def _evaluate(self, split: str, estimate: bool = False) -> list[dict[str, float]]:
        """Results of the model's weights, then of their averages if there are any.

        Args:
            split: 'validation' or 'test'.
            estimate: whether to estimate the statistics of batch norms before.
        """
        results = [self._evaluate_weights(split, estimate)]
        if self.state.average is not None:
            with self.state.averaged_weights():
                results.append(self._evaluate_weights(split, estimate))
        return results

    def _evaluate_weights(self, split: str, estimate: bool) -> dict[str, float]:
        if estimate:
            self.phase.estimate_batch_norms(
                self._until_stopped(self.batches.for_statistics)
            )
        return self.phase.evaluate(
            self._until_stopped(self.batches.evaluation(self.phase.config, split))
        )

    def _until_stopped(self, batches: tf.data.Dataset) -> Iterator[Batch]:
        for batch in batches:
            self._check_stop()
            yield batch

    def _phase_is_over(self) -> bool:
        return len(self.history.rows) == self._last_epoch() or self.history.exhausted(
            self.config
        )

    def _last_epoch(self) -> int:
        """The epoch that the phase ends with unless it stops early."""
        return self.history.phase_began + self.phase.config.epochs

    def _rate(self) -> float:
        return float(self.phase.optimizer.learning_rate.numpy())

    def _save(self) -> None:
        self.history.elapsed = time.monotonic() - self._began
        self.checkpointer.save(self.history)

    def _check_finite(self, loss: float) -> None:
        """Stops the run before weights that are not finite are saved or reported."""
        if not math.isfinite(loss):
            raise DivergedError(
                f'The loss became {loss} by step {self.state.steps_taken:,}. '
                f'Checkpoints in {self.checkpointer.directory.checkpoints_last} are '
                'from before that step. Start a run with a lower --learning_rate, or '
                'with --clip_norm, in another --run_dir.'
            )

    def _check_stop(self) -> None:
        if self.stop:
            raise Stopped(
                f'{self.stop.signal_name} received: everything up to step '
                f'{self.state.steps_taken:,} is saved in '
                f'{self.checkpointer.directory.path}. Run the same command again to '
                'resume.'
            )
