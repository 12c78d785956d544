"""From a configuration to results: puts together what a run is made of."""

import contextlib
import dataclasses
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from trainers.networks import build as networks
from trainers.networks import pretrained
from trainers.reporting.downloading import download
from trainers.reporting.progress import ConsoleHandler, Progress, format_duration
from trainers.run.batches import steps_per_epoch
from trainers.run.caching import decoded
from trainers.run.features import FeatureCache
from trainers.run.loop import Loop, sample
from trainers.run.signals import Stopped, stop_on_signals
from trainers.settings.config import Config
from trainers.settings.parsing import Freeze
from trainers.settings.phases import phases, total_epochs
from trainers.step import precision
from trainers.step.trainer import Trainer
from trainers.storage import environment
from trainers.storage.checkpoints import Checkpoints
from trainers.storage.run_directory import RunDirectory, run_dir_of
from vision import data
from vision.data import BadFiles, Source
from vision.data.augment import Augmenter, parse
from vision.errors import UserError
from vision.models import Network
from vision.models.profile import count_macs, count_numbers, count_parameters
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


def train(config: Config, console: ConsoleHandler) -> dict[str, Any]:
    """Runs a configuration, or what is left of it, and returns the results.

    Args:
        config: the run's settings.
        console: the log on the terminal, which the progress line has to get along with.

    Raises:
        signals.Stopped: a signal came; everything is saved.
        UserError: something that a person can mend; the message says how.
    """
    if config.dry_run:
        return _dry_run(config, console)
    return _run(config, console)


def _run(config: Config, console: ConsoleHandler, dry: bool = False) -> dict[str, Any]:
    """The run, from the images to the results; `dry` looks at few of them."""
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    asked, config = config, simplify(config)
    source = load_source(config)
    begun = begun_specification(config)
    specification = begun or networks.specify(config, source.classes, source.image_size)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(stop_on_signals())
        # Built before there is a directory, which would hold on to refused settings.
        trainer, notes = build(config, specification, source, resumed=begun is not None)
        directory = stack.enter_context(open_directory(asked, source))
        stack.enter_context(log_to(directory.log))
        record_environment(directory)
        describe(config, specification, source, trainer, directory)
        for note in (*directory.notes, *notes):
            _log.warning('%s', note)
        if dry:
            source = _few_of(source, config.batch_size)
        bad_files = BadFiles()
        features = FeatureCache(
            config, specification, source, trainer.model, directory, bad_files, stop
        )
        if not all(phase.cached for phase in phases(config)):
            source = decoded(config, source, bad_files)
        total = total_epochs(config) * steps_per_epoch(config, source)
        console.progress = stack.enter_context(Progress(total))
        loop = Loop(
            config,
            specification,
            source,
            trainer,
            directory,
            bad_files,
            stop,
            console.progress,
            features,
        )
        results = loop.run()
        console.progress.finish()
        conclude(config, source, directory, results)
        describe_bad_files(bad_files, source)
    return results


def _dry_run(config: Config, console: ConsoleHandler) -> dict[str, Any]:
    """One step of everything, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix='tapestry-dry-run-') as folder:
        short = dataclasses.replace(
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
        results = _run(short, console, dry=True)
    _log.info('Dry run passed: one step of everything works, and nothing was kept.')
    return results


def _few_of(source: Source, count: int) -> Source:
    """At most `count` images of each split."""
    return dataclasses.replace(
        source,
        splits={
            name: sample(split, count, seed=0) for name, split in source.splits.items()
        },
    )


def simplify(config: Config) -> Config:
    """The settings that `overfit_batches` implies: nothing that keeps from fitting."""
    if not config.overfit_batches:
        return config
    options = dict(config.model_options)
    if 'block_dropout' in networks.option_defaults(config.model):
        options['block_dropout'] = 0
    return dataclasses.replace(
        config,
        augment=(),
        image_size_schedule=(),
        dropout=0.0,
        feature_dropout=0.0,
        aux_dropout=0.0,
        model_options=tuple(options.items()),
        label_smoothing=0.0,
        weight_decay=0.0,
    )


def load_source(config: Config) -> Source:
    """The dataset, with its splits checked against each other.

    Raises:
        DatasetError: there is no such dataset, or it is not what it should be.
    """
    # With published weights to fetch, the images may be one's own.
    if config.download and (
        config.pretrained != pretrained.PUBLISHED or data.is_obtainable(config.dataset)
    ):
        download(config.dataset, config.data_dir)
    held_out = data.HeldOut(
        config.split_seed, config.validation_fraction, config.test_fraction
    )
    source = data.load(config.dataset, config.data_dir, held_out)
    data.check_disjoint(source)
    if not config.overfit_batches:
        return source
    count = config.overfit_batches * config.batch_size
    few = sample(source.splits['train'], count, config.seed)
    return dataclasses.replace(source, splits=dict.fromkeys(source.splits, few))


def open_directory(config: Config, source: Source) -> RunDirectory:
    """The run's directory, locked for this process."""
    labels = [{'id': i, 'name': n} for i, n in zip(source.ids, source.classes)]
    return RunDirectory.open(run_dir_of(config), config, labels)


