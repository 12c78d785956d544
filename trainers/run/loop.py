"""The loop: when a run trains, evaluates, saves, reports and ends."""

import dataclasses
import math
import time
from collections.abc import Iterator
from typing import Any, NoReturn

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


class StepsPerCall:
    """How many training steps one traced call takes, from the time that calls took.

    Attributes:
        steps: steps of the next call.
    """

    def __init__(self) -> None:
        self.steps = 1
        self._traced = False

    def adapt(self, steps: int, seconds: float) -> bool:
        """Adapts to the duration of a call.

        Returns:
            Whether the call counts: the first one includes the tracing.
        """
        if not self._traced:
            self._traced = True
            return False
        self.steps = max(1, round(steps * SECONDS_PER_CALL / max(seconds, 1e-6)))
        return True


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
        resumed: whether the run was started before.
    """

    def __init__(
        self,
        config: Config,
        trainer: Trainer,
        batches: Batches,
        checkpointer: Checkpointer,
        reporter: Reporter,
        stop: StopRequest,
        resumed: bool = False,
    ):
        self.config = config
        self.trainer = trainer
        self.state = trainer.state
        self.batches = batches
        self.checkpointer = checkpointer
        self.reporter = reporter
        self.stop = stop
        self.resumed = resumed
        self.history = History()
        self._began = time.monotonic()

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
            self._resume()
            if self.step == 0:
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
    def step(self) -> int:
        """Training steps taken."""
        return int(self.state.step.numpy())

    @property
    def phase(self) -> TrainingPhase:
        """The current phase."""
        return self.trainer.phases[self.history.phase]

    @property
    def epochs(self) -> int:
        """Epochs of the run, unless a phase ends early from now on."""
        remaining = self.trainer.phases[self.history.phase :]
        return self.history.phase_began + sum(
            phase.config.epochs for phase in remaining
        )

    def _resume(self) -> None:
        """Restores the newest checkpoint, if there is one."""
        history = self.checkpointer.restore()
        if history is not None:
            self.history = history
            self.reporter.resume(history, self._total_steps())
        elif self.resumed:
            self.reporter.restart()
        self.checkpointer.check_bad_files()

    def _check_start(self) -> None:
        """Checks and reports the first batch, and checks the loss before training."""
        batch, classes = self.batches.first(), len(self.batches.classes)
        self.reporter.start(batch)
        checks.check_batch(batch, classes)
        if self.phase.config.features == 'cached':
            batch = next(iter(self.batches.train(self.phase.config, 0, 1, size=0)))
        loss = self.phase.evaluate([batch])['loss']
        # The loss of guessing is expected of random weights only.
        random = not self.config.pretrained and self.config.model != CUSTOM
        checks.check_initial_loss(loss, classes, random=random)

    def _train_phase(self) -> None:
        """Trains to the end of a phase, with each size of the size schedule in turn."""
        while not self._phase_is_over():
            epoch = end = len(self.history.rows)
            size = self.batches.image_size(epoch)
            while end < self._last_epoch() and self.batches.image_size(end) == size:
                end += 1
            last_step = end * self.batches.steps_per_epoch
            batches = iter(
                self.batches.train(self.phase.config, self.step, last_step, size)
            )
            steps_per_call = StepsPerCall()
            while not self._phase_is_over() and len(self.history.rows) < end:
                self._train_epoch(batches, steps_per_call)
        if len(self.history.rows) < self._last_epoch():
            self.reporter.stop_early()

    def _train_epoch(
        self, batches: tf.data.Iterator, steps_per_call: StepsPerCall
    ) -> None:
        """Trains to the end of an epoch and evaluates it."""
        end = (len(self.history.rows) + 1) * self.batches.steps_per_epoch
        logged = self.state.totals()
        while (step := self.step) < end:
            to_log = self.config.log_every - step % self.config.log_every
            count = min(steps_per_call.steps, to_log, end - step)
            self._take_steps(batches, count, steps_per_call)
            totals = self.state.totals()
            # Gradients too: the loss is from before their update.
            self._check_finite(totals.losses['loss'] + totals.losses['gradient_norm'])
            if self.step % self.config.log_every == 0 or self.step == end:
                self.reporter.training(
                    logged, totals, self._rate(), self.history.images_per_second
                )
                logged = totals
            self.reporter.show_progress(
                totals, self.history, len(self.history.rows) + 1, self.epochs
            )
            if self.stop:
                self._save()
                self._leave()
            if self.checkpointer.is_due() and self.step < end:
                self._save()
        self._end_epoch()

    def _take_steps(
        self, batches: tf.data.Iterator, count: int, steps_per_call: StepsPerCall
    ) -> None:
        """Takes training steps in one call and records their time."""
        started = time.monotonic()
        self.phase.train_steps(batches, count)
        self.state.step.numpy()  # waits for the device
        seconds = time.monotonic() - started
        if steps_per_call.adapt(count, seconds):
            self.history.seconds += seconds
            self.history.images += count * self.config.batch_size

    def _end_epoch(self) -> None:
        """Evaluates an epoch, decides whether it is the best, saves and reports."""
        try:
            row = self._evaluate_epoch()
        except Stopped:
            self._save()
            raise
        self._check_finite(row['validation_loss'])
        best = self.history.add(row, self.config)
        self.reporter.epoch(self.history, best, self.epochs)
        if self.history.plateaued(self.config):
            self.state.plateau.assign(self.state.plateau * self.config.plateau_factor)
            self.reporter.lower_rate(float(self.state.plateau))
        if best:
            self.checkpointer.save_best(len(self.history.rows))
        self.state.reset_totals()
        last = self._phase_is_over()
        seconds = self.checkpointer.seconds_since_save()
        # The best weights must not be newer than the state that a run resumes from.
        if best or last or seconds >= SECONDS_BETWEEN_EPOCHS_SAVED:
            self._save()
        if last or self.reporter.drawing_is_due():
            shown = self.batches.shown
            self.reporter.draw(self.history, shown, self.phase.predict(shown.images))

    def _begin_next_phase(self) -> None:
        """Begins the next phase with the best weights so far."""
        epoch = self.checkpointer.restore_best()
        self.history.begin_phase()
        self.state.begin_phase()
        self._save()  # from now on the best weights may be those of this phase
        self.reporter.begin_phase(
            self.history.phase, epoch, self.phase.weights, self._total_steps()
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
        results = {
            'best_epoch': best_epoch,
            'epochs': len(self.history.rows),
            'steps': len(self.history.rows) * self.batches.steps_per_epoch,
            'seconds': self._elapsed(),
            'training_seconds': self.history.earlier_seconds + self.history.seconds,
            'images_per_second': self.history.images_per_second,
            'weights': names[0],
            **by_weights[names[0]],
            'by_weights': by_weights,
        }
        self.reporter.finish(results)
        return results

    def _evaluate_epoch(self) -> Row:
        """A row of metrics.csv: nothing in it depends on the clock."""
        losses, accuracies = map(metrics.means, self.state.totals())
        row = {
            'epoch': len(self.history.rows) + 1,
            'step': self.step,
            'learning_rate': self._rate(),
        }
        # As in validation, `loss` is the main head's, not the weighted sum.
        renamed = {'loss': 'total_loss', 'main_loss': 'loss'}
        for name, value in losses.items():
            row[f'train_{renamed.get(name, name)}'] = value
        for name, value in accuracies.items():
            row[f'train_{name.removeprefix("main_")}'] = value
        if self.config.precise_bn and self.phase.trains_batch_norms:
            self._estimate_batch_norms()
        for suffix, result in zip(('', '_averaged'), self._evaluate('validation')):
            for name, value in result.items():
                row[f'validation{suffix}_{name}'] = value
        return row

    def _estimate_batch_norms(self) -> None:
        """Estimates the statistics of batch norms, of averaged weights as well."""
        batches = self.batches.for_statistics
        self.phase.estimate_batch_norms(self._until_stopped(batches))
        if self.state.average is not None:
            with self.state.averaged_weights():
                self.phase.estimate_batch_norms(self._until_stopped(batches))

    def _evaluate(self, split: str) -> list[dict[str, float]]:
        """Results of the model's weights, then of their averages if there are any."""
        batches = self.batches.evaluation(self.phase.config, split)
        results = [self.phase.evaluate(self._until_stopped(batches))]
        if self.state.average is not None:
            with self.state.averaged_weights():
                results.append(self.phase.evaluate(self._until_stopped(batches)))
        return results

    def _until_stopped(self, batches: tf.data.Dataset) -> Iterator[Batch]:
        for batch in batches:
            if self.stop:
                self._leave()
            yield batch

    def _phase_is_over(self) -> bool:
        return len(self.history.rows) == self._last_epoch() or self.history.exhausted(
            self.config
        )

    def _last_epoch(self) -> int:
        """The epoch that the phase ends with unless it stops early."""
        return self.history.phase_began + self.phase.config.epochs

    def _total_steps(self) -> int:
        return self.epochs * self.batches.steps_per_epoch

    def _rate(self) -> float:
        return float(self.phase.optimizer.learning_rate.numpy())

    def _elapsed(self) -> float:
        """Seconds since the run began, without the time between two starts."""
        return self.history.elapsed + time.monotonic() - self._began

    def _save(self) -> None:
        self.checkpointer.save(
            dataclasses.replace(self.history, elapsed=self._elapsed())
        )

    def _check_finite(self, loss: float) -> None:
        """Stops the run before weights that are not finite are saved or reported."""
        if not math.isfinite(loss):
            raise DivergedError(
                f'The loss became {loss} by step {self.step:,}. Checkpoints in '
                f'{self.checkpointer.folder} are from before that step. Start a run '
                'with a lower --learning_rate, or with --clip_norm, in another '
                '--run_dir.'
            )

    def _leave(self) -> NoReturn:
        raise Stopped(
            f'{self.stop.signal_name} received: everything up to step {self.step:,} '
            f'is saved in {self.checkpointer.run_dir}. Run the same command again to '
            'resume.'
        )
