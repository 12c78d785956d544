"""What an export is made of, what it answers, and what every format can do."""

import abc
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vision.models import Network
from vision.models.specification import Specification


class Bundle(NamedTuple):
    """What is exported.

    Attributes:
        network: with its weights, of float32 arithmetic.
        specification: how images are prepared, and what the logits mean.
        ids: stable identifiers of the classes, in the order of the logits.
        temperature: what logits are divided by before the softmax, above 0.
    """

    network: Network
    specification: Specification
    ids: tuple[str, ...]
    temperature: float


class Answers(NamedTuple):
    """What an export says of N images in its own runtime.

    Attributes:
        probabilities: float32 `[N, classes]`.
        milliseconds: median time of one image by itself, after a warm-up.
    """

    probabilities: np.ndarray
    milliseconds: float


class Format(abc.ABC):
    """One way to export a network.

    Attributes:
        name: a key of `FORMATS`.
        path: the file or folder inside the folder of exports.
        tolerance: the largest difference of any probability that is allowed.
        agreement: the smallest share of images, 0..1, whose most likely class has to
            be the model's.
        measures: whether it measures activations on a sample of images.
    """

    name: str
    path: str
    tolerance: float
    agreement: float
    measures: bool = False

    @abc.abstractmethod
    def check_available(self) -> None:
        """Returns if converter and runtime are there.

        Raises:
            UserError: one is not; the message says how to get it.
        """

    @abc.abstractmethod
    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        """Writes the export.

        Args:
            bundle: what is exported.
            saved_model: the same as a SavedModel, which is always made first.
            target: the file or folder to make; its parent is there.
            sample: uint8 `[N, S, S, 3]`, RGB, images to measure activations on, where
                the format does.

        Raises:
            UserError: the converter fails.
            OSError: the export cannot be written.
        """

    @abc.abstractmethod
    def run(self, target: Path, images: np.ndarray) -> Answers:
        """What the export says in a fresh process of its own runtime.

        Args:
            target: the file or folder that `convert` wrote.
            images: uint8 `[N, S, S, 3]`, RGB.

        Raises:
            UserError: the runtime refuses it.
        """
