"""A trained network with all that is needed to use it."""

import dataclasses
import functools
import logging
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from trainers.networks import build as networks
from trainers.networks import pretrained
from trainers.settings import earlier
from trainers.settings.config import Config, ConfigError
from trainers.storage.checkpoints import CheckpointError, read_variables
from trainers.storage.run_directory import RunDirectory, RunDirectoryError, read_json
from vision.errors import UserError
from vision.models import Network, Outputs, default_image_size, imagenet
from vision.models import pretrained as weights_of_others
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


class Run(NamedTuple):
    """The run that trained a classifier, and which of its weights are taken.

    Attributes:
        directory: only named, not locked.
        config: the settings.
        step, epoch: when the weights were saved.
        averaged: whether they are moving averages.
    """

    directory: RunDirectory
    config: Config
    step: int
    epoch: int
    averaged: bool


class Temperature(NamedTuple):
    """What logits are divided by before the softmax, and how it was found.

    Attributes:
        value: above 0; 1 leaves probabilities as the network has them.
        split, images: what it was fitted on; '' and 0 where it was given by hand.
    """

    value: float = 1.0
    split: str = ''
    images: int = 0


class Classifier:
    """A network, what it was trained for, and the temperature of its probabilities.

    Args:
        network: with its weights.
        specification: how images are prepared, and what the logits mean.
        origin: where the weights come from, in words.
        temperature: of the softmax.
        run: the run that trained it, where it was one of ours.
        ids: stable identifiers of the classes, such as wnids; by default their names.

    Attributes:
        network, specification, origin, temperature, run, ids: those arguments.
    """

    def __init__(
        self,
        network: Network,
        specification: Specification,
        origin: str,
        temperature: Temperature = Temperature(),
        run: Run | None = None,
        ids: tuple[str, ...] = (),
    ):
        self.network = network
        self.specification = specification
        self.origin = origin
        self.temperature = temperature
        self.run = run
        self.ids = ids or specification.classes
        side = specification.image_size
        # One trace for batches of all sizes; AutoGraph has nothing to convert.
        self._every_head = tf.function(
            network.every_head,
            autograph=False,
            input_signature=[tf.TensorSpec([None, side, side, 3], tf.uint8)],
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of the logits."""
        return self.specification.classes

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that it takes."""
        return self.specification.image_size

    @functools.cached_property
    def bytes_per_image(self) -> int:
        """What the largest of its operations reads and writes of each image."""
        graph = self._every_head.get_concrete_function().graph
        return max(
            sum(_bytes_per_example(tensor) for tensor in (*op.inputs, *op.outputs))
            for op in graph.get_operations()
        )

    def logits(self, images: tf.Tensor) -> Outputs:
        """Logits of all heads in inference, auxiliary ones included.

        Args:
            images: uint8 `[B, image_size, image_size, 3]`, RGB.
        """
        return self._every_head(images)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float32 `[..., classes]`, that add up to 1."""
        # In float64 a temperature next to 0 does not overflow.
        return softmax(logits.astype(np.float64) / self.temperature.value)


def _bytes_per_example(tensor: tf.Tensor) -> int:
    """Of a tensor of a traced batch; 0 for what has no batch dimension."""
    shape = tensor.shape
    if not shape.rank or shape[0] is not None or not shape[1:].is_fully_defined():
        return 0
    return shape[1:].num_elements() * tensor.dtype.size


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float32 `[..., classes]`, of finite logits of that shape."""
    logits = logits.astype(np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return (powers / powers.sum(-1, keepdims=True)).astype(np.float32)


def from_run(
    path: Path,
    weights: str = 'best',
    precision: str = 'float32',
    temperature: float = 0.0,
) -> Classifier:
    """The network that a run trained.

    Args:
        path: the folder of a run, or a checkpoint (of a run, or copied out of it).
        weights: 'best' or 'last', of a whole run.
        precision: type of the arithmetic.
        temperature: of the softmax; 0: what was stored for these weights, or else 1.

    Raises:
        UserError: there is no run or checkpoint, or it is damaged.
    """
    directory, folder = _locate(path, weights)
    try:
        arrays, state = read_variables(folder, 'model')
    except CheckpointError as error:
        if weights == 'best' and directory and not directory.checkpoints_best.exists():
            raise CheckpointError(
                f'{error} A run has best weights after its first epoch.'
            ) from error
        raise
    specification = Specification.from_dict(state['specification'])
    network = specification.build(dtype=tf.as_dtype(precision))
    weights_of_others.load(network, arrays)
    rows = state['history']['rows'] if 'history' in state else []
    epoch = state.get('epoch', len(rows))
    if directory is None:
        return Classifier(
            network,
            specification,
            f'{folder}, of epoch {epoch}',
            Temperature(temperature or 1.0),
        )
    recorded = RunDirectory.read(directory.path)
    run = Run(
        directory,
        recorded.config,
        state['step'],
        epoch,
        state.get('weights') == 'averaged',
    )
    chosen = Temperature(temperature) if temperature else read_temperature(run)
    which = 'best' if 'epoch' in state else 'last'
    ids = tuple(label['id'] for label in recorded.labels)
    return Classifier(
        network,
        specification,
        f'{directory.path}, {which} weights, epoch {epoch}',
        chosen,
        run,
        ids,
    )


def from_pretrained(
    config: Config,
    labels: str = '',
    precision: str = 'float32',
    temperature: float = 0.0,
) -> Classifier:
    """A network with weights that somebody else trained, its classifier included.

    Args:
        config: names the model, its options and, as `pretrained`, the weights.
        labels: a text file with a class a line, either its name, or an id and the
            name (`n01440764 tench, Tinca tinca`); empty: the 1000 of ImageNet.
        precision: type of the arithmetic.
        temperature: of the softmax; 0: 1.

    Raises:
        UserError: the weights or labels cannot be had, or there is no classifier of
            so many classes among them.
    """
    if labels:
        ids, classes = read_labels(Path(labels))
    else:
        ids, classes = imagenet.class_ids(), imagenet.class_names()
    specification = networks.specify(config, classes, default_image_size(config.model))
    options = dict(specification.options)
    if 'auxiliary' in options:  # published weights have no such heads
        options['auxiliary'] = False
    specification = dataclasses.replace(specification, options=options)
    try:
        network = specification.build(dtype=tf.as_dtype(precision))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    loaded = pretrained.load(network, config)
    if loaded.head != 'loaded':
        raise UserError(
            f'Expected --pretrained={config.pretrained} to have a classifier of '
            f'{len(classes)} classes: {" ".join(loaded.notes)} Pass weights with one, '
            'or the names of its classes with --labels; or train one with '
            'python -m scripts.train --pretrained=...'
        )
    return Classifier(
        network,
        specification,
        f'{config.model} with the weights of {config.pretrained}',
        Temperature(temperature or 1.0),
        ids=ids,
    )


def read_labels(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and names of the classes in a text file, a class a line.

    Where each line begins with an id of WordNet, those are the ids, else the names.

    Raises:
        UserError: the file cannot be read, or names a class twice.
    """
    try:
        lines = path.read_text(encoding='utf-8-sig').split('\n')
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f'Expected --labels to be a text file in UTF-8 with a class a '
            f'line, got {path}: {error}.'
        ) from error
    names = ids = [line.strip() for line in lines if line.strip()]
    if all(map(_has_wordnet_id, names)):
        ids = [line.partition(' ')[0] for line in names]
        # Two kinds of cranes and of maillots share their names.
        names = _told_apart([name.partition(' ') for name in names])
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or len(names) < 2:
        found = f'{twice[0]!r} twice' if twice else f'{len(names)} lines'
        raise UserError(
            f'Expected --labels to name two different classes or more, got '
            f'{found} in {path}.'
        )
    return tuple(ids), tuple(names)


def _has_wordnet_id(line: str) -> bool:
    word, _, rest = line.partition(' ')
    return len(word) == 9 and word[0] == 'n' and word[1:].isdecimal() and bool(rest)


def _told_apart(parts: list[tuple[str, str, str]]) -> list[str]:
    """Names, with the id behind those that several classes have."""
    names = [name.strip() for _, _, name in parts]
    return [
        name if names.count(name) == 1 else f'{name} ({wnid})'
        for name, (wnid, _, _) in zip(names, parts)
    ]


def read_temperature(run: Run) -> Temperature:
    """The temperature that was stored for a run's weights; 1 where none was.

    Raises:
        RunDirectoryError: the file is garbled.
    """
    path = run.directory.calibration
    try:
        stored = earlier.read_calibration(read_json(path))
        # Raw weights and averaged ones can be of the same step.
        if (stored['step'], stored['averaged']) != (run.step, run.averaged):
            _log.warning(
                '%s is left out: it was fitted for the %s weights of step %s; these '
                'are the %s ones of step %s.',
                path,
                _kind(stored['averaged']),
                stored['step'],
                _kind(run.averaged),
                run.step,
            )
            return Temperature()
        found = Temperature(stored['temperature'], stored['split'], stored['images'])
        if not (math.isfinite(found.value) and found.value > 0):
            raise ValueError(f'a temperature of {found.value}')
    except FileNotFoundError:
        return Temperature()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunDirectoryError(
            f'{path}: expected a temperature as python -m scripts.evaluate --calibrate '
            f'writes it, got {error!r}. Remove the file, or run that again.'
        ) from error
    return found


def _kind(averaged: bool) -> str:
    return 'averaged' if averaged else 'raw'


def store_temperature(run: Run, temperature: Temperature) -> Path:
    """Keeps a temperature with the run, for the weights that it was fitted for."""
    path = run.directory.calibration
    run.directory.write_json(
        path,
        {
            'temperature': temperature.value,
            'split': temperature.split,
            'images': temperature.images,
            'step': run.step,
            'averaged': run.averaged,
        },
    )
    return path


def _locate(path: Path, weights: str) -> tuple[RunDirectory | None, Path]:
    """The run that a path is or lies in, if any, and the folder of its checkpoints."""
    for place in (path, *path.absolute().parents[:3]):
        if (place / 'config.json').is_file():
            directory = RunDirectory(place)
            if place != path:
                return directory, path
            return directory, (
                directory.checkpoints_best
                if weights == 'best'
                else directory.checkpoints_last
            )
    if path.match('step-*') or any(path.glob('step-*')):
        return None, path
    if (path / 'state.json').is_file():
        raise RunDirectoryError(
            f'{path}: expected a checkpoint to be called by its '
            'step, such as step-12. Give it its name again.'
        )
    raise RunDirectoryError(
        f'{path}: expected the folder of a run, with a config.json in it, or a '
        'checkpoint. Give the --run_dir that the training was started with.'
    )
