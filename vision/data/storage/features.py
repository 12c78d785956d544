"""Features of a split by a frozen backbone: computed once, then batches of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from vision.data.decoding.bad_files import BadFiles
from vision.data.fetch import on_host
from vision.data.pipeline import Batch, for_evaluation, for_training
from vision.data.source import Split
from vision.data.storage import stored
from vision.data.storage.stored import Contents, Progress
from vision.errors import UserError

Backbone = Callable[[tf.Tensor], tf.Tensor]  # uint8 [B, S, S, 3] -> float32 [B, F].


@dataclass(frozen=True, eq=False)
class Features:
    """N feature vectors of a split, in its order.

    Attributes:
        values: float32 [N, F].
        labels: int32 [N].
        sample_weights: float32 [N], 0 for an image that could not be decoded.
    """

    values: np.ndarray
    labels: np.ndarray
    sample_weights: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)


def extract_features(
    split: Split,
    function: Backbone,
    width: int,
    *,
    image_size: int,
    batch_size: int,
    key: str,
    folder: Path | None,
    bad_files: BadFiles,
    progress: Progress | None = None,
) -> Features:
    """Runs a function once over a split, or reads what an earlier run stored.

    Undecodable images get the weight 0 and are recorded in bad_files, also where the
    features are from an earlier run.

    Args:
        function: called with batches of the same shape, so that it is traced once.
        width: F, the length of a feature vector.
        key: identifies the weights, the preprocessing and the precision.
        folder: where the features are kept, in a file that is used again while the key,
            the images and the checksum are what they were; None: in memory only.
        progress: called after every batch.

    Raises:
        UserError: the features of an image are not finite.
        DatasetError: the folder cannot be written to or is full.
        ValueError: the function returns another type or width.
    """

    def compute(images: np.ndarray, names: Sequence[str]) -> np.ndarray:
        values = function(tf.constant(images)).numpy()
        _check(values, (batch_size, width), names)
        return values

    contents = Contents(
        compute=compute,
        batch_size=batch_size,
        image_size=image_size,
        shape=(len(split), width),
        dtype=np.float32,
        what='features',
        remedy='Make room, or choose another cache_dir.',
        parameters=('cache_dir',),
        made_of=f'{image_size} {key}',
        checked=True,
    )
    if folder is None:
        values, sample_weights = stored.in_memory(split, contents, bad_files, progress)
    else:
        name = stored.digest([key, image_size, *split.names])[:16]
        file = folder / f'features-{name}.float32'
        values, sample_weights = stored.on_disk(
            file, split, contents, bad_files, progress
        )
    return Features(values, split.labels, sample_weights)


def feature_train_batches(
    features: Features,
    *,
    batch_size: int,
    seed: int,
    end_step: int,
    start_step: int = 0,
    limit: int | None = None,
) -> tf.data.Dataset:
    """As train_batches, with float32 [B, F] in the place of the images."""
    take = _taker(features)
    return for_training(
        features,
        lambda key, indices: take(indices),
        batch_size=batch_size,
        seed=seed,
        start_step=start_step,
        end_step=end_step,
        limit=limit,
    )


def feature_eval_batches(
    features: Features, *, batch_size: int, limit: int | None = None
) -> tf.data.Dataset:
    """As eval_batches, with float32 [B, F] in the place of the images."""
    return for_evaluation(
        features, _taker(features), batch_size=batch_size, limit=limit
    )


def _taker(features: Features) -> Callable[[tf.Tensor], Batch]:
    """Makes `indices -> Batch`."""
    values, labels, sample_weights = (
        on_host(array)
        for array in (features.values, features.labels, features.sample_weights)
    )

    return lambda indices: Batch(
        tf.gather(values, indices),
        tf.gather(labels, indices),
        tf.gather(sample_weights, indices),
    )


def _check(values: np.ndarray, shape: tuple[int, int], names: Sequence[str]) -> None:
    """Checks the features of a batch of images.

    Raises:
        ValueError: they have another type or shape.
        UserError: some are not finite.
    """
    if values.dtype != np.float32 or values.shape != shape:
        raise ValueError(
            f'Expected features float32 {list(shape)}, received '
            f'{values.dtype} {list(values.shape)}.'
        )
    finite = np.isfinite(values[: len(names)]).all(1)
    if not finite.all():
        raise UserError(
            'Expected finite features, received infinite or undefined ones for '
            f'{names[int(np.argmin(finite))]}. The weights or the arithmetic are at '
            'fault, not the image: load other weights, or compute in float32.',
            'pretrained',
            'precision',
        )
