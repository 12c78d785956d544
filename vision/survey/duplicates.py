"""Duplicates: identical files, identical pixels, and near-duplicates."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from vision.survey.matching import close_pairs, distances
from vision.survey.survey import Survey

# Pairs of different photographs rarely differ in fewer than 8 bits and never in an odd
# number; copies saved again, resized, brightened or cropped by 1 % stay within 10.
DISTANCE = 10
# The second test: the thumbnails of such copies correlate from about 0.93 on, those of
# photographs of similar objects in the same place up to 0.9.
CORRELATION = 0.93
COLOURLESS = 2.0  # Levels between a pixel's channels, on average.
# Standard deviation in grey levels: below it a thumbnail shows noise, which correlates
# with other noise.
FLAT = 3.0
MAX_PAIRS = 1_000_000  # All frames of a film are near-duplicates.
_LUMINANCE = np.repeat([[0.299], [0.587], [0.114]], 3, 1).astype(np.float32)
_PART = 1 << 14  # Pairs of thumbnails compared together: 60 MB.

KINDS = {
    'file': 'identical files',
    'pixels': 'different files with identical pixels',
    'near': 'near-duplicates',
}


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Pairs of images, first < second in the order of the survey.

    Of k identical images, the first is paired with each of the others, so that they
    make k - 1 pairs. The first is in train if any of them is.

    Attributes:
        pairs: int64 [K, 2], indices in the survey.
        distances: int64 [K], bits in which the perceptual hashes differ.
        kinds: K keys of KINDS.
        complete: False if the search ended at MAX_PAIRS.
    """

    pairs: np.ndarray
    distances: np.ndarray
    kinds: np.ndarray
    complete: bool

    def __len__(self) -> int:
        return len(self.pairs)


def find(survey: Survey) -> Duplicates:
    """All pairs of duplicates, ordered by kind as in KINDS."""
    files, pixels = survey.facts['file_digest'], survey.facts['pixel_digest']
    # Identical bytes have identical pixels, if they can be decoded.
    first = np.minimum(
        _first_copies(files, files != 0), _first_copies(pixels, survey.good)
    )
    copies = np.flatnonzero(first != np.arange(len(first)))
    exact = np.stack([first[copies], copies], 1)
    same_file = (files[first[copies]] == files[copies]) & (files[copies] != 0)
    near, complete = _near_pairs(survey, first)
    near = _with_copies(near, exact)
    pairs = np.concatenate([exact, near])
    rank = np.concatenate([np.where(same_file, 0, 1), np.full(len(near), 2)])
    order = np.lexsort((pairs[:, 1], pairs[:, 0], rank))
    pairs, kinds = pairs[order], np.array(list(KINDS))[rank[order]]
    return Duplicates(pairs, distances(survey.facts['hash'], pairs), kinds, complete)


def leaked(survey: Survey, duplicates: Duplicates, split: str) -> np.ndarray:
    """Indices of the images of a split that have a duplicate in train, int64."""
    # Images of train come first, so the second of a pair is in the other split.
    first, second = duplicates.pairs.T
    return np.unique(
        second[survey.members('train')[first] & survey.members(split)[second]]
    )


def conflicts(survey: Survey, duplicates: Duplicates) -> np.ndarray:
    """Whether the two images of a pair have different classes, bool [K]."""
    labels = survey.labels[duplicates.pairs]
    return labels[:, 0] != labels[:, 1]


def _first_copies(digests: np.ndarray, where: np.ndarray) -> np.ndarray:
    """For each image the first with the same digest, among those of a mask.

    Returns:
        int64 [N]; for images outside of the mask themselves.
    """
    result = np.arange(len(digests))
    among = np.flatnonzero(where)
    _, first, inverse = np.unique(
        digests[among], return_index=True, return_inverse=True
    )
    result[among] = among[first[inverse]]
    return result


def _near_pairs(survey: Survey, first: np.ndarray) -> tuple[np.ndarray, bool]:
    """Near-duplicates that are not identical [K, 2], and whether these are all."""
    candidates = np.flatnonzero(
        survey.good
        & (survey.facts['contrast'] >= FLAT / 255)
        & (first == np.arange(len(first)))
    )
    near = [np.empty([0, 2], np.int64)]
    for close in close_pairs(survey.facts['hash'][candidates], DISTANCE):
        pairs = candidates[close]
        near.append(pairs[_correlation(survey.thumbnails, pairs) >= CORRELATION])
        if sum(map(len, near)) > MAX_PAIRS:
            return np.concatenate(near)[:MAX_PAIRS], False
    return np.concatenate(near), True


def _correlation(thumbnails: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The correlation of the thumbnails of each pair, float32 [K] in -1..1."""
    parts = [np.empty([0], np.float32)]
    for start in range(0, len(pairs), _PART):
        part = thumbnails[pairs[start : start + _PART]].astype(np.float32)
        part = part.reshape(*part.shape[:2], -1, 3)
        # An image matches its copy in black and white.
        colourless = (np.ptp(part, axis=3).mean(2) < COLOURLESS).any(1)
        part[colourless] = part[colourless] @ _LUMINANCE
        part -= part.mean((2, 3), keepdims=True)
        norms = np.sqrt(np.square(part).sum((2, 3))).prod(1)
        products = part.prod(1).sum((1, 2))
        parts.append(products / np.maximum(norms, 1e-6))
    return np.concatenate(parts)


def _with_copies(near: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Adds the pairs of the identical copies of the images of each pair."""
    copies = defaultdict(list)
    for first, copy in exact.tolist():
        copies[first].append(copy)
    has_copies = np.isin(near, exact[:, 0]).any(1)
    more = []
    for first, second in near[has_copies].tolist():
        more += [(first, copy) for copy in copies[second]]
        more += [(second, copy) for copy in copies[first]]
    added = np.sort(np.array(more, np.int64).reshape(-1, 2), axis=1)
    return np.concatenate([near, added])
