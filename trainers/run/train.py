"""From a configuration to results: `train` makes the parts of a run and runs them."""

import contextlib
import dataclasses
import functools
import logging
import tempfile
from typing import Any

import tensorflow as tf

from trainers.networks import build as networks
from trainers.reporting.logs import log_to
from trainers.reporting.progress import Progress
from trainers.reporting.reporter import Reporter
from trainers.run.batches import Batches, steps_per_epoch
from trainers.run.caching import decoded, extract_features
from trainers.run.checkpointer import Checkpointer
from trainers.run.description import (
    describe_bad_files,
    describe_results,
    describe_start,
)
from trainers.run.loop import Loop
from trainers.run.signals import Stopped, StopRequest, stop_on_signals
from trainers.run.source import load_source, prepare, reduced
from trainers.settings.config import CUSTOM, Config, ConfigError
from trainers.step import precision
from trainers.step.losses import balanced_class_weights
from trainers.step.trainer import Trainer
from trainers.storage import environment
from trainers.storage.checkpoints import latest
from trainers.storage.resume import completed, run_dir_of
from trainers.storage.run_directory import Labels, RunDirectory
from vision.data import BadFiles, Source
from vision.data.augment import Augmenter
from vision.models import Network
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


def train(
    config: Config, network: Network | None = None, source: Source | None = None
) -> dict[str, Any]:
    """Runs a configuration, or what remains of it, and returns the results.

    Args:
        config: the run's settings.
        network: an object in the place of `config.model`, with its initial weights;
            'custom' is recorded as its name. A run that is resumed replaces them.
        source: an object in the place of `config.dataset`, likewise.

    Returns:
        What results.json holds.

    Raises:
        Stopped: a signal came; everything is saved.
        UserError: something that the user can correct; the message says how.
    """
    config = completed(_with_objects(config, network, source))
    if not config.dry_run:
        return _run(config, network, source)
    with tempfile.TemporaryDirectory(prefix='tapestry-dry-run-') as folder:
        one_step = dataclasses.replace(
            config,
            dry_run=False,
            resume='auto',
            epochs=1,
            finetune_epochs=min(config.finetune_epochs, 1),
            limit_train_batches=1,
            limit_eval_batches=1,
            run_dir=f'{folder}/run',
            cache_dir=f'{folder}/cache',
        )
        results = _run(one_step, network, source, config)
    _log.info('Dry run passed: one step of everything works, and no files are kept.')
    return results


def _with_objects(
    config: Config, network: Network | None, source: Source | None
) -> Config:
    """The settings, which name objects 'custom'.

    Raises:
        ConfigError: an object is missing, or the run has no directory.
    """
    changes: dict[str, Any] = {}
    for setting, kind, given in (
        ('model', 'Network', network),
        ('dataset', 'Source', source),
    ):
        if given is not None:
            changes[setting] = CUSTOM
        elif getattr(config, setting) == CUSTOM:
            raise ConfigError(
                f'Expected a {kind} object as {kind.lower()}=..., since the {setting} '
                f'of this run is {CUSTOM!r}: call trainers.train with it.'
            )
    if changes and not (config.run_dir or config.dry_run):
        raise ConfigError(
            'Expected run_dir with a Network or Source object, since the default '
            'directory has the names of the model and the dataset.'
        )
    return dataclasses.replace(config, **changes)


def _overfitting(config: Config) -> Config:
    """With `overfit_batches`, the settings without anything that prevents overfitting.

    Without it, the settings unchanged.
    """
    if not config.overfit_batches:
        return config
    changes: dict[str, Any] = {
        'augment': (),
        'image_size_schedule': (),
        'label_smoothing': 0.0,
        'weight_decay': 0.0,
    }
    if config.model != CUSTOM:
        changes |= dict.fromkeys(networks.DROPOUT, 0.0)
        if 'block_dropout' in networks.option_defaults(config.model):
            changes['model_options'] = tuple(
                {**dict(config.model_options), 'block_dropout': 0}.items()
            )
    return dataclasses.replace(config, **changes)


