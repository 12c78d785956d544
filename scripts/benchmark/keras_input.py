"""Keras' two ways to read images, as baselines of the input pipeline.

ImageDataGenerator and image_dataset_from_directory both read a folder with one folder
for each class.
"""

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from scripts.benchmark.timing import Workload, timed
from scripts.benchmark.workloads import drained
from trainers.settings.config import Config, ConfigError
from vision.data import ArraySplit, DatasetError, FileSplit, Split, steps_per_epoch
from vision.data.augment import Augmentation, parameters

# File names that both take for images.
EXTENSIONS = ('.bmp', '.jpeg', '.jpg', '.png')
FILL_MODE = 'reflect'  # As in vision.data.augment.


class Counterpart(NamedTuple):
    """The counterpart of an augmentation in Keras; both take the same numbers.

    Attributes:
        generator: makes arguments of ImageDataGenerator.
        layer: makes the layer for a dataset.
    """

    generator: Callable[..., dict[str, Any]]
    layer: Callable[..., layers.Layer]


COUNTERPARTS: dict[str, Counterpart] = {
    'flip': Counterpart(
        lambda: {'horizontal_flip': True}, lambda: layers.RandomFlip('horizontal')
    ),
    'vertical_flip': Counterpart(
        lambda: {'vertical_flip': True}, lambda: layers.RandomFlip('vertical')
    ),
    'rotate': Counterpart(
        lambda degrees: {'rotation_range': degrees},
        lambda degrees: layers.RandomRotation(degrees / 360, FILL_MODE),
    ),
    'shift': Counterpart(
        lambda fraction: {
            'width_shift_range': fraction,
            'height_shift_range': fraction,
        },
        lambda fraction: layers.RandomTranslation(fraction, fraction, FILL_MODE),
    ),
    'zoom': Counterpart(
        lambda fraction: {'zoom_range': fraction},
        lambda fraction: layers.RandomZoom(fraction, fill_mode=FILL_MODE),
    ),
}


def check_augmentations(augmentations: Sequence[Augmentation]) -> None:
    """Raises a ConfigError unless Keras has each of them, at most once."""
    names = [augmentation.name for augmentation in augmentations]
    if not set(names) <= set(COUNTERPARTS) or len(set(names)) < len(names):
        raise ConfigError(
            'Expected --augment in --mode=input_peers to be some of '
            f'{", ".join(COUNTERPARTS)}, each once, since only these have a '
            f'counterpart in Keras; received {",".join(map(str, augmentations))}. '
            'Pass another --augment, or --augment= for none.'
        )


def check_files(split: Split) -> None:
    """Raises a ConfigError unless each image is a file that Keras takes for one."""
    if not isinstance(split, FileSplit):
        place = (
            'in memory' if isinstance(split, ArraySplit) else 'parts of larger files'
        )
        raise ConfigError(
            'Expected images that are files of their own in --mode=input_peers; '
            f'received images that are {place}. Name a --dataset of files, such as '
            'tiny_imagenet or image_folder.'
        )
    others = {Path(path).suffix.lower() for path in split.paths}.difference(EXTENSIONS)
    if others:
        raise ConfigError(
            f'Expected files that end in {", ".join(EXTENSIONS)} in '
            '--mode=input_peers, since Keras ignores others; received '
            f'{", ".join(sorted(others)) or "no ending"}. Name another --dataset.'
        )


@contextlib.contextmanager
def linked(split: Split, batch_size: int) -> Iterator[str]:
    """A temporary folder of links <label>/<index><extension> to files.

    It holds as many as fill whole batches.

    Raises:
        DatasetError: the files do not fill a batch.
    """
    assert isinstance(split, FileSplit)
    count = steps_per_epoch(split, batch_size) * batch_size
    with tempfile.TemporaryDirectory(prefix='tapestry-benchmark-') as folder:
        for label in np.unique(split.labels):
            Path(folder, str(label)).mkdir()
        for index, (path, label) in enumerate(zip(split.paths[:count], split.labels)):
            name = f'{index}{Path(path).suffix.lower()}'
            Path(folder, str(label), name).symlink_to(Path(path).absolute())
        yield folder


def workloads(folder: str, config: Config, warmup_steps: int) -> list[Workload]:
    """Both ways in which Keras reads a folder, with the augmentations of `config`.

    Args:
        folder: images in a folder for each class, whole batches of them.
        config: batch_size, image_size and augment.
        warmup_steps: steps before each turn of the dataset that are not counted.
    """
    # Keras prints the number of files.
    with tf.device('/CPU:0'), contextlib.redirect_stdout(io.StringIO()):
        batches = generator(folder, config)
        dataset = directory_dataset(folder, config)

    def take(steps: int) -> None:
        for _ in range(steps):
            next(batches)

    return [
        Workload('ImageDataGenerator', _explained(timed(take)), config.batch_size),
        Workload(
            'image_dataset_from_directory',
            _explained(drained(dataset.repeat(), warmup_steps)),
            config.batch_size,
        ),
    ]


def generator(folder: str, config: Config) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches of the generator, in the thread of the caller, as in `fit`.

    Without augmentation it centres each image, as system A does.
    """
    keras_generator = tf.keras.preprocessing.image.ImageDataGenerator(
        **generator_arguments(config.augment)
    )
    return keras_generator.flow_from_directory(
        folder,
        [config.image_size] * 2,
        class_mode='sparse',
        batch_size=config.batch_size,
        shuffle=True,
        interpolation='bilinear',
    )


def generator_arguments(augmentations: Sequence[Augmentation]) -> dict[str, Any]:
    """The arguments of ImageDataGenerator for these augmentations."""
    if not augmentations:
        return {'samplewise_center': True}
    arguments: dict[str, Any] = {'fill_mode': FILL_MODE}
    for augmentation in augmentations:
        arguments |= COUNTERPARTS[augmentation.name].generator(
            *_all_numbers(augmentation)
        )
    return arguments


def directory_dataset(folder: str, config: Config) -> tf.data.Dataset:
    """One epoch of the dataset, augmented in a map as Keras' guides recommend."""
    dataset = keras.utils.image_dataset_from_directory(
        folder,
        label_mode='int',
        batch_size=config.batch_size,
        image_size=(config.image_size, config.image_size),
    )
    if not config.augment:
        return dataset  # It ends in a prefetch of its own.
    augmentation = augmentation_layers(config.augment)

    def augment(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in augmentation:
            images = layer(images, training=True)
        return images, labels

    return dataset.map(augment, tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def augmentation_layers(augmentations: Sequence[Augmentation]) -> list[layers.Layer]:
    """The layers for these augmentations, in their order."""
    return [
        COUNTERPARTS[augmentation.name].layer(*_all_numbers(augmentation))
        for augmentation in augmentations
    ]


def _all_numbers(augmentation: Augmentation) -> list[float]:
    """The numbers of an augmentation, and the defaults of those not given."""
    defaults = [parameter.default for parameter in parameters(augmentation.name)]
    return [*augmentation.numbers, *defaults[len(augmentation.numbers) :]]


def _explained(turn: Callable[[int], float]) -> Callable[[int], float]:
    """The same turn, with an error message for files that cannot be read."""

    def explained(steps: int) -> float:
        try:
            return turn(steps)
        except (
            OSError,
            tf.errors.InvalidArgumentError,
            tf.errors.NotFoundError,
        ) as error:
            raise DatasetError(
                'Expected files that can be decoded, since Keras stops at others; '
                'received one that cannot. Pass --cache=ram, which leaves such files '
                'out, or remove those that the bad_files.csv of a training run lists.'
            ) from error

    return explained
