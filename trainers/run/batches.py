"""Which batches a phase of a run takes: of images, or of their features."""

import functools

import tensorflow as tf

from trainers.run.features import FeatureCache
from trainers.settings.config import Config
from trainers.settings.phases import Phase
from vision import data
from vision.data import BadFiles, Source
from vision.data.augment import parse


def steps_per_epoch(config: Config, source: Source) -> int:
    """Training steps in an epoch: whole batches, or as many as the limit allows."""
    steps = data.steps_per_epoch(source.splits['train'], config.batch_size)
    return min(steps, config.limit_train_batches or steps)


class Batches:
    """The batches of a run.

    Args:
        config: the run's settings.
        image_size: side in pixels of the images to evaluate on.
        source: the images, decoded to memory already where they fit.
        features: what the frozen backbone says of them; asked for when a phase trains
            on that.
        bad_files: where the pipeline records what it could not decode.
    """

    def __init__(
        self,
        config: Config,
        image_size: int,
        source: Source,
        features: FeatureCache,
        bad_files: BadFiles,
    ):
        self._config = config
        self._image_size = image_size
        self._source = source
        self._features = features
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

    def train(self, phase: Phase, start: int, end: int, size: int) -> tf.data.Dataset:
        """Those of the training steps `start` to `end` - 1, of images of `size`."""
        if not phase.cached:
            return self.of_images(start, end, size)
        return data.feature_train_batches(
            self._features.splits['train'],
            batch_size=self._config.batch_size,
            seed=self._config.seed,
            start_step=start,
            end_step=end,
            limit=self._config.limit_train_batches or None,
        )

    def of_images(self, start: int, end: int, size: int) -> tf.data.Dataset:
        """The same as images, whatever the phase takes."""
        return self._training(start, end, size, self._config.augment)

    def _training(
        self, start: int, end: int, size: int, augment: tuple[str, ...]
    ) -> tf.data.Dataset:
        return data.train_batches(
            self._source.splits['train'],
            batch_size=self._config.batch_size,
            image_size=size,
            seed=self._config.seed,
            augment=[parse(text) for text in augment],
            start_step=start,
            end_step=end,
            limit=self._config.limit_train_batches or None,
            bad_files=self._bad_files,
        )

    @functools.cached_property
    def to_measure(self) -> tf.data.Dataset:
        """`precise_bn` training images, prepared as in evaluation, in whole batches.

        They are the same in every epoch, so that a resumed run measures the same.
        """
        steps = min(
            max(1, self._config.precise_bn // self._config.batch_size),
            steps_per_epoch(self._config, self._source),
        )
        return self._training(0, steps, self._image_size, augment=())

    def evaluation(self, phase: Phase, split: str) -> tf.data.Dataset:
        """Each image of 'validation' or 'test' once."""
        return (self._of_features if phase.cached else self._images)[split]

    @functools.cached_property
    def _of_features(self) -> dict[str, tf.data.Dataset]:
        return {
            split: data.feature_eval_batches(
                self._features.splits[split],
                batch_size=self._config.batch_size,
                limit=self._config.limit_eval_batches or None,
            )
            for split in ('validation', 'test')
        }
