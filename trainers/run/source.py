"""The dataset of a run."""

import dataclasses
from pathlib import Path

from trainers.networks import pretrained
from trainers.reporting.progress import DownloadBars
from trainers.run.batches import sample
from trainers.settings.config import CUSTOM, Config
from vision import data
from vision.data import DatasetError, Source


def load_source(config: Config) -> Source:
    """Loads the dataset, and downloads it first if `download` is set.

    Raises:
        DatasetError: there is no such dataset, or its files are not as expected.
    """
    if config.dataset == CUSTOM:
        raise DatasetError(
            'The dataset of this run is a Source object, which is not stored: make the '
            'same source in Python, and pass it as train(..., source=...) or '
            'evaluate(..., source=...).'
        )
    # With published weights to download, the images may have no public address.
    if config.download and (
        config.pretrained != pretrained.PUBLISHED or data.is_obtainable(config.dataset)
    ):
        if not config.data_dir and not data.is_tfds(config.dataset):
            raise DatasetError(
                'Expected --data_dir with --download: the folder to put '
                f'{config.dataset} into, such as --data_dir=data.'
            )
        with DownloadBars() as bars:
            data.obtain(config.dataset, Path(config.data_dir), bars)
    held_out = data.HeldOut(
        config.split_seed, config.validation_fraction, config.test_fraction
    )
    return prepare(config, data.load(config.dataset, config.data_dir, held_out))


def prepare(config: Config, source: Source) -> Source:
    """Checks the splits against each other, and reduces them to `overfit_batches`.

    Raises:
        DatasetError: two splits share an image.
    """
    data.check_disjoint(source)
    if not config.overfit_batches:
        return source
    few = sample(
        source.splits['train'], config.overfit_batches * config.batch_size, config.seed
    )
    return dataclasses.replace(source, splits=dict.fromkeys(source.splits, few))


def reduced(source: Source, count: int) -> Source:
    """The source with at most `count` images of each split."""
    return dataclasses.replace(
        source,
        splits={name: sample(split, count, 0) for name, split in source.splits.items()},
    )
