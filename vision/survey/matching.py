"""Pairs of 64-bit hashes that differ in a few bits, without comparing all with all."""

import itertools
from collections.abc import Iterator

import numpy as np

_BAND = 16  # Bits.
_BANDS = 64 // _BAND
# At most 11 bits in four bands: one band has at most 2 of them (the pigeonhole
# principle), so looking up each band with 0, 1 and 2 bits flipped misses no pair.
_FLIPPED = 2
MAX_DISTANCE = _BANDS * (_FLIPPED + 1) - 1
_CHUNK = 1 << 21  # Pairs compared together: about 100 MB.

_MASKS = np.array(
    [
        sum(1 << bit for bit in bits)
        for flipped in range(_FLIPPED + 1)
        for bits in itertools.combinations(range(_BAND), flipped)
    ],
    np.uint16,
)
_ONES = np.array([bin(value).count('1') for value in range(1 << _BAND)], np.uint8)


def close_pairs(hashes: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Finds the pairs of hashes that differ in few bits.

    Args:
        hashes: uint64 [N].
        distance: bits that may differ, at most MAX_DISTANCE.

    Yields:
        Some pairs, int64 [K, 2], first < second; every pair once, in no order.
    """
    assert distance <= MAX_DISTANCE
    bands = _bands(hashes)
    for band in range(_BANDS):
        for pairs in _lookup(bands[:, band]):
            ones = _ONES[bands[pairs[:, 0]] ^ bands[pairs[:, 1]]]
            # Pairs that an earlier band has yielded are left out.
            yield pairs[(ones[:, :band] > _FLIPPED).all(1) & (ones.sum(1) <= distance)]


def distances(hashes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The number of bits in which the hashes of each pair differ, int64 [K]."""
    bands = _bands(hashes)
    return _ONES[bands[pairs[:, 0]] ^ bands[pairs[:, 1]]].sum(1, dtype=np.int64)


def _bands(hashes: np.ndarray) -> np.ndarray:
    """The hashes in parts, uint16 [N, 4]."""
    return np.ascontiguousarray(hashes).view(np.uint16).reshape(len(hashes), _BANDS)


def _lookup(keys: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs whose keys differ in at most _FLIPPED bits, in chunks [K, 2]."""
    order = np.argsort(keys, kind='stable')
    counts = np.bincount(keys, minlength=1 << _BAND)
    starts = np.cumsum(counts) - counts
    for mask in _MASKS:
        wanted = keys ^ mask
        totals = np.cumsum(counts[wanted])
        # Consecutive rows that have about _CHUNK partners together, at least one row.
        limits = np.arange(_CHUNK, totals.max(initial=0), _CHUNK)
        ends = np.unique(np.searchsorted(totals, limits))
        for rows in np.split(np.arange(len(keys)), ends):
            # Each row, beside all entries of `order` with the key that it wants.
            partners = counts[wanted[rows]]
            first = np.repeat(rows, partners)
            begins = np.cumsum(partners) - partners
            shifts = np.repeat(starts[wanted[rows]] - begins, partners)
            second = order[shifts + np.arange(len(first))]
            later = first < second
            yield np.stack([first[later], second[later]], 1)
