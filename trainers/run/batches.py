"""Which batches a phase of a run takes: of images, or of their features."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from trainers.reporting.reporter import IMAGES_SHOWN
from trainers.settings.config import Config
from vision import data
from vision.data import BadFiles, Batch, Features, Source, Split
from vision.data.augment import Augmentation


def steps_per_epoch(config: Config, source: Source) -> int:
    """Training steps in an epoch: whole batches, at most `limit_train_batches`."""
    steps = data.steps_per_epoch(source.splits['train'], config.batch_size)
    return min(steps, config.limit_train_batches or steps)


def sample(split: Split, count: int, seed: int) -> Split:
    """At most `count` images of a split, drawn at random and kept in its order."""
    chosen = np.random.default_rng(seed).permutation(len(split))[:count]
    return data.take(split, np.sort(chosen))


class Batches:
    """The batches of a run.

    Args:
        config: the run's settings.
        image_size: side in pixels of the images to evaluate on.
        source: the images, decoded to memory already where they fit.
        features: called for the outputs of the frozen backbone when a phase trains on
            them.
        bad_files: where the pipeline records images that cannot be decoded.

    Attributes:
        steps_per_epoch: training steps in an epoch.
    """

    def __init__(
        self,
        config: Config,
        image_size: int,
        source: Source,
        features: Callable[[], dict[str, Features]],
        bad_files: BadFiles,
    ):
        self.steps_per_epoch = steps_per_epoch(config, source)
        self._config = config
        self._image_size = image_size
        self._source = source
        self._features = functools.cache(features)
        self._bad_files = bad_files
        self._images = {
            split: data.eval_batches(
                source.splits[split],
                batch_size=config.batch_size,
                image_size=image_size,
                limit=config.limit_eval_batches or None,
                bad_files=bad_files,
            )
            for split in ('validation', 'test')
        }

    def image_size(self, epoch: int) -> int:
        """Side in pixels of the training images in an epoch, counted from 0."""
        begun = [
            size for start, size in self._config.image_size_schedule if start <= epoch
        ]
        return begun[-1] if begun else self._image_size

    def train(self, phase: Config, start: int, end: int, size: int) -> tf.data.Dataset:
        """The batches of the training steps `start` to `end` - 1.

        Args:
            phase: its settings, which tell whether they are of images or of features.
            start, end: steps since the run began.
            size: side of the images in pixels.
        """
        if phase.features == 'live':
            return self._of_images(start, end, size, self._config.augment)
        return data.feature_train_batches(
            self._features()['train'],
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            start_step=start,
            end_step=end,
            limit=self._config.limit_train_batches or None,
        )

    def first(self) -> Batch:
        """The first training batch, as images whatever the phase trains on."""
        return next(
            iter(self._of_images(0, 1, self.image_size(0), self._config.augment))
        )

    def _of_images(
        self, start: int, end: int, size: int, augment: Sequence[Augmentation]
    ) -> tf.data.Dataset:
        return data.train_batches(
            self._source.splits['train'],
            batch_size=self._config.batch_size,
            image_size=size,
            seed=self._config.seed,
            augment=augment,
            start_step=start,
            end_step=end,
            limit=self._config.limit_train_batches or None,
            bad_files=self._bad_files,
        )

    @functools.cached_property
    def for_statistics(self) -> tf.data.Dataset:
        """`precise_bn` training images in whole batches, without augmentation.

        They are the same in every epoch, so that a resumed run has the same statistics.
        """
        steps = min(
            max(1, self._config.precise_bn // self._config.batch_size),
            self.steps_per_epoch,
        )
        return self._of_images(0, steps, self._image_size, augment=())

    def evaluation(self, phase: Config, split: str) -> tf.data.Dataset:
        """Each image of 'validation' or 'test' once."""
        return (self._images if phase.features == 'live' else self._of_features)[split]

    @functools.cached_property
    def _of_features(self) -> dict[str, tf.data.Dataset]:
        return {
            split: data.feature_eval_batches(
                self._features()[split],
                batch_size=self._config.batch_size,
                limit=self._config.limit_eval_batches or None,
            )
            for split in ('validation', 'test')
        }

    @functools.cached_property
    def shown(self) -> Batch:
        """A few validation images, the same in every epoch."""
        split = sample(self._source.splits['validation'], IMAGES_SHOWN, seed=0)
        batches = data.eval_batches(
            split,
            batch_size=len(split),
            image_size=self._image_size,
            bad_files=self._bad_files,
        )
        return next(iter(batches))