def begun_specification(config: Config) -> Specification | None:
    """The specification in the newest checkpoint of the run to resume, if there is one.

    It holds whatever defaults have changed since, and what the run was initialized from
    may be gone.

    Raises:
        CheckpointError: all checkpoints are damaged.
    """
    if config.resume == 'never':
        return None
    directory = RunDirectory(run_dir_of(config))
    if not directory.checkpoints_last.is_dir():
        return None
    found = Checkpoints(directory.checkpoints_last, tf.train.Checkpoint()).newest(
        set_aside=False
    )
    return Specification.from_dict(found[1]['specification']) if found else None


def build(
    config: Config, specification: Specification, source: Source, resumed: bool = False
) -> tuple[Trainer, list[str]]:
    """The model with its first weights in its trainer, and notes about the settings.

    Raises:
        ConfigError: the model does not take one of the settings.
        DatasetError: there are too few images for a batch.
        UserError: there is no such augmentation, or the pretrained weights cannot be
            had, or are not of this model.
    """
    Augmenter([parse(text) for text in config.augment], specification.image_size)
    steps = steps_per_epoch(config, source)
    dtype = precision.resolve(config.precision)
    network, notes = networks.build(config, specification, dtype, resumed)
    return Trainer(network, config, steps, dtype, class_weights(config, source)), notes


def class_weights(config: Config, source: Source) -> np.ndarray | None:
    """float32 [classes] so that each class counts alike and images 1 on average."""
    if config.class_weights == 'none':
        return None
    labels = source.splits['train'].labels
    counts = np.bincount(labels, minlength=len(source.classes))
    present = np.count_nonzero(counts)
    return (len(labels) / (present * np.maximum(counts, 1))).astype(np.float32)


def record_environment(directory: RunDirectory) -> None:
    """Adds this start to environment.json, which lists every start of the run."""
    starts = []
    with contextlib.suppress(FileNotFoundError, ValueError):
        starts = json.loads(directory.environment.read_bytes())
    directory.write_json(directory.environment, [*starts, environment.describe()])


