"""What a dataset is: named classes and three checked splits in a fixed order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vision.errors import UserError

SPLITS = ('train', 'validation', 'test')


class DatasetError(UserError):
    """The data is not what it should be; the message says what to do."""


class HeldOut(NamedTuple):
    """What to take from the training images where a dataset has no such split.

    seed: decides which images are taken.
    validation, test: shares of each class, between 0 and 1.
    """

    seed: int = 0
    validation: float = 0.1
    test: float = 0.1


@dataclass(frozen=True, eq=False)
class Split:
    """N labelled images in a fixed order, in memory or on disk.

    labels: int32 [N], the class of each image.
    names: N strings, each image's file path relative to the data directory.
    images: uint8 [N, H, W, 3], or None where the images are files.
    paths: N file paths, or None where the images are in memory.
    ranges: int64 [N, 2], offset and length in bytes of each encoded image within
        its file; None where each is a file of its own.
    sample_weights: float32 [N], 0 for an image that cannot be decoded; 1 by default.
    side: pixels a side where all images are squares of one size, else None; known
        by itself of images in memory.

    Raises DatasetError where these do not fit together.
    """

    labels: np.ndarray
    names: Sequence[str]
    images: np.ndarray | None = None
    paths: Sequence[str] | None = None
    ranges: np.ndarray | None = None
    sample_weights: np.ndarray = None  # type: ignore[assignment]  # Set when built.
    side: int | None = None

    def __post_init__(self) -> None:
        if self.sample_weights is None:
            ones = np.ones(len(self.labels), np.float32)
            object.__setattr__(self, 'sample_weights', ones)
        _check_vector('labels', self.labels, np.int32)
        _check_vector('sample_weights', self.sample_weights, np.float32)
        if not len(self):
            raise DatasetError('A split needs at least one image, got none.')
        if (self.images is None) == (self.paths is None):
            given = 'neither' if self.images is None else 'both'
            raise DatasetError(f'A split holds either images or paths, got {given}.')
        if self.images is not None:
            _check_images(self.images)
            height, width = self.images.shape[1:3]
            object.__setattr__(self, 'side', height if height == width else None)
        if self.ranges is not None:
            _check_ranges(self.ranges)
        self._check_lengths()

    def __len__(self) -> int:
        return len(self.labels)

    def _check_lengths(self) -> None:
        contents = self.paths if self.images is None else self.images
        assert contents is not None
        lengths = {
            'labels': len(self),
            'names': len(self.names),
            'images': len(contents),
            'sample_weights': len(self.sample_weights),
        }
        if self.ranges is not None:
            lengths['ranges'] = len(self.ranges)
        if len(set(lengths.values())) > 1:
            raise DatasetError(
                'A split needs one label, name and weight for each image, got '
                + ', '.join(f'{n} {what}' for what, n in lengths.items())
                + '.'
            )


def _check_vector(what: str, array: np.ndarray, dtype: type) -> None:
    if array.ndim != 1 or array.dtype != dtype:
        raise DatasetError(
            f'{what} must be {np.dtype(dtype)} [N], '
            f'got {array.dtype} {list(array.shape)}.'
        )


def _check_images(images: np.ndarray) -> None:
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise DatasetError(
            'images must be uint8 [N, H, W, 3], '
            f'got {images.dtype} {list(images.shape)}.'
        )


def _check_ranges(ranges: np.ndarray) -> None:
    if ranges.ndim != 2 or ranges.shape[1] != 2 or ranges.dtype != np.int64:
        raise DatasetError(
            f'ranges must be int64 [N, 2], got {ranges.dtype} {list(ranges.shape)}.'
        )
    if ranges.min(initial=0) < 0:
        raise DatasetError(
            f'ranges must be offsets and lengths of 0 or more, got {ranges.min()}.'
        )


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset: its classes in label order, and its three splits.

    classes: human-readable, unique names; label i is classes[i].
    splits: 'train', 'validation' and 'test'.
    image_size: native side in pixels, the default for the network.
    fixed_size: whether every image is exactly image_size x image_size.
    ids: stable identifiers of the classes, such as wnids; the names by default.

    Raises DatasetError where these do not fit together.
    """

    name: str
    classes: tuple[str, ...]
    splits: Mapping[str, Split]
    image_size: int
    fixed_size: bool
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.ids:
            object.__setattr__(self, 'ids', self.classes)
        if len(self.ids) != len(self.classes):
            raise DatasetError(
                f'{self.name}: expected one id for each of the '
                f'{len(self.classes)} classes, got {len(self.ids)}.'
            )
        _check_unique(f'{self.name}: class names', self.classes)
        _check_unique(f'{self.name}: class ids', self.ids)
        if set(self.splits) != set(SPLITS):
            raise DatasetError(
                f'{self.name}: expected the splits '
                f'{", ".join(SPLITS)}, got {", ".join(self.splits)}.'
            )
        for name, split in self.splits.items():
            self._check_split(name, split)
        if self.fixed_size:
            object.__setattr__(
                self,
                'splits',
                {
                    name: replace(split, side=self.image_size)
                    for name, split in self.splits.items()
                },
            )

    def _check_split(self, name: str, split: Split) -> None:
        low, high = split.labels.min(), split.labels.max()
        if low < 0 or high >= len(self.classes):
            at = int(
                np.argmax((split.labels < 0) | (split.labels >= len(self.classes)))
            )
            raise DatasetError(
                f'{self.name}, {name}: labels must lie in 0..{len(self.classes) - 1}, '
                f'got {split.labels[at]} for {split.names[at]}.'
            )
        if self.fixed_size and split.images is not None:
            if split.images.shape[1:3] != (self.image_size, self.image_size):
                raise DatasetError(
                    f'{self.name}, {name}: every image must be {self.image_size}x'
                    f'{self.image_size}, got {list(split.images.shape[1:3])}.'
                )


