"""The images that exports are compared on, and those that int8 is measured on."""

import logging
from collections import Counter
from typing import NamedTuple

import numpy as np

from scripts.common.dataset_settings import image_config
from scripts.common.formatting import counted, printable
from trainers.inference import image_files
from trainers.inference.classifier import Classifier
from trainers.run.source import load_source
from trainers.settings.config import Config, ConfigError
from vision import data
from vision.data import BadFiles, DatasetError, Split
from vision.errors import UserError

COMPARED, MEASURED = 100, 100

_log = logging.getLogger(__name__)


class Images(NamedTuple):
    """Images as the network takes them, uint8 `[N, S, S, 3]`, RGB.

    Attributes:
        compared: what model and exports are compared on.
        measured: what int8 measures its ranges on; others, where there are enough, and
            none where no format measures.
        origin: where they are from, in words.
    """

    compared: np.ndarray
    measured: np.ndarray
    origin: str


def find(
    classifier: Classifier, given: str, *, measures: bool = True, download: bool = False
) -> Images:
    """The images given by hand, or else those of the run.

    Args:
        classifier: what takes them.
        given: an image, folder or pattern; '' for those of the run.
        measures: whether a format measures its ranges.
        download: whether those of the run may be downloaded.

    Raises:
        ConfigError: none are given, and there is no run.
        UserError: none of them can be read.
    """
    side = classifier.image_size
    if given:
        compared, measured = _halves(_split_of(given))
        origin = printable(given)
    elif classifier.run is not None:
        splits = _source_of(classifier.run.config, download).splits
        compared = _spread(splits['validation'], COMPARED)
        measured = _spread(splits['train'], MEASURED)
        origin = f'the validation split of {classifier.run.config.dataset}'
    else:
        raise ConfigError(
            'Expected --images=FOLDER, images of the kind that the network is for, '
            f'to compare the exports on: {printable(classifier.origin)}, has no run '
            'that knows some.'
        )
    images = _decoded(compared, side)
    return Images(images, _decoded(measured, side) if measures else images[:0], origin)


def _source_of(config: Config, download: bool) -> data.Source:
    try:
        return load_source(image_config(config, {'download': download}))
    except DatasetError as error:
        raise UserError(
            f'Expected the images that the run was trained with: {error} '
            'Or pass others with --images.'
        ) from error


def _split_of(given: str) -> Split:
    files = list(image_files.find(given))
    for file in files:
        if file.error:
            _log.warning('Skipping %s: %s', printable(file.name), file.error)
    paths = [file.path for file in files if file.path]
    if not paths:
        raise UserError(
            'Expected --images to be an image, or a folder or pattern '
            f'of them, got {printable(given)}: {files[0].error}.'
        )
    return Split(np.zeros(len(paths), np.int32), paths, paths=paths)


def _halves(split: Split) -> tuple[Split, Split]:
    """Images to compare and others to measure; a single one has to do for both."""
    order = np.random.default_rng(0).permutation(len(split))
    compared, measured = order[0::2][:COMPARED], order[1::2][:MEASURED]
    return (
        data.take(split, np.sort(compared)),
        data.take(split, np.sort(measured if len(measured) else compared)),
    )


def _spread(split: Split, count: int) -> Split:
    """Some images of a split, as many of each class as there can be."""
    order = np.random.default_rng(0).permutation(len(split))
    seen: Counter[int] = Counter()
    ranks = []
    for label in split.labels[order].tolist():
        ranks.append(seen[label])
        seen[label] += 1
    chosen = order[np.argsort(ranks, kind='stable')[:count]]
    return data.take(split, np.sort(chosen))


def _decoded(split: Split, side: int) -> np.ndarray:
    """What can be decoded; the rest is named in the log.

    Raises:
        UserError: nothing can.
    """
    batches = data.eval_batches(
        split, batch_size=16, image_size=side, bad_files=BadFiles()
    )
    images = np.concatenate(
        [batch.images.numpy()[batch.sample_weights.numpy() > 0] for batch in batches]
    )
    if not len(images):
        raise UserError(
            f'Expected images to compare the exports on, but none of '
            f'{counted(len(split), "image")} can be decoded. Pass others '
            'with --images.'
        )
    return images