def _run(
    given: Config,
    network: Network | None,
    source: Source | None,
    tried: Config | None = None,
) -> dict[str, Any]:
    """The run, from the images to the results; a dry one uses few images.

    Args:
        given: the settings, of a dry run with one step in a temporary directory.
        network, source: as for `train`.
        tried: the settings of the start that a dry run tries; None for a start itself.
    """
    asked = tried or given
    if given.deterministic:
        tf.config.experimental.enable_op_determinism()
    config = _overfitting(given)
    source = load_source(config) if source is None else prepare(config, source)
    begun = begun_specification(asked)
    specification = begun or networks.specify(
        config, source.classes, source.image_size, network
    )
    networks.check_network(specification, network, run_dir_of(asked))
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        # Before the directory is made: it would keep the settings if they are refused.
        trainer, notes = build(
            config, specification, source, begun is not None, network
        )
        run = RunDirectory(run_dir_of(asked))
        if tried and tried.resume != 'never' and run.config.is_file():
            run.compare(tried, _labels(source))
        directory = stack.enter_context(
            open_directory(given, source, trainer, specification)
        )
        stack.enter_context(log_to(directory.log, expected=(Stopped,)))
        environment.record(directory)
        steps = steps_per_epoch(config, source)
        describe_start(config, specification, source, trainer, steps, directory.path)
        for note in (*directory.notes, *notes):
            _log.warning('%s', note)
        if tried:
            source = reduced(source, config.batch_size)
        progress = stack.enter_context(
            Progress(steps * sum(phase.config.epochs for phase in trainer.phases))
        )
        reporter = stack.enter_context(
            Reporter(config, directory, trainer.state, source.classes, progress)
        )
        loop = make_loop(
            config, specification, source, trainer, directory, reporter, stop
        )
        results = loop.run()
        directory.write_json(directory.results, results)
        describe_results(config, len(source.classes), directory, results)
        describe_bad_files(loop.checkpointer.bad_files, source)
    return results


def make_loop(
    config: Config,
    specification: Specification,
    source: Source,
    trainer: Trainer,
    directory: RunDirectory,
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
        reporter: receives every event.
        stop: set when a signal came.
    """
    bad_files = BadFiles()
    features = functools.partial(
        extract_features,
        config,
        specification,
        source,
        trainer.state.model,
        directory.path,
        bad_files,
        stop,
    )
    if any(phase.config.features == 'live' for phase in trainer.phases):
        source = decoded(config, specification.image_size, source, bad_files)
    return Loop(
        config,
        trainer,
        Batches(config, specification.image_size, source, features, bad_files),
        Checkpointer(config, specification, trainer, directory, source, bad_files),
        reporter,
        stop,
    )


def open_directory(
    config: Config, source: Source, trainer: Trainer, specification: Specification
) -> RunDirectory:
    """The run's directory, locked for this process."""
    model = trainer.state.model
    in_force: dict[str, Any] = dict(model.dropout_rates)
    if config.model != CUSTOM:
        in_force |= {
            'image_size': specification.image_size,
            'normalization': specification.normalization,
            'pooling': model.head.pooling,
            'dense': tuple(layer.bias.shape[0] for layer in model.head.dense),
        }
    return RunDirectory.open(
        run_dir_of(config),
        config,
        _labels(source),
        in_force,
    )


def _labels(source: Source) -> Labels:
    return [{'id': i, 'name': name} for i, name in zip(source.ids, source.classes)]


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
    config: Config,
    specification: Specification,
    source: Source,
    resumed: bool = False,
    network: Network | None = None,
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
    dtype = network.dtype.name if network else precision.resolve(config.precision)
    network, notes = networks.build(config, specification, dtype, resumed, network)
    class_weights = (
        balanced_class_weights(source.splits['train'].labels, len(source.classes))
        if config.class_weights == 'balanced'
        else None
    )
    return Trainer(network, config, steps, dtype, class_weights), notes
