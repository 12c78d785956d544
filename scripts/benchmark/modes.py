"""The modes of the benchmark: who competes in each, and what is compared."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from scripts.benchmark import end_to_end as loop
from scripts.benchmark import input_peers as keras_input
from scripts.benchmark import keras_peer
from scripts.benchmark.contestants import (
    bare_decoding,
    device_batch,
    matrix_product,
    noise,
    pipeline,
    synthetic_source,
    training_steps,
)
from scripts.benchmark.settings import SYNTHETIC, USED, Settings
from scripts.benchmark.timing import (
    Contestant,
    Row,
    compete,
    ratio,
    row,
    warm_up,
    with_shares,
)
from trainers.networks import build as networks
from trainers.run import train
from trainers.run.batches import steps_per_epoch
from trainers.run.caching import decoded
from trainers.run.source import load_source
from trainers.settings.config import Config
from trainers.step import precision
from vision import data, models
from vision.data import BadFiles, DatasetError, Source, Split

MEMORY, FILES = 'from memory', 'from files'
SECONDS_PER_EPOCH = 5.0  # Of the training loop in end_to_end.

_log = logging.getLogger(__name__)


class Result(NamedTuple):
    """What a mode measured.

    Attributes:
        settings: what the figures depend on, in JSON values.
        rows: one for each contestant.
        ratios: of medians, by the names of both.
    """

    settings: dict[str, Any]
    rows: list[Row]
    ratios: dict[str, float]


def step(config: Config, settings: Settings) -> Result:
    """Training steps on made-up images, beside this machine's matrix product."""
    config = _plain(config, models.default_image_size(config.model))
    source = synthetic_source(config, settings.classes)
    ceiling = matrix_product(config.precision)
    ours = _steps(config, source, f'{config.model}, {config.precision}')
    rows = compete([ceiling, ours], settings, settings.steps)
    return _result(config, settings, with_shares(rows, ceiling.name))


def input_pipeline(config: Config, settings: Settings) -> Result:
    """The input alone: from memory and from files, with and without augmentation."""
    source = load_source(config)
    config = _plain(config, source.image_size)
    data.steps_per_epoch(source.splits['train'], config.batch_size)
    places = _places(config, source)
    contestants, pairs = [], []
    for place, split in places.items():
        plain = dataclasses.replace(config, augment=())
        contestants.append(pipeline(place, split, plain, settings.warmup_steps))
        if config.augment:
            name = f'{place}, {" ".join(map(str, config.augment))}'
            contestants.append(pipeline(name, split, config, settings.warmup_steps))
            pairs.append((name, place))
    bare = _bare_decoding('reading and decoding only', places, settings)
    pairs += [(FILES, each.name) for each in bare]
    rows = compete([*contestants, *bare], settings, settings.steps)
    return _result(config, settings, rows, pairs)


