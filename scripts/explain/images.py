"""The images to explain: those that the arguments name, or validation images."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scripts.common.dataset_settings import image_config
from scripts.common.sampling import rank_in_class
from trainers.inference import image_files
from trainers.inference.classifier import Classifier
from trainers.inference.scoring import score
from trainers.run.source import load_source
from trainers.settings.config import ConfigError
from vision.data import BadFiles, DatasetError, FileSplit, Split, take

# Validation images that are evaluated to find misclassified ones.
_EVALUATED = 1000


class Images(NamedTuple):
    """Images to explain.

    Attributes:
        split: the images; None where there is none.
        labelled: whether their labels are those of the classifier.
        errors: by the name of an image, why it cannot be explained.
    """

    split: Split | None
    labelled: bool
    errors: dict[str, str]


def from_arguments(arguments: Sequence[str]) -> Images:
    """The image files, the images in folders, and the matches of patterns."""
    files = {
        file.name: file for argument in arguments for file in image_files.find(argument)
    }
    errors = {name: file.error for name, file in files.items() if file.error}
    paths = {name: file.path for name, file in files.items() if not file.error}
    if not paths:
        return Images(None, False, errors)
    labels = np.zeros(len(paths), np.int32)
    return Images(FileSplit(labels, list(paths), list(paths.values())), False, errors)


def from_run(
    classifier: Classifier,
    samples: int,
    seed: int,
    data_dir: str = '',
    download: bool = False,
) -> Images:
    """Validation images of a run, half of them misclassified if there are enough.

    Args:
        classifier: of a run.
        samples: number of images.
        seed: of the choice.
        data_dir: where the images are, by default as recorded by the run.
        download: whether they may be downloaded.

    Raises:
        ConfigError: the weights are not those of a run.
        DatasetError: the images are missing or have other classes.
    """
    if classifier.run is None:
        raise ConfigError(
            'Expected images to explain, such as photo.jpg or a folder: weights that '
            'are not of a run have no validation images.'
        )
    moved = {'data_dir': data_dir} if data_dir else {}
    config = image_config(classifier.run.config, {**moved, 'download': download})
    source = load_source(config)
    if source.classes != classifier.classes:
        raise DatasetError(
            f'Expected images of the {len(classifier.classes)} classes that the run '
            f'was trained on, got {len(source.classes)} other classes in '
            f'{config.data_dir or config.dataset}. Name images instead.'
        )
    order = np.random.default_rng(seed).permutation(len(source.splits['validation']))
    split = take(source.splits['validation'], order[:_EVALUATED])
    scores = score(classifier, split, bad_files=BadFiles())
    wrong = scores.logits['main'].argmax(1) != split.labels
    misclassified = _by_class(split.labels, scores.good & wrong)
    correct = _by_class(split.labels, scores.good & ~wrong)
    count = min(len(misclassified), max(samples // 2, samples - len(correct)))
    chosen = [*misclassified[:count], *correct[: samples - count]]
    return Images(take(split, np.array(chosen, int)), True, {})


def _by_class(labels: np.ndarray, mask: np.ndarray) -> list[int]:
    """Indices of the images where `mask` is true, taking turns by class."""
    indices = np.flatnonzero(mask)
    labels = labels[indices]
    return indices[np.lexsort((labels, rank_in_class(labels)))].tolist()
