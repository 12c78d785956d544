"""The run: what happens when, from the first step to the results."""

import contextlib
import dataclasses
import functools
import logging
import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np
import tensorflow as tf

from trainers.reporting import plots
from trainers.reporting.progress import Progress
from trainers.reporting.summaries import Summaries
from trainers.run import checks
from trainers.run.batches import Batches, steps_per_epoch
from trainers.run.features import FeatureCache
from trainers.run.signals import Stopped, StopRequest
from trainers.settings.config import Config
from trainers.settings.phases import phases
from trainers.step import metrics
from trainers.step.trainer import Trainer
from trainers.storage.checkpoints import Checkpoints
from trainers.storage.history import History
from trainers.storage.run_directory import RunDirectory
from vision import data
from vision.data import BadFiles, Batch, Source, Split
from vision.errors import UserError
from vision.models.pretrained import variables_by_path
from vision.models.profile import count_numbers
from vision.models.specification import Specification

# Steps are grouped into calls of about so long: a signal, the progress line and the
# clock of the checkpoints wait no longer than this, and Python's share stays unseen.
SECONDS_PER_CALL = 1.0
IMAGES_SHOWN = 20
# A second goes into either, which must not outweigh epochs on features: shorter epochs
# share a checkpoint or a drawing. Each phase ends with both.
SECONDS_BETWEEN_EPOCHS_SAVED = 5.0
SECONDS_BETWEEN_DRAWINGS = 15.0

_log = logging.getLogger(__name__)


def sample(split: Split, count: int, seed: int) -> Split:
    """At most `count` images of a split, drawn at random and kept in its order."""
    count = min(count, len(split))
    chosen = np.sort(np.random.default_rng(seed).permutation(len(split))[:count])
    return data.take(split, chosen)


class Pace:
    """How many steps fit into one call, measured while the run goes on.

    Attributes:
        steps: steps for the next call.
    """

    def __init__(self) -> None:
        self.steps = 1
        self._traced = False

    def measure(self, steps: int, seconds: float) -> bool:
        """Learns from a call; False for the first, whose time went into tracing."""
        if not self._traced:
            self._traced = True
            return False
        self.steps = max(1, round(steps * SECONDS_PER_CALL / max(seconds, 1e-6)))
        return True


class Sums(NamedTuple):
    """What the training totals have added up to."""

    losses: dict[str, float]
    accuracies: dict[str, float]


class DivergedError(UserError):
    """The loss is no longer a number."""


