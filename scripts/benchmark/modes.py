"""The modes of the benchmark: the workloads of each, and which are compared."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from scripts.benchmark import keras_inception, keras_input
from scripts.benchmark.end_to_end import measure_loop
from scripts.benchmark.settings import MODES, Settings
from scripts.benchmark.timing import (
    Row,
    Workload,
    measure,
    ratio,
    row,
    warm_up,
    with_shares,
)
from scripts.benchmark.workloads import (
    bare_decoding,
    device_batch,
    matrix_product,
    noise,
    pipeline,
    synthetic_source,
    training_steps,
)
from trainers.networks import build as networks
from trainers.run import train
from trainers.run.batches import steps_per_epoch
from trainers.run.caching import decoded
from trainers.run.source import load_source
from trainers.settings.config import Config
from trainers.step import precision
from vision import data, models
from vision.data import ArraySplit, BadFiles, DatasetError, FileSplit, Source, Split

MEMORY, FILES = 'from memory', 'from files'
SECONDS_PER_EPOCH = 5.0  # Of the training loop in end_to_end.

_log = logging.getLogger(__name__)


class Result(NamedTuple):
    """The result of a mode.

    Attributes:
        settings: what the speed depends on, in JSON values.
        rows: one for each workload.
        ratios: of medians, by the names of both.
    """

    settings: dict[str, Any]
    rows: list[Row]
    ratios: dict[str, float]


def run(config: Config, settings: Settings) -> Result:
    """The result of the mode that the settings name."""
    return globals()[MODES[settings.mode].function](config, settings)


def step(config: Config, settings: Settings) -> Result:
    """Training steps on synthetic images, and the matrix product as upper bound."""
    config = _plain(config, models.default_image_size(config.model))
    source = synthetic_source(config, settings.classes)
    product = matrix_product(config.precision)
    steps = _steps(config, source, f'{config.model}, {config.precision}')
    rows = measure([product, steps], settings, settings.steps)
    return _result(config, settings, with_shares(rows, product.name))


def input_pipeline(config: Config, settings: Settings) -> Result:
    """The input alone: from memory and from files, with and without augmentation."""
    source = load_source(config)
    config = _plain(config, source.image_size)
    data.steps_per_epoch(source.splits['train'], config.batch_size)
    places = _places(config, source)
    workloads, pairs = [], []
    for place, split in places.items():
        plain = dataclasses.replace(config, augment=())
        workloads.append(pipeline(place, split, plain, settings.warmup_steps))
        if config.augment:
            name = f'{place}, {" ".join(map(str, config.augment))}'
            workloads.append(pipeline(name, split, config, settings.warmup_steps))
            pairs.append((name, place))
    bare = _bare_decoding(places, settings)
    pairs += [(FILES, workload.name) for workload in bare]
    rows = measure([*workloads, *bare], settings, settings.steps)
    return _result(config, settings, rows, pairs)


def end_to_end(config: Config, settings: Settings) -> Result:
    """The training loop, and the same steps alone on synthetic images.

    An epoch is the turn of the loop. It should be long compared to what the input
    prepares in advance, a few batches.

    Raises:
        DatasetError: the training split does not fill two batches.
    """
    source = load_source(config)
    config = _plain(config, source.image_size)
    image_size = config.image_size or source.image_size
    source = decoded(config, source, BadFiles())
    images = noise(config.batch_size, image_size, len(source.classes))
    baseline = _steps(config, source, 'steps on synthetic images', images)
    fitting = max(4, warm_up(baseline, settings, SECONDS_PER_EPOCH))
    config = dataclasses.replace(config, limit_train_batches=settings.steps or fitting)
    steps = steps_per_epoch(config, source)
    if steps < 2:
        raise DatasetError(
            'Expected at least two training steps in a turn of the loop, received '
            f'{steps}. Change --steps or --batch_size.'
        )
    config = dataclasses.replace(
        config,
        limit_train_batches=steps,
        log_every=max(1, min(config.log_every, steps // 2)),
    )
    loop_seconds, step_seconds = measure_loop(
        config, source, baseline, settings.repeats
    )
    loop = dataclasses.replace(baseline, name='training loop')
    return _result(
        config,
        dataclasses.replace(settings, steps=steps),
        [row(loop, loop_seconds), row(baseline, step_seconds)],
        [(loop.name, baseline.name)],
    )


def peers(config: Config, settings: Settings) -> Result:
    """The network, and the same one in Keras, in turns of a single step.

    Raises:
        ConfigError: the model is not built in Keras.
    """
    keras_inception.check(config.model)
    config = _plain(config, models.default_image_size(config.model))
    config = dataclasses.replace(
        config,
        optimizer='adam',
        weight_decay=0.0,
        clip_norm=0.0,
        label_smoothing=0.0,
        xla=False,
    )
    source = synthetic_source(config, settings.classes)
    single = dataclasses.replace(config, precision='float32')
    steps = _steps(single, source, 'tapestry, float32')
    baseline = _keras_steps(config, source, steps.gflop, 'float32')
    workloads, pairs = [baseline, steps], [(steps.name, baseline.name)]
    if config.precision != 'float32':
        fast = _steps(config, source, f'tapestry, {config.precision}')
        mixed = _keras_steps(config, source, steps.gflop, f'mixed_{config.precision}')
        workloads += [mixed, fast]
        pairs += [(fast.name, baseline.name), (fast.name, mixed.name)]
    rows = measure(workloads, settings, settings.steps or 1)
    return _result(config, settings, rows, pairs)


def input_peers(config: Config, settings: Settings) -> Result:
    """The input pipeline and those of Keras, from the same files.

    Raises:
        ConfigError: Keras cannot read these images, or augment them in this way.
        DatasetError: Keras stopped at an image.
    """
    keras_input.check_augmentations(config.augment)
    source = load_source(config)
    config = _plain(config, source.image_size)
    keras_input.check_files(source.splits['train'])
    data.steps_per_epoch(source.splits['train'], config.batch_size)
    places = _places(config, source)
    pipelines = _pipelines(config, places, settings)
    bare = _bare_decoding(places, settings)
    with keras_input.linked(_good_files(places), config.batch_size) as folder:
        baselines = keras_input.workloads(folder, config, settings.warmup_steps)
        rows = measure([*baselines, *bare, *pipelines], settings, settings.steps)
    pairs = [(first, second) for first in pipelines[:2] for second in baselines]
    pairs += [(pipelines[0], workload) for workload in bare]
    names = [(first.name, second.name) for first, second in pairs]
    return _result(config, settings, rows, names)


def _plain(config: Config, image_size: int) -> Config:
    """The settings without interruptions and averages, with image size and precision.

    Args:
        config: the settings.
        image_size: what an empty setting means.
    """
    return dataclasses.replace(
        config,
        image_size=config.image_size or image_size,
        image_size_schedule=(),
        precision=precision.resolve(config.precision),
        ema=0.0,
        early_stopping=0,
        plateau_patience=0,
        limit_eval_batches=1,
    )


def _steps(
    config: Config, source: Source, name: str, split: Split | None = None
) -> Workload:
    """Training steps on one batch: `split`, by default all of the training split."""
    specification = networks.specify(config, source.classes, source.image_size)
    trainer, _ = train.build(config, specification, source)
    batch = device_batch(split or source.splits['train'])
    return training_steps(name, trainer.phases[0], batch)


def _keras_steps(config: Config, source: Source, gflop: float, policy: str) -> Workload:
    lacks_norm = policy != 'float32' and keras_inception.has_norm(config.model)
    specification = networks.specify(config, source.classes, source.image_size)
    network, _ = networks.build(config, specification, 'float32')
    return keras_inception.training_steps(
        f'Keras, {policy}' + (' without LRN' if lacks_norm else ''),
        config,
        specification.normalization,
        networks.dropout_rates(network),
        len(source.classes),
        device_batch(source.splits['train']),
        gflop,
        policy,
    )


def _places(config: Config, source: Source) -> dict[str, Split]:
    """The training split in each place from which training may read it."""
    split = source.splits['train']
    in_memory = decoded(config, source, BadFiles()).splits['train']
    places: dict[str, Split] = {}
    if isinstance(in_memory, ArraySplit):
        places[MEMORY] = in_memory
    if not isinstance(split, ArraySplit):
        places[FILES] = split
    return places


def _pipelines(
    config: Config, places: dict[str, Split], settings: Settings
) -> list[Workload]:
    """The input pipeline from files and, where training may, from memory."""
    variants = [
        (f'tapestry, {place}', place, config)
        for place in (FILES, MEMORY)
        if place in places
    ]
    if MEMORY in places and config.augment:
        plain = dataclasses.replace(config, augment=())
        name = f'tapestry, {MEMORY}, without augmentation'
        variants.append((name, MEMORY, plain))
    return [
        pipeline(name, places[place], variant, settings.warmup_steps)
        for name, place, variant in variants
    ]


def _bare_decoding(places: dict[str, Split], settings: Settings) -> list[Workload]:
    """Reading and decoding, where each image is a file; else nothing."""
    name = 'reading and decoding only'
    if FILES not in places:
        return []
    files = _good_files(places)
    if not isinstance(files, FileSplit):
        _log.warning('Left out: %s, since the images are parts of larger files.', name)
        return []
    return [bare_decoding(name, files, settings.warmup_steps)]


def _good_files(places: dict[str, Split]) -> Split:
    """The files, without those that could not be decoded to memory."""
    if MEMORY not in places:
        return places[FILES]
    return data.take(places[FILES], np.flatnonzero(places[MEMORY].sample_weights))


def _result(
    config: Config,
    settings: Settings,
    rows: list[Row],
    pairs: Sequence[tuple[str, str]] = (),
) -> Result:
    """Rows, the ratios of those pairs of them, and the settings that they depend on."""
    left_out = {'mode', 'json'}
    mode = MODES[settings.mode]
    if not mode.synthetic:
        left_out.add('classes')
    values = config.to_dict()
    shown = {name: values[name] for name in mode.used}
    for name, value in dataclasses.asdict(settings).items():
        if name not in left_out:
            shown[name] = value
    by_name = {row.name: row for row in rows}
    ratios = {
        f'{first} / {second}': ratio(by_name[first], by_name[second])
        for first, second in pairs
    }
    return Result(shown, rows, ratios)
