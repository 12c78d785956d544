"""From a configuration to results: `train` makes the parts of a run and runs them."""

import contextlib
import logging
import tempfile
from typing import Any

import tensorflow as tf

from trainers.networks import build as networks
from trainers.reporting.logs import log_to
from trainers.reporting.progress import Progress
from trainers.reporting.reporter import Reporter
from trainers.run import trials
from trainers.run.batches import Batches, steps_per_epoch
from trainers.run.caching import decoded
from trainers.run.checkpointer import Checkpointer
from trainers.run.description import (
    describe_bad_files,
    describe_results,
    describe_start,
)
from trainers.run.features import FeatureCache
from trainers.run.loop import Loop
from trainers.run.signals import Stopped, StopRequest, stop_on_signals
from trainers.run.source import load_source, reduced
from trainers.settings.config import Config
from trainers.settings.phases import total_epochs
from trainers.step import precision
from trainers.step.losses import balanced_class_weights
from trainers.step.trainer import Trainer
from trainers.storage import environment
from trainers.storage.checkpoints import latest
from trainers.storage.resume import completed, run_dir_of
from trainers.storage.run_directory import RunDirectory
from vision.data import BadFiles, Source
from vision.data.augment import Augmenter
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


def train(config: Config) -> dict[str, Any]:
    """Runs a configuration, or what remains of it, and returns the results.

    Args:
        config: the run's settings.

    Returns:
        What results.json holds.

    Raises:
        Stopped: a signal came; everything is saved.
        UserError: something that the user can correct; the message says how.
    """
    if not config.dry_run:
        return _run(config)
    with tempfile.TemporaryDirectory(prefix='tapestry-dry-run-') as folder:
        results = _run(trials.dry(config, folder), dry=True)
    _log.info('Dry run passed: one step of everything works, and no files are kept.')
    return results


def _run(config: Config, dry: bool = False) -> dict[str, Any]:
    """The run, from the images to the results; a dry one uses few images."""
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    given = completed(config)
    config = trials.overfitting(given)
    source = load_source(config)
    begun = begun_specification(config)
    specification = begun or networks.specify(config, source.classes, source.image_size)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        # Before the directory is made: it would keep the settings if they are refused.
        trainer, notes = build(config, specification, source, resumed=begun is not None)
        directory = stack.enter_context(open_directory(given, source, trainer))
        stack.enter_context(log_to(directory.log, expected=(Stopped,)))
        environment.record(directory)
        steps = steps_per_epoch(config, source)
        describe_start(config, specification, source, trainer, steps, directory.path)
        for note in (*directory.notes, *notes):
            _log.warning('%s', note)
        if dry:
            source = reduced(source, config.batch_size)
        progress = stack.enter_context(Progress(total_epochs(config) * steps))
        bad_files = BadFiles()
        reporter = Reporter(config, directory, trainer.state, source.classes, progress)
        loop = make_loop(
            config, specification, source, trainer, directory, bad_files, reporter, stop
        )
        results = loop.run()
        progress.finish()
        describe_results(config, len(source.classes), directory, results)
        describe_bad_files(bad_files, source)
    return results


def make_loop(
    config: Config,
    specification: Specification,
    source: Source,
    trainer: Trainer,
    directory: RunDirectory,
    bad_files: BadFiles,
    reporter: Reporter,
    stop: StopRequest,
) -> Loop:
    """The loop of a run, with its batches and its checkpoints.

    Args:
        config: the run's settings.
        specification: stored with the weights.
        source: the dataset; its images are decoded here, where they fit the memory.
        trainer: the network and its phases.
        directory: of the run, opened for writing.
        bad_files: records the images that cannot be decoded.
        reporter: receives every event.
        stop: set when a signal came.
    """
    features = FeatureCache(
        config, specification, source, trainer.state.model, directory, bad_files, stop
    )
    if not all(phase.settings.cached for phase in trainer.phases):
        source = decoded(config, source, bad_files)
    return Loop(
        config,
        trainer,
        Batches(config, specification.image_size, source, features, bad_files),
        Checkpointer(config, specification, trainer, directory, source, bad_files),
        reporter,
        stop,
        directory.resumed,
    )


def open_directory(config: Config, source: Source, trainer: Trainer) -> RunDirectory:
    """The run's directory, locked for this process."""
    labels = [{'id': i, 'name': n} for i, n in zip(source.ids, source.classes)]
    rates = networks.dropout_rates(trainer.state.model)
    return RunDirectory.open(run_dir_of(config), config, labels, rates)


def begun_specification(config: Config) -> Specification | None:
    """The specification in the newest checkpoint of the run to resume, if there is one.

    It holds whatever defaults have changed since, and what the run was initialized from
    may be gone.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    if config.resume == 'never':
        return None
    newest = latest(RunDirectory(run_dir_of(config)).checkpoints_last)
    return Specification.from_dict(newest[1]['specification']) if newest else None


def build(
    config: Config, specification: Specification, source: Source, resumed: bool = False
) -> tuple[Trainer, list[str]]:
    """The model with its initial weights in its trainer, and notes on the settings.

    Raises:
        ConfigError: the model does not accept one of the settings.
        DatasetError: there are too few images for a batch.
        UserError: there is no such augmentation, or the pretrained weights are missing
            or belong to another model.
    """
    Augmenter(config.augment, specification.image_size)
    steps = steps_per_epoch(config, source)
    dtype = precision.resolve(config.precision)
    network, notes = networks.build(config, specification, dtype, resumed)
    class_weights = None
    if config.class_weights == 'balanced':
        labels = source.splits['train'].labels
        class_weights = balanced_class_weights(labels, len(source.classes))
    return Trainer(network, config, steps, dtype, class_weights), notes
