"""What is exported, and what every format has and can do."""

import abc
import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from vision.errors import UserError
from vision.export import processes
from vision.export.processes import Predictions
from vision.models import Network
from vision.models.specification import Specification

# A tf.function, which has no type that a checker knows.
Function: TypeAlias = Any
Named = dict[str, tf.Tensor]


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

    def describe(self) -> dict[str, Any]:
        """The classes and the preparation of images, as JSON values.

        Each export contains all of the preparation but cropping and resizing.
        """
        return {
            'model': self.specification.model,
            'classes': list(self.specification.classes),
            'ids': list(self.ids),
            'image_size': self.specification.image_size,
            'channels': self.specification.channels,
            'range': [0, 255],
            'resize': 'the largest centred square, bilinearly, antialiased where it '
            'shrinks to less than half',
            'normalization': self.specification.normalization,
            'temperature': self.temperature,
        }

    def predict(self, images: tf.Tensor) -> Named:
        """Calibrated probabilities and logits, each float32 `[B, classes]`.

        This is the only softmax of an export.

        Args:
            images: `[B, S, S, 3]`, RGB in 0..255, of any numeric type.
        """
        logits = self.network(images).main
        return {
            'probabilities': tf.nn.softmax(logits / self.temperature),
            'logits': logits,
        }

    def signature(self, dtype: tf.DType, logits: bool = True) -> Function:
        """`images -> {'probabilities', 'logits'}`, for any number of images of a size.

        Args:
            dtype: of the images.
            logits: False for the probabilities alone, for formats that number outputs.
        """

        def of_images(images: tf.Tensor) -> Named:
            named = self.predict(images)
            return named if logits else {'probabilities': named['probabilities']}

        side = self.specification.image_size
        return tf.function(
            of_images,
            [tf.TensorSpec([None, side, side, 3], dtype, name='images')],
            autograph=False,
        )


class Format(abc.ABC):
    """One way to export a network.

    Attributes:
        name: a key of `FORMATS`.
        path: the file or folder inside the folder of exports.
        runtime: a key of `RUNTIMES` in runners/predict.py, where that runs the export.
        packages: requirements for pip by the Python modules that they install, for
            those that only this format needs.
        tolerance: the largest difference of any probability that is allowed.
        agreement: the smallest share of images, 0..1, whose most likely class has to
            be the model's.
        calibrates: whether it computes ranges of activations from a sample of images.
        reads_saved_model: whether its converter reads a SavedModel, or the network.
    """

    name: str
    path: str
    runtime: str
    packages: ClassVar[Mapping[str, str]] = {}
    tolerance: float
    agreement: float = 1.0
    calibrates: bool = False
    reads_saved_model: bool = False

    def check_available(self) -> None:
        """Returns if converter and runtime are installed.

        Raises:
            UserError: one is not; the message says how to install it.
        """
        missing = [m for m in self.packages if importlib.util.find_spec(m) is None]
        if missing:
            raise UserError(
                f'Expected {", ".join(missing)} to be installed for {self.name}: '
                f'pip install {" ".join(self.packages[module] for module in missing)}'
            )

    @abc.abstractmethod
    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        """Writes the export.

        Args:
            bundle: what is exported.
            saved_model: the same as a SavedModel, which is made first if
                `reads_saved_model`.
            target: the file or folder to make; its parent exists.
            sample: RGB images to calibrate with, uint8 `[N, S, S, 3]`.

        Raises:
            UserError: the converter fails.
            OSError: the export cannot be written.
        """

    def run(self, target: Path, images: np.ndarray) -> Predictions:
        """The predictions of the export, in a fresh process of its own runtime.

        Args:
            target: the file or folder that `convert` wrote.
            images: RGB, uint8 `[N, S, S, 3]`.

        Raises:
            UserError: the runtime fails.
        """
        return processes.exchange(
            self.runtime,
            [sys.executable, str(processes.RUNNER), self.runtime],
            target,
            images,
        )

    @contextlib.contextmanager
    def conversion(self, converter: str) -> Iterator[None]:
        """Raises UserError with advice in place of whatever a converter raises."""
        try:
            yield
        except Exception as error:  # converters have no common base of their errors
            reason = str(error).strip() or type(error).__name__
            raise UserError(
                f'Expected {converter} to have all operations of the network, but its '
                f'converter failed. Leave {self.name} out of the formats. The error '
                f'of the converter: {reason}',
                'formats',
            ) from error
