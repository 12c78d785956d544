"""Looks at every picture once and keeps a few numbers of each."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from vision.data import SPLITS, Source, Split
from vision.survey.look import FACTS, THUMBNAIL, Seen, decoded, look_at, look_closely


@dataclass(frozen=True, eq=False)
class Survey:
    """What was seen of N pictures: train first, then validation, then test.

    split: uint8 [N], the split's place in SPLITS.
    index: int64 [N], the picture's place in its split.
    labels: int32 [N].
    facts: FACTS [N].
    thumbnails: uint8 [N, 12, 12, 3].
    undecodable: picture -> why TensorFlow cannot decode it.
    refused: picture -> why Pillow does not open it although TensorFlow does.
    """

    source: Source
    image_size: int
    split: np.ndarray
    index: np.ndarray
    labels: np.ndarray
    facts: np.ndarray
    thumbnails: np.ndarray
    undecodable: dict[int, str]
    refused: dict[int, str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def good(self) -> np.ndarray:
        """bool [N], whether TensorFlow decodes the picture."""
        return self.facts['good']

    def place(self, picture: int) -> tuple[Split, int]:
        """The picture's split and its place there."""
        return self.source.splits[self.split_name(picture)], int(self.index[picture])

    def split_name(self, picture: int) -> str:
        return SPLITS[self.split[picture]]

    def name(self, picture: int) -> str:
        """The path relative to the data directory."""
        split, index = self.place(picture)
        return str(split.names[index])

    def class_name(self, picture: int) -> str:
        return self.source.classes[self.labels[picture]]

    def members(self, split: str) -> np.ndarray:
        """bool [N], whether the picture belongs to the split."""
        return self.split == SPLITS.index(split)


def survey(
    source: Source,
    image_size: int = 0,
    max_pictures: int = 0,
    progress: Callable[[int], None] = lambda count: None,
) -> Survey:
    """Looks at the pictures of all splits.

    image_size: the side to which pictures are fitted; 0: the dataset's own.
    max_pictures: look at no more than these, evenly spread; 0: at all.
    progress: called with the number of pictures seen since the last call.
    """
    chosen = {name: _spread(source, name, max_pictures) for name in SPLITS}
    index = np.concatenate(list(chosen.values()))
    split = np.repeat(
        np.arange(len(SPLITS), dtype=np.uint8), [len(each) for each in chosen.values()]
    )
    labels = np.concatenate([source.splits[n].labels[i] for n, i in chosen.items()])
    image_size = image_size or source.image_size
    result = Survey(
        source,
        image_size,
        split,
        index,
        labels,
        np.zeros(len(index), FACTS),
        np.zeros([len(index), THUMBNAIL, THUMBNAIL, 3], np.uint8),
        {},
        {},
    )
    with _pillow_quiet():
        for name in SPLITS:
            _look_at_split(result, name, progress)
    return result


def _spread(source: Source, name: str, max_pictures: int) -> np.ndarray:
    """int64: the places of the pictures to look at, at least one of each split."""
    count = len(source.splits[name])
    total = sum(map(len, source.splits.values()))
    if not 0 < max_pictures < total:
        return np.arange(count)
    wanted = max(max_pictures * count // total, 1)
    return np.arange(wanted) * count // wanted


def _look_at_split(result: Survey, name: str, progress: Callable[[int], None]) -> None:
    split = result.source.splits[name]
    members = np.flatnonzero(result.members(name))
    picture_of = dict(zip(result.index[members].tolist(), members.tolist()))
    # TensorFlow decodes in threads of its own. More of Python's would wait for each
    # other: with two it takes twice as long.
    for picture in decoded(split, result.index[members], result.image_size):
        _note(result, picture_of.pop(int(picture.place)), look_at(picture))
        progress(1)
    for index, rest in picture_of.items():
        _note(result, rest, look_closely(split, index, result.image_size))
        progress(1)


def _note(result: Survey, picture: int, seen: Seen) -> None:
    result.facts[picture] = seen.facts
    result.thumbnails[picture] = seen.thumbnail
    if seen.undecodable:
        result.undecodable[picture] = seen.undecodable
    if seen.refused:
        result.refused[picture] = seen.refused


@contextlib.contextmanager
def _pillow_quiet() -> Iterator[None]:
    """What Pillow warns of is either looked for or of no concern to training."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', module='PIL')
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        yield
