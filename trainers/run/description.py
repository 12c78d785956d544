"""What a run logs before its first step and after its last."""

import logging
from collections import Counter
from pathlib import Path
from typing import Any

from trainers.reporting.progress import format_duration
from trainers.settings.config import Config
from trainers.settings.parsing import Freeze
from trainers.step.trainer import Trainer
from trainers.storage import environment
from trainers.storage.run_directory import RunDirectory
from vision.data import BadFiles, Source
from vision.models import Network
from vision.models.profile import count_macs, count_numbers, count_parameters
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


def describe_start(
    config: Config,
    specification: Specification,
    source: Source,
    trainer: Trainer,
    steps_per_epoch: int,
    run_dir: Path,
) -> None:
    """Logs the network, the images, the phases, the hardware and the directory."""
    model, size = trainer.state.model, specification.image_size
    heads = sum(map(count_parameters, model.heads.values()))
    counts = ', '.join(
        f'{len(split):,} {name}' for name, split in source.splits.items()
    )
    gpus = ', '.join(gpu.name for gpu in environment.gpus())
    in_heads = f', {heads:,} of them in auxiliary heads' if heads else ''
    for title, text in {
        'Model': f'{config.model}: {count_parameters(model):,} parameters{in_heads}'
        f'; {count_macs(model, size) / 1e6:,.0f} million multiplications '
        'per image',
        'Dropout': _describe_dropout(model),
        'Weights': f'from {config.pretrained}' if config.pretrained else '',
        'Trained': _describe_trained(trainer),
        'Images': f'{source.name}: {counts}; {len(source.classes)} classes; '
        f'{size}×{size} pixels, {specification.normalization}',
        'Training': ', then '.join(
            f'{phase.config.epochs} epochs of {steps_per_epoch:,} steps of '
            f'{config.batch_size}; {config.optimizer}, {config.schedule} from '
            f'{phase.config.learning_rate:g}'
            for phase in trainer.phases
        ),
        'Precision': f'{model.dtype.name} on {gpus or environment.cpu_model()}',
        'Run': str(run_dir),
        'Watch': f'tensorboard --logdir={run_dir / "tensorboard"}',
    }.items():
        if text:
            _log.info('%-10s  %s', title, text)


def _describe_dropout(model: Network) -> str:
    """The rates in force: of the settings, or else the network's own."""
    rates = model.dropout_rates
    parts = [f'{rates["dropout"]:g}']
    if rates['feature_dropout']:
        parts.append(f'{rates["feature_dropout"]:g} of the features')
    if 'aux_dropout' in rates:
        parts.append(f'{rates["aux_dropout"]:g} in auxiliary heads')
    return ', '.join(parts)


def _describe_trained(trainer: Trainer) -> str:
    """How many parameters each phase trains; empty where all of them are trained."""
    if all(phase.config.freeze == Freeze() for phase in trainer.phases):
        return ''
    total = count_parameters(trainer.state.model)
    counts = [count_numbers(phase.weights) for phase in trainer.phases]
    return ', then '.join(
        f'{count:,} parameters; {total - count:,} frozen' for count in counts
    )


def describe_results(
    config: Config, classes: int, directory: RunDirectory, results: dict[str, Any]
) -> None:
    """Logs the results, where they are, and which command evaluates the run."""
    for line in (
        '',
        f'Best epoch  {results["best_epoch"]} of {results["epochs"]}: '
        f'validation {_accuracy(results["validation"], classes)}',
        f'Test        {_accuracy(results["test"], classes)}'
        f'{" (averaged weights)" if config.ema else ""}',
        f'Time        {format_duration(results["seconds"])}; '
        f'{results["images_per_second"]:.0f} images/s in training',
        f'Results     {directory.results}, {directory.metrics}',
        f'Next        open {directory.plots / "curves.png"}, or run',
        f'            tensorboard --logdir={directory.path / "tensorboard"}',
        f'            python -m scripts.evaluate --run_dir={directory.path}',
    ):
        _log.info('%s', line)


def _accuracy(result: dict[str, float], classes: int) -> str:
    """Accuracy and loss; of up to five classes, top-5 is always 100 %."""
    top5 = f'top-5 {result["top5"]:.2%}, ' if classes > 5 else ''
    return f'top-1 {result["top1"]:.2%}, {top5}loss {result["loss"]:.3f}'


def describe_bad_files(bad_files: BadFiles, source: Source) -> None:
    """Logs how many images of which classes could not be decoded, if any."""
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