def _check_unique(what: str, names: Sequence[str]) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice or not names:
        found = f'{", ".join(twice)} twice' if twice else 'none'
        raise DatasetError(f'{what} must be unique and at least one, got {found}.')


def check_disjoint(source: Source) -> None:
    """Raises DatasetError naming images that two splits share by name or path."""
    owner: dict[str, str] = {}
    shared: dict[str, tuple[str, str]] = {}
    for split_name, split in source.splits.items():
        whole_files = split.paths if split.paths and split.ranges is None else ()
        for key in {*split.names, *whole_files}:
            first = owner.setdefault(key, split_name)
            if first != split_name:
                shared[key] = (first, split_name)
    if shared:
        examples = '; '.join(
            f'{name} in {a} and {b}' for name, (a, b) in sorted(shared.items())[:5]
        )
        raise DatasetError(
            f'{source.name}: an image must belong to one split only, got '
            f'{len(shared)} shared: {examples}. Remove the copies.'
        )


def take(split: Split, indices: np.ndarray) -> Split:
    """The images of a split at these indices, in their order."""
    at = indices.tolist()
    return replace(
        split,
        labels=split.labels[indices],
        names=[split.names[i] for i in at],
        sample_weights=split.sample_weights[indices],
        images=None if split.images is None else split.images[indices],
        paths=None if split.paths is None else [split.paths[i] for i in at],
        ranges=None if split.ranges is None else split.ranges[indices],
    )


def stratified_split(
    labels: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Splits each class by the fraction; returns sorted (train, held out) indices.

    Each class of two or more keeps at least one image on either side; a class of
    one stays in train. The same seed gives the same split.

    Raises DatasetError unless 0 < fraction < 1.
    """
    if not 0 < fraction < 1:
        raise DatasetError(
            f'The held-out fraction must lie between 0 and 1, got {fraction}.'
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(round(fraction * len(members)), 1), len(members) - 1)
        held_out[members[:count]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