class Loop:
    """Runs a trainer over a source and keeps a run directory of what happens.

    Args:
        config: the run's settings.
        specification: stored with the weights.
        source: the images, decoded to memory already where they fit.
        trainer: model, optimizer and the two steps.
        directory: opened for writing.
        bad_files: where the pipeline records what it could not decode.
        stop: set when a signal came.
        progress: the line that shows how far the run is.
        features: what the frozen backbone says of the images.
    """

    def __init__(
        self,
        config: Config,
        specification: Specification,
        source: Source,
        trainer: Trainer,
        directory: RunDirectory,
        bad_files: BadFiles,
        stop: StopRequest,
        progress: Progress,
        features: FeatureCache,
    ):
        self.config = config
        self.specification = specification
        self.source = source
        self.trainer = trainer
        self.directory = directory
        self.bad_files = bad_files
        self.stop = stop
        self.progress = progress
        self.history = History()
        self.phases = phases(config)
        self.steps_per_epoch = steps_per_epoch(config, source)
        self.last = Checkpoints(
            directory.checkpoints_last, tf.train.Checkpoint(**trainer.checkpointed())
        )
        self.best = Checkpoints(
            directory.checkpoints_best, tf.train.Checkpoint(**trainer.evaluated())
        )
        self.summaries = Summaries(directory)
        self.batches = Batches(
            config, specification.image_size, source, features, bad_files
        )
        self._began = time.monotonic()
        self._saved = time.monotonic()
        self._drawn = -math.inf

    @property
    def step(self) -> int:
        """Training steps taken."""
        return int(self.trainer.step.numpy())

    @property
    def epochs(self) -> int:
        """Epochs of the run, as far as can be known: phases may end early."""
        left = (phase.epochs for phase in self.phases[self.history.phase :])
        return self.history.phase_began + sum(left)

    def run(self) -> dict[str, Any]:
        """Trains from wherever the run is to its end; returns the results.

        Raises:
            Stopped: a signal came; the state is saved.
            DivergedError: the loss became infinite or NaN.
            UserError: something else that a person can mend.
        """
        try:
            self._resume()
            self._check_bad_files()
            if self.step == 0:
                self._check_start()
            self._train()
            return self._finish()
        finally:
            self._write_bad_files()
            self.summaries.close()

    def _resume(self) -> None:
        """Takes up the newest checkpoint, where there is one."""
        state = self.last.restore()
        if state is not None:
            self.history = History.from_dict(state['history'])
            self.trainer.begin(self.history.phase)
            self.progress.expect(self.epochs * self.steps_per_epoch)
            self.bad_files.restore(state['bad_files'])
            if self.history.rows:
                self.directory.write_metrics(self.history.rows)
                self._draw_curves()
            _log.info(
                'Resuming after step %s of %s.',
                f'{self.step:,}',
                f'{self.epochs * self.steps_per_epoch:,}',
            )
        elif self.directory.resumed:
            _log.warning(
                '%s holds a run without a checkpoint: it starts at step 0.',
                self.directory.path,
            )

    def _check_start(self) -> None:
        """Looks at the first batch and at the loss of the untrained network."""
        batch = next(iter(self.batches.of_images(0, 1, self._image_size(0))))
        shown = batch.images[:IMAGES_SHOWN].numpy()
        titles = [self.source.classes[label] for label in batch.labels.numpy()]
        self.summaries.training_images(0, shown, titles[: len(shown)])
        self.summaries.config(self.config)
        checks.check_batch(batch, len(self.source.classes))
        if self.trainer.phase.cached:
            batch = next(iter(self.batches.train(self.trainer.phase, 0, 1, size=0)))
        loss = self.trainer.evaluate([batch])['loss']
        # Only a network that knows nothing yet has to start at the loss of guessing.
        checks.check_initial_loss(
            loss, len(self.source.classes), guessing=not self.config.pretrained
        )

    def _train(self) -> None:
        """Trains through all phases to the end of the run."""
        while True:
            self._train_phase()
            if len(self.history.rows) < self._end_of_phase():
                _log.info(
                    'No better epoch for %d epochs: stopped early.',
                    self.config.early_stopping,
                )
            if self.history.phase + 1 == len(self.phases):
                return
            self._next_phase()

    def _train_phase(self) -> None:
        """Trains through the sizes of the size schedule to the end of a phase."""
        last = self._end_of_phase()
        while not self._phase_is_over():
            epoch = len(self.history.rows)
            size = self._image_size(epoch)
            end = epoch + 1
            while end < last and self._image_size(end) == size:
                end += 1
            batches = iter(
                self.batches.train(
                    self.trainer.phase, self.step, end * self.steps_per_epoch, size
                )
            )
            pace = Pace()
            while not self._phase_is_over() and len(self.history.rows) < end:
                self._train_epoch(len(self.history.rows), batches, pace)

    def _phase_is_over(self) -> bool:
        return len(self.history.rows) == self._end_of_phase() or self.history.exhausted(
            self.config
        )

    def _end_of_phase(self) -> int:
        """The epoch that the phase ends with unless it stops early."""
        return self.history.phase_began + self.trainer.phase.epochs

    def _next_phase(self) -> None:
        """Begins the second phase, at the best weights of the first."""
        state = self.best.restore()
        assert state is not None, 'A phase of at least one epoch has a best one.'
        self.history.begin_phase()
        self.trainer.start_phase(self.history.phase)
        self.progress.expect(self.epochs * self.steps_per_epoch)
        self._save()  # from now on the best weights may be those of this phase
        _log.info(
            'Second phase, from the weights of epoch %d: %s parameters learn.',
            state['epoch'],
            f'{count_numbers(self.trainer.weights):,}',
        )

    def _train_epoch(self, epoch: int, batches: tf.data.Iterator, pace: Pace) -> None:
        """Trains to the end of an epoch, counted from 0, and looks at what came out."""
        end = (epoch + 1) * self.steps_per_epoch
        seen = self._read_totals()
        while (step := self.step) < end:
            to_log = self.config.log_every - step % self.config.log_every
            self._take_steps(batches, min(pace.steps, to_log, end - step), pace)
            now = self._read_totals()
            # Gradients too: the loss is from before their update.
            self._check_finite(now.losses['loss'] + now.losses['gradient_norm'])
            if self.step % self.config.log_every == 0 or self.step == end:
                self._log_training(seen, now)
                seen = now
            self._show_progress(now)
            if self.stop:
                self._save()
                self._leave()
            if self._save_is_due() and self.step < end:
                self._save()
        self._end_epoch(epoch + 1)

    def _take_steps(self, batches: tf.data.Iterator, count: int, pace: Pace) -> None:
        """Takes training steps in one call and keeps the time."""
        started = time.monotonic()
        self.trainer.train_steps(batches, tf.constant(count))
        self.trainer.step.numpy()  # waits for the device
        seconds = time.monotonic() - started
        if pace.measure(count, seconds):
            self.history.seconds += seconds
            self.history.images += count * self.config.batch_size

    def _check_finite(self, loss: float) -> None:
        """Stops the run before weights that are no numbers are saved or shown."""
        if not math.isfinite(loss):
            raise DivergedError(
                f'The loss became {loss} by step {self.step:,}. What checkpoints there '
                f'are in {self.directory.checkpoints_last} are from before that. Start '
                'a run with a lower --learning_rate, or with --clip_norm, in another '
                '--run_dir.'
            )

    def _end_epoch(self, epoch: int) -> None:
        """Evaluates, decides what is best, and saves."""
        try:
            row = self._row(epoch)
        except Stopped:
            self._save()
            raise
        self._check_finite(row['validation_loss'])
        best = self.history.add(row, self.config)
        self._describe_epoch(row, best)
        if self.history.plateaued(self.config):
            self._lower_rate()
        if best:
            self._save_best(epoch)
        self.trainer.losses.reset()
        self.trainer.accuracies.reset()
        self.directory.write_metrics(self.history.rows)
        last = self._phase_is_over()
        # What is best is not to be ahead of what a resumed run begins with.
        if best or last or self._seconds_since_save() >= SECONDS_BETWEEN_EPOCHS_SAVED:
            self._save()
        if last or time.monotonic() - self._drawn >= SECONDS_BETWEEN_DRAWINGS:
            self._draw()
        self.summaries.flush()

    def _lower_rate(self) -> None:
        factor = self.trainer.plateau * self.config.plateau_factor
        self.trainer.plateau.assign(factor)
        _log.info(
            'No lower validation loss for %d epochs: the learning rate drops '
            'to %g of its schedule.',
            self.config.plateau_patience,
            factor,
        )

    def _save_best(self, epoch: int) -> None:
        with self._chosen_weights():
            self.best.save(
                self.step,
                {
                    'epoch': epoch,
                    'weights': 'averaged' if self.config.ema else 'raw',
                    'specification': self.specification.to_dict(),
                },
            )

    def _row(self, epoch: int) -> dict[str, float]:
        """A row of metrics.csv: nothing in it depends on the clock."""
        losses, accuracies = self._read_totals()
        row = {
            'epoch': epoch,
            'step': self.step,
            'learning_rate': float(self.trainer.optimizer.learning_rate.numpy()),
        }
        # As in validation, `loss` is the main head's; the weighted sum is apart.
        renamed = {'loss': 'total_loss', 'main_loss': 'loss'}
        for name, value in metrics.means(losses).items():
            row[f'train_{renamed.get(name, name)}'] = value
        for name, value in metrics.means(accuracies).items():
            row[f'train_{name.removeprefix("main_")}'] = value
        self._measure_batch_norms()
        for prefix, result in self._evaluate('validation').items():
            for name, value in result.items():
                row[f'validation{prefix}_{name}'] = value
        return row

    def _measure_batch_norms(self) -> None:
        """Gives batch norms the statistics of images as evaluation has them."""
        norms = self.trainer.model.batch_norms()
        if not self.config.precise_bn or all(norm.frozen for norm in norms):
            return
        batches = self.batches.to_measure
        self.trainer.measure(self._until_stopped(batches))
        if self.trainer.average is not None:
            with self.trainer.average.swapped_in():
                self.trainer.measure(self._until_stopped(batches))

    def _evaluate(self, split: str) -> dict[str, dict[str, float]]:
        """Results of the raw weights under '', of averaged ones under '_averaged'."""
        batches = self.batches.evaluation(self.trainer.phase, split)
        results = {'': self.trainer.evaluate(self._until_stopped(batches))}
        if self.trainer.average is not None:
            with self.trainer.average.swapped_in():
                averaged = self.trainer.evaluate(self._until_stopped(batches))
            results['_averaged'] = averaged
        return results

    def _until_stopped(self, batches: tf.data.Dataset) -> Iterator[Batch]:
        for batch in batches:
            if self.stop:
                self._leave()
            yield batch

    def _describe_epoch(self, row: dict[str, float], best: bool) -> None:
        """Tells the log and TensorBoard how the epoch went."""
        validation = (
            f'loss {row["validation_loss"]:.3f}, top-1 {row["validation_top1"]:.2%}'
        )
        if self.trainer.average is not None:
            validation += f', averaged {row["validation_averaged_top1"]:.2%}'
        _log.info(
            'Epoch %d/%d: train loss %.3f, top-1 %.2f%%; validation %s%s',
            row['epoch'],
            self.epochs,
            row['train_loss'],
            100 * row['train_top1'],
            validation,
            ' (best so far)' if best else '',
        )
        scalars = {}
        for weights in ('', '_averaged'):
            for metric in ('loss', 'top1', 'top5'):
                if f'validation{weights}_{metric}' in row:
                    tag = f'{metric}/main{weights}'
                    scalars[tag] = row[f'validation{weights}_{metric}']
        self.summaries.validation(self.step, scalars)
        if self.config.histograms:
            self.summaries.histograms(self.step, variables_by_path(self.trainer.model))

    def _show_predictions(self) -> None:
        """Shows some validation images with what the network takes them for."""
        batch, names = self._shown, self.source.classes
        guesses, labels = self.trainer.predict(batch.images), batch.labels.numpy()
        self.summaries.predictions(
            self.step,
            batch.images.numpy(),
            [
                f'{names[guess]} ({names[label]})' if guess != label else names[guess]
                for guess, label in zip(guesses, labels)
            ],
            [bool(right) for right in guesses == labels],
        )

    @functools.cached_property
    def _shown(self) -> Batch:
        """The same few validation images, epoch after epoch."""
        split = sample(self.source.splits['validation'], IMAGES_SHOWN, seed=0)
        batches = data.eval_batches(
            split,
            batch_size=len(split),
            image_size=self.specification.image_size,
            bad_files=self.bad_files,
        )
        return next(iter(batches))

    def _log_training(self, seen: Sums, now: Sums) -> None:
        """Writes the means of what came between the two to TensorBoard."""
        losses, accuracies = (
            metrics.means({name: value - before[name] for name, value in after.items()})
            for before, after in zip(seen, now)
        )
        values = {
            'loss/total': losses['loss'],
            'loss/weight_decay': losses['weight_decay'],
            'gradient_norm': losses['gradient_norm'],
        }
        for head in self.trainer.heads:
            values[f'loss/{head}'] = losses[f'{head}_loss']
            values[f'top1/{head}'] = accuracies[f'{head}_top1']
            values[f'top5/{head}'] = accuracies[f'{head}_top5']
        values['learning_rate'] = float(self.trainer.optimizer.learning_rate.numpy())
        values['images_per_second'] = self.history.images_per_second
        self.summaries.train(self.step, values)

    def _show_progress(self, now: Sums) -> None:
        losses, accuracies = map(metrics.means, now)
        shown = {
            'epoch': f'{(self.step - 1) // self.steps_per_epoch + 1}/{self.epochs}',
            'loss': f'{losses["main_loss"]:.3f}',
            'top-1': f'{accuracies["main_top1"]:.1%}',
        }
        for head in self.trainer.heads[1:]:
            shown[head] = f'{accuracies[f"{head}_top1"]:.1%}'
        shown['images/s'] = f'{self.history.images_per_second:,.0f}'
        self.progress.update(self.step, shown)

    def _finish(self) -> dict[str, Any]:
        """Evaluates the best weights on everything and writes the results."""
        state = self.best.restore()
        assert state is not None, 'A run of at least one epoch has a best one.'
        names = ('averaged', 'raw') if self.trainer.average is not None else ('raw',)
        by_weights: dict[str, dict] = {name: {} for name in names}
        for split in ('validation', 'test'):
            # The best checkpoint holds the weights that were chosen in the model's
            # place: the averaged ones, where there are any.
            for name, result in zip(names, self._evaluate(split).values()):
                by_weights[name][split] = result
        elapsed = self.history.elapsed + time.monotonic() - self._began
        results = {
            'best_epoch': state['epoch'],
            'epochs': len(self.history.rows),
            'steps': len(self.history.rows) * self.steps_per_epoch,
            'seconds': elapsed,
            'training_seconds': self.history.earlier_seconds + self.history.seconds,
            'images_per_second': self.history.images_per_second,
            'weights': names[0],
            **by_weights[names[0]],
            'by_weights': by_weights,
        }
        self.directory.write_json(self.directory.results, results)
        return results

    def _draw(self) -> None:
        """Draws the curves so far, and what the network takes some images for."""
        self._draw_curves()
        self._show_predictions()
        self._drawn = time.monotonic()

    def _draw_curves(self) -> None:
        plots.plot_curves(
            self.history.rows,
            self.directory.plots / 'curves.png',
            self.history.best_epoch,
            self.history.phase_began,
        )

    def _save(self) -> None:
        self._check_bad_files()
        self._saved = time.monotonic()
        history = dataclasses.replace(
            self.history, elapsed=self.history.elapsed + self._saved - self._began
        )
        self.last.save(
            self.step,
            {
                'history': dataclasses.asdict(history),
                'bad_files': list(self.bad_files.items()),
                'specification': self.specification.to_dict(),
            },
        )

    def _save_is_due(self) -> bool:
        return self._seconds_since_save() >= 60 * self.config.checkpoint_minutes

    def _seconds_since_save(self) -> float:
        return time.monotonic() - self._saved

    def _leave(self) -> NoReturn:
        raise Stopped(
            f'{self.stop.signal_name} came: everything up to step '
            f'{self.step:,} is saved in {self.directory.path}. Run the same '
            'command again to go on.'
        )

    @contextlib.contextmanager
    def _chosen_weights(self) -> Iterator[None]:
        """The model holds the averaged weights meanwhile, where there are any."""
        if self.trainer.average is None:
            yield
        else:
            with self.trainer.average.swapped_in():
                yield

    def _read_totals(self) -> Sums:
        return Sums(self.trainer.losses.read(), self.trainer.accuracies.read())

    def _check_bad_files(self) -> None:
        self._write_bad_files()
        total = sum(map(len, self.source.splits.values()))
        self.bad_files.check(total, self.config.max_bad_fraction)

    def _write_bad_files(self) -> None:
        items = self.bad_files.items()
        if items:
            self.directory.write_bad_files(
                (file.name, self.source.classes[file.label], file.reason)
                for file in items
            )

    def _image_size(self, epoch: int) -> int:
        """Side of the training images in an epoch, counted from 0."""
        size = self.specification.image_size
        for start, scheduled in self.config.image_size_schedule:
            if epoch >= start:
                size = scheduled
        return size