@contextlib.contextmanager
def log_to(path: Path) -> Iterator[None]:
    """Appends all log messages to a file meanwhile, and how it ended if not well."""
    # Names of files need not be valid UTF-8.
    handler = logging.FileHandler(path, encoding='utf-8', errors='backslashreplace')
    handler.setFormatter(logging.Formatter('%(asctime)s %(levelname)s %(message)s'))
    logging.getLogger().addHandler(handler)
    try:
        yield
    except Exception as error:
        # Only the file: on the terminal it is the command that says it.
        expected = isinstance(error, (UserError, Stopped))
        handler.handle(
            logging.makeLogRecord(
                {
                    'levelname': 'INFO' if isinstance(error, Stopped) else 'ERROR',
                    'msg': str(error) if expected else repr(error),
                    'exc_info': None
                    if expected
                    else (type(error), error, error.__traceback__),
                }
            )
        )
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def describe(
    config: Config,
    specification: Specification,
    source: Source,
    trainer: Trainer,
    directory: RunDirectory,
) -> None:
    """Says what is going to be trained, on what, where and how."""
    model, size = trainer.model, specification.image_size
    heads = sum(map(count_parameters, model.heads.values()))
    counts = ', '.join(
        f'{len(split):,} {name}' for name, split in source.splits.items()
    )
    gpus = ', '.join(gpu.name for gpu in environment.gpus())
    steps = steps_per_epoch(config, source)
    in_heads = f', {heads:,} of them in auxiliary heads' if heads else ''
    for title, text in {
        'Model': f'{config.model}: {count_parameters(model):,} parameters{in_heads}'
        f'; {count_macs(model, size) / 1e6:,.0f} million multiplications '
        'an image',
        'Dropout': _describe_dropout(model),
        **_describe_transfer(config, trainer),
        'Images': f'{source.name}: {counts}; {len(source.classes)} classes; '
        f'{size}×{size} pixels, {specification.normalization}',
        'Training': ', then '.join(
            f'{phase.epochs} epochs of {steps:,} steps of {config.batch_size}; '
            f'{config.optimizer}, {config.schedule} from '
            f'{phase.config.learning_rate:g}'
            for phase in phases(config)
        ),
        'Arithmetic': f'{model.dtype.name} on {gpus or environment.cpu_model()}',
        'Run': str(directory.path),
        'Watch': f'tensorboard --logdir={directory.path / "tensorboard"}',
    }.items():
        _log.info('%-10s  %s', title, text)


def _describe_dropout(model: Network) -> str:
    """The rates in force: of the settings, or else the network's own."""
    rates = networks.dropout_rates(model)
    parts = [f'{rates["dropout"]:g}']
    if rates['feature_dropout']:
        parts.append(f'{rates["feature_dropout"]:g} of the features')
    if 'aux_dropout' in rates:
        parts.append(f'{rates["aux_dropout"]:g} in auxiliary heads')
    return ', '.join(parts)


def _describe_transfer(config: Config, trainer: Trainer) -> dict[str, str]:
    """Where the weights come from and which of them change, where that is not plain."""
    lines = {}
    if config.pretrained:
        lines['Weights'] = f'from {config.pretrained}'
    if any(phase.freeze != Freeze() for phase in phases(config)):
        total = count_parameters(trainer.model)
        for title, weights in zip(('Trained', 'Then'), trainer.weights_by_phase):
            learn = count_numbers(weights)
            lines[title] = f'{learn:,} parameters; {total - learn:,} frozen'
    return lines


def conclude(
    config: Config, source: Source, directory: RunDirectory, results: dict[str, Any]
) -> None:
    """Says how the run went and what can be done with it."""
    classes = len(source.classes)
    _log.info('')
    _log.info(
        'Best epoch  %d of %d: validation %s',
        results['best_epoch'],
        results['epochs'],
        _in_words(results['validation'], classes),
    )
    _log.info(
        'Test        %s%s',
        _in_words(results['test'], classes),
        ' (averaged weights)' if config.ema else '',
    )
    _log.info(
        'Time        %s; %.0f images/s in training',
        format_duration(results['seconds']),
        results['images_per_second'],
    )
    _log.info(
        'Results     %s and %s beside it', directory.results, directory.metrics.name
    )
    _log.info(
        'Next        look at %s, or at more of it with', directory.plots / 'curves.png'
    )
    _log.info('            tensorboard --logdir=%s', directory.path / 'tensorboard')
    _log.info('            see where it is right and wrong with')
    _log.info('            python -m scripts.evaluate --run_dir=%s', directory.path)


def _in_words(result: dict[str, float], classes: int) -> str:
    """Accuracy and loss; among five classes and fewer, top-5 says nothing."""
    top5 = f'top-5 {result["top5"]:.2%}, ' if classes > 5 else ''
    return f'top-1 {result["top1"]:.2%}, {top5}loss {result["loss"]:.3f}'


def describe_bad_files(bad_files: BadFiles, source: Source) -> None:
    """Says how many images of which classes were left out, where there were any."""
    counts = Counter(file.label for file in bad_files.items())
    if counts:
        classes = ', '.join(
            f'{count} of {source.classes[label]}'
            for label, count in counts.most_common()
        )
        _log.warning(
            'Left out    %d images that cannot be decoded (%s); see bad_files.csv',
            counts.total(),
            classes,
        )
