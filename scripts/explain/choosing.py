"""Which images are explained: those that were given, or some of the run's own."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scripts.common.dataset_settings import image_config
from trainers.inference import image_files
from trainers.inference.classifier import Classifier
from trainers.inference.scoring import score
from trainers.run.train import load_source
from trainers.settings.config import ConfigError
from vision.data import BadFiles, DatasetError, Split, take

# Validation images among which mistakes are looked for.
_LOOKED_AT = 1000


class Chosen(NamedTuple):
    """Images to explain, and what is wrong with others.

    Attributes:
        split: the images; None where there is none.
        labelled: whether their labels are those of the classifier.
        errors: what cannot be read, and why.
    """

    split: Split | None
    labelled: bool
    errors: dict[str, str]


def of_arguments(arguments: Sequence[str]) -> Chosen:
    """The files, the images of the folders, and what matches the patterns."""
    found = {
        file.name: file for argument in arguments for file in image_files.find(argument)
    }
    errors = {name: file.error for name, file in found.items() if file.error}
    good = {name: file.path for name, file in found.items() if not file.error}
    if not good:
        return Chosen(None, False, errors)
    split = Split(np.zeros(len(good), np.int32), list(good), paths=list(good.values()))
    return Chosen(split, False, errors)


def of_run(
    classifier: Classifier, samples: int, seed: int, data_dir: str = ''
) -> Chosen:
    """Some validation images, half of them mistakes where there are so many.

    Args:
        classifier: of a run, which knows its images.
        samples: how many.
        seed: of the choice.
        data_dir: where the images are now; by default where the run found them.

    Raises:
        ConfigError: the network is not that of a run.
        DatasetError: its images cannot be had, or have other classes now.
    """
    if classifier.run is None:
        raise ConfigError(
            'Expected images to explain, such as photo.jpg or a '
            'folder: only a run knows images of its own.'
        )
    moved = {'data_dir': data_dir} if data_dir else {}
    config = image_config(classifier.run.config, moved)
    source = load_source(config)
    if source.classes != classifier.classes:
        raise DatasetError(
            f'Expected images of the {len(classifier.classes)} classes that the run '
            f'was trained on, got {len(source.classes)} others in '
            f'{config.data_dir or config.dataset}. Name images instead.'
        )
    order = np.random.default_rng(seed).permutation(len(source.splits['validation']))
    split = take(source.splits['validation'], order[:_LOOKED_AT])
    scores = score(classifier, split, bad_files=BadFiles())
    wrong = scores.logits['main'].argmax(1) != split.labels
    mistakes = _spread(split.labels, scores.good & wrong)
    others = _spread(split.labels, scores.good & ~wrong)
    few = min(len(mistakes), max(samples // 2, samples - len(others)))
    chosen = [*mistakes[:few], *others[: samples - few]]
    return Chosen(take(split, np.array(chosen, int)), True, {})


def _spread(labels: np.ndarray, which: np.ndarray) -> list[int]:
    """Places of images, one of each class in turn."""
    places = np.flatnonzero(which)
    rounds = [np.sum(labels[places[:i]] == labels[at]) for i, at in enumerate(places)]
    return places[np.lexsort((labels[places], rounds))].tolist()
