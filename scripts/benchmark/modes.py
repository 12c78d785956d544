"""The modes of the benchmark: the workloads of each, and which are compared."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from scripts.benchmark import keras_inception, keras_input
from scripts.benchmark.end_to_end import measure_loop
from scripts.benchmark.report import Result
from scripts.benchmark.settings import MODES, Settings
from scripts.benchmark.timing import (
    Row,
    Workload,
    measure,
    ratios,
    row,
    warm_up,
)
from scripts.benchmark.workloads import (
    bare_decoding,
    device_batch,
    matrix_product,
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


def step(config: Config, settings: Settings) -> Result:
    """Training steps on synthetic images, and the matrix product as upper bound."""
    config = _plain(config, models.defaults(config.model)['image_size'])
    source = synthetic_source(config, settings.classes)
    product = matrix_product(config.precision)
    steps = _steps(config, source, f'{config.model}, {config.precision}')
    rows = measure([product, steps], settings, settings.steps)
    gflops = {speed['name']: speed['gflops'] for speed in rows if speed['gflops']}
    for speed in rows:
        speed['share_of_matmul'] = gflops[speed['name']] / gflops[product.name]
    return _result(config, settings, rows)


def input_pipeline(config: Config, settings: Settings) -> Result:
    """The input alone: from memory and from files, with and without augmentation."""
    source = load_source(config)
    config = _plain(config, source.image_size)
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
    return _result(
        config, settings, measure([*workloads, *bare], settings, settings.steps), pairs
    )


def end_to_end(config: Config, settings: Settings) -> Result:
    """The training loop, and the same steps alone on synthetic images.

    An epoch is the turn of the loop. It should be long compared to what the input
    prepares in advance, a few batches.

    Raises:
        DatasetError: the training split does not fill two batches.
    """
    source = load_source(config)
    data.steps_per_epoch(source.splits['train'], config.batch_size)
    config = _plain(config, source.image_size)
    source = decoded(config, config.image_size or source.image_size, source, BadFiles())
    baseline = _steps(
        config,
        synthetic_source(config, len(source.classes)),
        'steps on synthetic images',
    )
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
    loop_seconds, step_seconds = zip(
        *measure_loop(config, source, baseline, settings.repeats)
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
    config = dataclasses.replace(
        _plain(config, models.defaults(config.model)['image_size']),
        optimizer='adam',
        weight_decay=0.0,
        clip_norm=0.0,
        label_smoothing=0.0,
        xla=False,
    )
    source = synthetic_source(config, settings.classes)
    steps = _steps(
        dataclasses.replace(config, precision='float32'), source, 'tapestry, float32'
    )
    baseline = keras_inception.training_steps(config, source, steps.gflop)
    workloads, pairs = [baseline, steps], [(steps.name, baseline.name)]
    if config.precision != 'float32':
        fast = _steps(config, source, f'tapestry, {config.precision}')
        mixed = keras_inception.training_steps(
            config, source, steps.gflop, f'mixed_{config.precision}'
        )
        workloads += [mixed, fast]
        pairs += [(fast.name, baseline.name), (fast.name, mixed.name)]
    return _result(
        config, settings, measure(workloads, settings, settings.steps or 1), pairs
    )


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
    places = _places(config, source)
    pipelines = [
        pipeline(f'tapestry, {place}', places[place], config, settings.warmup_steps)
        for place in (FILES, MEMORY)
        if place in places
    ]
    if MEMORY in places and config.augment:
        pipelines.append(
            pipeline(
                f'tapestry, {MEMORY}, without augmentation',
                places[MEMORY],
                dataclasses.replace(config, augment=()),
                settings.warmup_steps,
            )
        )
    bare = _bare_decoding(places, settings)
    with keras_input.linked(_good_files(places), config.batch_size) as folder:
        baselines = keras_input.workloads(folder, config, settings.warmup_steps)
        rows = measure([*baselines, *bare, *pipelines], settings, settings.steps)
    pairs = [
        (first.name, second.name) for first in pipelines[:2] for second in baselines
    ]
    pairs += [(pipelines[0].name, workload.name) for workload in bare]
    return _result(config, settings, rows, pairs)


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


def _steps(config: Config, source: Source, name: str) -> Workload:
    """Training steps on the training split as one batch."""
    specification = networks.specify(config, source.classes, source.image_size)
    trainer, _ = train.build(config, specification, source)
    return training_steps(name, trainer.phases[0], device_batch(source))


def _places(config: Config, source: Source) -> dict[str, Split]:
    """The training split in each place from which training may read it.

    Raises:
        DatasetError: it does not fill a batch.
    """
    split = source.splits['train']
    data.steps_per_epoch(split, config.batch_size)
    in_memory = decoded(
        config, config.image_size or source.image_size, source, BadFiles()
    ).splits['train']
    places: dict[str, Split] = {}
    if isinstance(in_memory, ArraySplit):
        places[MEMORY] = in_memory
    if not isinstance(split, ArraySplit):
        places[FILES] = split
    return places


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
    values = {**dataclasses.asdict(settings), **config.to_dict()}
    return {
        'settings': {name: values[name] for name in MODES[settings.mode]},
        'rows': rows,
        'ratios': ratios(rows, pairs),
    }


FUNCTIONS = {
    'step': step,
    'input': input_pipeline,
    'end_to_end': end_to_end,
    'peers': peers,
    'input_peers': input_peers,
}
