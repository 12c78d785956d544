"""The images that exports are compared on, and the calibration set of int8."""

import logging
from typing import NamedTuple

import numpy as np

from scripts.common import sampling
from scripts.common.dataset_settings import image_config
from scripts.common.formatting import counted, printable
from trainers.inference import image_files
from trainers.inference.classifier import Classifier
from trainers.run.source import load_source
from trainers.settings.config import ConfigError
from vision import data
from vision.data import BadFiles, DatasetError, FileSplit, Split
from vision.errors import UserError

COMPARED, CALIBRATION = 100, 100

_log = logging.getLogger(__name__)


class Images(NamedTuple):
    """Images as the network takes them, uint8 [N, S, S, 3], RGB.

    Attributes:
        compared: what the model and the exports are compared on.
        calibration: what the ranges of activations are estimated from, for formats
            that need it: other images than `compared`, if there is more than one.
        origin: where the images are from, in words.
    """

    compared: np.ndarray
    calibration: np.ndarray
    origin: str


def choose(
    classifier: Classifier, given: str, calibrated: bool = True, download: bool = False
) -> Images:
    """Images that are given, or else those of the run.

    Args:
        classifier: what takes them.
        given: an image, a folder or a pattern; '' for images of the run.
        calibrated: whether a format needs a calibration set.
        download: whether images of the run may be downloaded.

    Raises:
        ConfigError: no images are given, and there is no run.
        UserError: the images cannot be read.
    """
    if given:
        compared, calibration = _halves(_split_of(given))
        origin = printable(given)
    elif classifier.run is not None:
        config = image_config(classifier.run.config, {'download': download})
        try:
            splits = load_source(config).splits
        except DatasetError as error:
            raise UserError(
                f'Expected the images that the run was trained with: {error} '
                'Or pass others with --images.',
                *error.parameters,
            ) from error
        compared = sampling.balanced(splits['validation'], COMPARED)
        calibration = sampling.balanced(splits['train'], CALIBRATION)
        origin = f'the validation split of {config.dataset}'
    else:
        raise ConfigError(
            'Expected --images=FOLDER with images of the domain of the network, to '
            f'compare the exports on: {printable(classifier.origin)}, has no run that '
            'names images.'
        )
    images = _decoded(compared, classifier.image_size)
    return Images(
        images,
        _decoded(calibration, classifier.image_size) if calibrated else images[:0],
        origin,
    )


def _split_of(given: str) -> Split:
    files = list(image_files.find(given))
    for file in files:
        if file.error:
            _log.warning('Skipping %s: %s', printable(file.name), file.error)
    paths = [file.path for file in files if file.path]
    if not paths:
        raise UserError(
            'Expected --images to be an image, or a folder or pattern of images, got '
            f'{printable(given)}: {files[0].error}.'
        )
    return FileSplit(np.zeros(len(paths), np.int32), paths, paths)


def _halves(split: Split) -> tuple[Split, Split]:
    """Images to compare and a calibration set; a single image is in both."""
    order = np.random.default_rng(0).permutation(len(split))
    others = order[1::2] if len(split) > 1 else order
    return (
        data.take(split, np.sort(order[0::2][:COMPARED])),
        data.take(split, np.sort(others[:CALIBRATION])),
    )


def _decoded(split: Split, side: int) -> np.ndarray:
    """The images that can be decoded; the log names the others.

    Raises:
        UserError: none can be decoded.
    """
    batches = data.eval_batches(
        split, batch_size=16, image_size=side, bad_files=BadFiles()
    )
    images = np.concatenate(
        [batch.images.numpy()[batch.sample_weights.numpy() > 0] for batch in batches]
    )
    if not len(images):
        raise UserError(
            'Expected images to compare the exports on, but none of '
            f'{counted(len(split), "image")} can be decoded. Pass others with --images.'
        )
    return images
