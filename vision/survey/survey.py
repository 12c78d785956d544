"""Reads every image once and keeps a few numbers of each."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vision.data import SPLITS, ArraySplit, Source, Split
from vision.survey.describing import (
    FACTS,
    THUMBNAIL,
    decoded,
    describe,
    describe_file,
)


@dataclass(frozen=True, eq=False)
class Survey:
    """Properties of N images: train first, then validation, then test.

    Attributes:
        split: uint8 [N], the split's place in SPLITS.
        index: int64 [N], the image's place in its split.
        labels: int32 [N].
        facts: FACTS [N].
        thumbnails: uint8 [N, 12, 12, 3].
        reasons: N strings, why TensorFlow cannot decode the image, or else why Pillow
            does not open it, or ''.
    """

    source: Source
    image_size: int
    split: np.ndarray
    index: np.ndarray
    labels: np.ndarray
    facts: np.ndarray
    thumbnails: np.ndarray
    reasons: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def good(self) -> np.ndarray:
        """bool [N], whether TensorFlow decodes the image."""
        return self.facts['good']

    def place(self, image: int) -> tuple[Split, int]:
        """The image's split and its place there."""
        return self.source.splits[self.split_name(image)], int(self.index[image])

    def split_name(self, image: int) -> str:
        return SPLITS[self.split[image]]

    def name(self, image: int) -> str:
        """The path relative to the data directory."""
        split, index = self.place(image)
        return str(split.names[index])

    def class_name(self, image: int) -> str:
        return self.source.classes[self.labels[image]]

    def members(self, split: str) -> np.ndarray:
        """bool [N], whether the image belongs to the split."""
        return self.split == SPLITS.index(split)


def survey(
    source: Source,
    image_size: int = 0,
    max_images: int = 0,
    progress: Callable[[int], None] = lambda count: None,
) -> Survey:
    """Describes the images of all splits.

    Args:
        image_size: the side to which images are fitted; 0: the dataset's own.
        max_images: describe at most these, evenly spread; 0: all.
        progress: called with the number of images described since the last call.
    """
    chosen = {name: _spread(source, name, max_images) for name in SPLITS}
    index = np.concatenate(list(chosen.values()))
    result = Survey(
        source,
        image_size or source.image_size,
        split=np.repeat(
            np.arange(len(SPLITS), dtype=np.uint8), list(map(len, chosen.values()))
        ),
        index=index,
        labels=np.concatenate(
            [source.splits[name].labels[places] for name, places in chosen.items()]
        ),
        facts=np.zeros(len(index), FACTS),
        thumbnails=np.zeros([len(index), THUMBNAIL, THUMBNAIL, 3], np.uint8),
        reasons=[''] * len(index),
    )
    with warnings.catch_warnings():
        # What Pillow warns of is described anyway.
        warnings.filterwarnings('ignore', module='PIL')
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        for name in SPLITS:
            _describe_split(result, name, progress)
    return result


def _spread(source: Source, name: str, max_images: int) -> np.ndarray:
    """int64: the places of the images to describe, at least one of each split."""
    count = len(source.splits[name])
    total = sum(map(len, source.splits.values()))
    if not 0 < max_images < total:
        return np.arange(count)
    wanted = max(max_images * count // total, 1)
    return np.arange(wanted) * count // wanted


def _describe_split(result: Survey, name: str, progress: Callable[[int], None]) -> None:
    split = result.source.splits[name]
    members = np.flatnonzero(result.members(name))
    image_of = dict(zip(result.index[members].tolist(), members.tolist()))
    # TensorFlow decodes in threads of its own. More of Python's would wait for each
    # other: with two it takes twice as long.
    for decoded_image in decoded(split, result.index[members], result.image_size):
        image = image_of.pop(int(decoded_image.place))
        result.reasons[image] = describe(
            decoded_image, result.facts[image], result.thumbnails[image]
        )
        progress(1)
    if isinstance(split, ArraySplit):
        return
    for index, image in image_of.items():
        result.reasons[image] = describe_file(
            split,
            index,
            result.image_size,
            result.facts[image],
            result.thumbnails[image],
        )
        progress(1)
