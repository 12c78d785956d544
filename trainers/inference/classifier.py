"""A trained network with everything that is needed to use it."""

import dataclasses
import functools
import logging
import math
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.special
import tensorflow as tf

from trainers.inference.labels import read_labels
from trainers.networks import build as networks
from trainers.networks import pretrained
from trainers.settings import earlier
from trainers.settings.config import Config, ConfigError
from trainers.settings.prediction import LoadSettings
from trainers.storage.checkpoints import CheckpointError, read_variables
from trainers.storage.run_directory import RunDirectory, RunDirectoryError, read_json
from vision.errors import UserError
from vision.models import Network, Outputs, defaults, imagenet
from vision.models.pretrained import load as load_weights
from vision.models.specification import Specification

_log = logging.getLogger(__name__)


class Run(NamedTuple):
    """The run that trained a network, and which of its weights are loaded.

    Attributes:
        directory: of the run; not locked.
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
    """The temperature of the softmax, and what it was fitted on.

    Attributes:
        value: divisor of the logits, above 0; 1 leaves probabilities uncalibrated.
        split, images: the split that it was fitted on and the number of images in it;
            '' and 0 if it was not fitted.
    """

    value: float = 1.0
    split: str = ''
    images: int = 0


class Classifier:
    """A network, its specification, and the temperature of its probabilities.

    Args:
        network: with its weights.
        specification: how images are prepared, and the classes of the logits.
        origin: a description of where the weights come from.
        temperature: of the softmax.
        run: the run that trained the network, if any.
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
        """Side of the input images in pixels."""
        return self.specification.image_size

    @functools.cached_property
    def bytes_per_image(self) -> int:
        """Bytes per image of the inputs and outputs of the largest operation."""
        graph = self._every_head.get_concrete_function().graph
        return max(
            sum(_bytes_per_example(tensor) for tensor in (*op.inputs, *op.outputs))
            for op in graph.get_operations()
        )

    def logits(self, images: tf.Tensor) -> Outputs:
        """Computes the logits of all heads in inference, auxiliary ones included.

        Args:
            images: uint8 `[B, image_size, image_size, 3]`, RGB.
        """
        return self._every_head(images)

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float32 `[..., classes]`, that sum to 1."""
        # In float64 a temperature near 0 does not overflow.
        return softmax(logits.astype(np.float64) / self.temperature.value)


def _bytes_per_example(tensor: tf.Tensor) -> int:
    """Bytes per example of a tensor of a traced batch; 0 if it has no batch axis."""
    shape = tensor.shape
    if not shape.rank or shape[0] is not None or not shape[1:].is_fully_defined():
        return 0
    return shape[1:].num_elements() * tensor.dtype.size


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float32 `[..., classes]`, of finite logits of that shape."""
    return scipy.special.softmax(logits.astype(np.float64), -1).astype(np.float32)


def from_run(
    path: str | os.PathLike,
    weights: str = 'best',
    precision: str = 'float32',
    temperature: float | None = None,
    network: Network | None = None,
) -> Classifier:
    """Loads the network that a run trained.

    Args:
        path: the folder of a run, or a checkpoint (of a run, or copied out of it).
        weights: 'best' or 'last', of a whole run.
        precision: dtype of the computation.
        temperature: of the softmax; by default the one stored for these weights, or 1.
        network: the same network as the run trained, where that was a `Network` object;
            its weights are replaced, and its dtype is that of the computation.

    Raises:
        UserError: there is no run or checkpoint, or it is damaged.
        ConfigError: an option is out of range, or the run needs a network, or takes
            none.
    """
    LoadSettings(weights, 0.0 if temperature is None else temperature, precision)
    directory, folder = _locate(Path(path), weights)
    try:
        arrays, state = read_variables(folder, 'model')
    except CheckpointError as error:
        if weights == 'best' and directory and not directory.checkpoints_best.exists():
            raise CheckpointError(
                f'{error} A run has best weights after its first epoch.'
            ) from error
        raise
    specification = Specification.from_dict(state['specification'])
    networks.check_network(specification, network, path)
    if network is None:
        network = specification.build(dtype=tf.as_dtype(precision))
    load_weights(network, arrays)
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
        averaged=state.get('weights') == 'averaged',
    )
    which = 'best' if 'epoch' in state else 'last'
    return Classifier(
        network,
        specification,
        f'{directory.path}, {which} weights, epoch {epoch}',
        Temperature(temperature) if temperature else read_temperature(run),
        run,
        tuple(label['id'] for label in recorded.labels),
    )


def _locate(path: Path, weights: str) -> tuple[RunDirectory | None, Path]:
    """The run that a path is or lies in, if any, and the folder of its checkpoints."""
    for place in (path, *path.absolute().parents[:3]):
        directory = RunDirectory(place)
        if directory.config.is_file():
            if place != path:
                return directory, path
            best, last = directory.checkpoints_best, directory.checkpoints_last
            return directory, best if weights == 'best' else last
    if path.match('step-*') or any(path.glob('step-*')):
        return None, path
    if (path / 'state.json').is_file():
        raise RunDirectoryError(
            f'{path}: expected the name of a checkpoint to be step-<number>, such as '
            'step-12. Rename the folder.'
        )
    raise RunDirectoryError(
        f'{path}: expected the folder of a run, with a config.json in it, or a '
        'checkpoint. Give the --run_dir that the training was started with.'
    )


def from_pretrained(
    config: Config,
    labels: str = '',
    precision: str = 'float32',
    temperature: float | None = None,
) -> Classifier:
    """Loads a network with weights that are not of a run, its classifier included.

    Args:
        config: names the model, its options and, as `pretrained`, the weights.
        labels: a text file as `read_labels` takes it; by default the 1000 classes of
            ImageNet.
        precision: dtype of the computation.
        temperature: of the softmax; by default 1.

    Raises:
        UserError: the weights or labels cannot be read, or the weights have no
            classifier of as many classes.
    """
    ids, classes = (
        read_labels(Path(labels))
        if labels
        else (imagenet.class_ids(), imagenet.class_names())
    )
    specification = networks.specify(
        config, classes, defaults(config.model)['image_size']
    )
    if 'auxiliary' in specification.options:  # Published weights have no such heads.
        specification = dataclasses.replace(
            specification, options={**specification.options, 'auxiliary': False}
        )
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


def read_temperature(run: Run) -> Temperature:
    """The temperature that was stored for a run's weights; 1 if there is none.

    Raises:
        RunDirectoryError: the file is garbled.
    """
    path = run.directory.calibration
    try:
        stored = earlier.read_calibration(read_json(path))
        # Raw weights and averaged ones can be of the same step.
        if (stored['step'], stored['averaged']) != (run.step, run.averaged):
            _log.warning(
                '%s is not used: it was fitted for the %s weights of step %s; these '
                'are the %s ones of step %s.',
                path,
                _kind(stored['averaged']),
                stored['step'],
                _kind(run.averaged),
                run.step,
            )
            return Temperature()
        value = stored['temperature']
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f'a temperature of {value}')
        return Temperature(value, stored['split'], stored['images'])
    except FileNotFoundError:
        return Temperature()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunDirectoryError(
            f'{path}: expected a temperature as python -m scripts.evaluate --calibrate '
            f'writes it, got {error!r}. Remove the file, or run that again.'
        ) from error


def _kind(averaged: bool) -> str:
    return 'averaged' if averaged else 'raw'


def store_temperature(run: Run, temperature: Temperature) -> Path:
    """Stores a temperature in the run directory, with the weights it was fitted for."""
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