def end_to_end(config: Config, settings: Settings) -> Result:
    """The whole training loop, beside the same steps on made-up images.

    An epoch is the turn of the loop. It should be long beside what the input can
    prepare in advance, a few batches.

    Raises:
        DatasetError: the training split does not fill two batches.
    """
    source = load_source(config)
    config = _plain(config, source.image_size)
    image_size = config.image_size or source.image_size
    source = decoded(config, source, BadFiles())
    made_up = noise(config.batch_size, image_size, len(source.classes))
    rival = _steps(config, source, 'steps on made-up images', made_up)
    fitting = max(4, warm_up(rival, settings, SECONDS_PER_EPOCH))
    config = dataclasses.replace(config, limit_train_batches=settings.steps or fitting)
    steps = steps_per_epoch(config, source)
    if steps < 2:
        raise DatasetError(
            'Expected at least two training steps in a turn of the '
            f'loop, received {steps}: set --steps or --batch_size so.'
        )
    config = dataclasses.replace(
        config,
        limit_train_batches=steps,
        log_every=max(1, min(config.log_every, steps // 2)),
    )
    loop_seconds, rival_seconds = loop.race(config, source, rival, settings.repeats)
    whole = dataclasses.replace(rival, name='the training loop')
    return _result(
        config,
        dataclasses.replace(settings, steps=steps),
        [row(whole, loop_seconds), row(rival, rival_seconds)],
        [(whole.name, rival.name)],
    )


def peers(config: Config, settings: Settings) -> Result:
    """The network beside the same one in Keras, in turns of a single step.

    Raises:
        ConfigError: the model has no peer.
    """
    keras_peer.check(config.model)
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
    ours = _steps(single, source, 'ours, float32')
    theirs = _peer(config, source, ours, 'float32')
    contestants, pairs = [theirs, ours], [(ours.name, theirs.name)]
    if config.precision != 'float32':
        fast = _steps(config, source, f'ours, {config.precision}')
        mixed = _peer(config, source, ours, f'mixed_{config.precision}')
        contestants += [mixed, fast]
        pairs += [(fast.name, theirs.name), (fast.name, mixed.name)]
    rows = compete(contestants, settings, settings.steps or 1)
    return _result(config, settings, rows, pairs)


def input_peers(config: Config, settings: Settings) -> Result:
    """The input pipeline beside what else feeds a network, all from the same files.

    Raises:
        ConfigError: Keras cannot read these images, or augment them so.
        DatasetError: Keras stopped at an image.
    """
    keras_input.check_augmentations(config.augment)
    source = load_source(config)
    config = _plain(config, source.image_size)
    keras_input.check_files(source.splits['train'])
    data.steps_per_epoch(source.splits['train'], config.batch_size)
    places = _places(config, source)
    ours = _our_inputs(config, places, settings)
    bare = _bare_decoding('bare reading and decoding', places, settings)
    with keras_input.linked(_good_files(places), config.batch_size) as folder:
        theirs = keras_input.contestants(folder, config, settings.warmup_steps)
        rows = compete([*theirs, *bare, *ours], settings, settings.steps)
    pairs = [(our.name, peer.name) for our in ours[:2] for peer in theirs]
    pairs += [(ours[0].name, each.name) for each in bare]
    return _result(config, settings, rows, pairs)


MODES: dict[str, Callable[[Config, Settings], Result]] = {
    'step': step,
    'input': input_pipeline,
    'end_to_end': end_to_end,
    'peers': peers,
    'input_peers': input_peers,
}


def _plain(config: Config, image_size: int) -> Config:
    """The settings without what interrupts or averages, and with nothing left open."""
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
) -> Contestant:
    """Training steps on one batch: of `split`, by default the source's whole split."""
    trainer, _ = train.build(
        config, networks.specify(config, source.classes, source.image_size), source
    )
    return training_steps(
        name, trainer.phases[0], device_batch(split or source.splits['train'])
    )


def _peer(config: Config, source: Source, ours: Contestant, policy: str) -> Contestant:
    lacks_norm = policy != 'float32' and keras_peer.has_norm(config.model)
    name = f'Keras, {policy}' + (' without LRN' if lacks_norm else '')
    specification = networks.specify(config, source.classes, source.image_size)
    network, _ = networks.build(config, specification, 'float32')
    return keras_peer.training_steps(
        name,
        config,
        specification.normalization,
        networks.dropout_rates(network),
        len(source.classes),
        device_batch(source.splits['train']),
        ours.gflop,
        policy,
    )


def _places(config: Config, source: Source) -> dict[str, Split]:
    """The training split wherever training may have it."""
    split = source.splits['train']
    in_memory = decoded(config, source, BadFiles()).splits['train']
    places = {} if in_memory.images is None else {MEMORY: in_memory}
    return places if split.paths is None else {**places, FILES: split}


def _our_inputs(
    config: Config, places: dict[str, Split], settings: Settings
) -> list[Contestant]:
    """From files; and, where training may have them there, from memory."""
    ours = [
        pipeline(f'ours, {place}', places[place], config, settings.warmup_steps)
        for place in (FILES, MEMORY)
        if place in places
    ]
    if MEMORY in places and config.augment:
        plain = dataclasses.replace(config, augment=())
        ours.append(
            pipeline(
                f'ours, {MEMORY}, without augmentation',
                places[MEMORY],
                plain,
                settings.warmup_steps,
            )
        )
    return ours


def _bare_decoding(
    name: str, places: dict[str, Split], settings: Settings
) -> list[Contestant]:
    """Reading and decoding, where images are files of their own; else nothing."""
    if FILES not in places:
        return []
    if places[FILES].ranges is not None:
        _log.warning('Left out: %s, since the images lie in larger files.', name)
        return []
    return [bare_decoding(name, _good_files(places), settings.warmup_steps)]


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
    """Rows, the ratios of those pairs of them, and the settings that shaped them."""
    names = [
        field.name
        for field in dataclasses.fields(settings)
        if field.name not in ('mode', 'json')
    ]
    if settings.mode not in SYNTHETIC:
        names.remove('classes')
    values = config.to_dict()
    shaping = {name: values[name] for name in USED[settings.mode]}
    shaping |= {name: getattr(settings, name) for name in names}
    by_name = {each.name: each for each in rows}
    return Result(
        shaping,
        rows,
        {
            f'{first} / {second}': ratio(by_name[first], by_name[second])
            for first, second in pairs
        },
    )
