"""Each planted copy is found, and nothing else."""

import numpy as np
import pytest

from vision.data import SPLITS, ArraySplit, Source
from vision.survey import duplicates, matching
from vision.survey.describing import FACTS
from vision.survey.survey import Survey, survey


def test_all_pairs_within_the_distance_and_each_once():
    rng = np.random.default_rng(3)
    hashes = rng.integers(0, 2**64, 300, np.uint64)
    flips = [0, 1, 5, 10, 11, 12, 20]
    copies = []
    for place, count in enumerate(flips):
        mask = sum(1 << int(bit) for bit in rng.permutation(64)[:count])
        copies.append(int(hashes[place]) ^ mask)
    hashes = np.concatenate([hashes, np.array(copies, np.uint64)])
    bits = np.unpackbits(hashes.view(np.uint8)).reshape(len(hashes), 64)
    apart = (bits[:, None] != bits[None]).sum(2)
    for limit in (10, matching.MAX_DISTANCE):
        expected = set(map(tuple, np.argwhere(np.triu(apart <= limit, 1)).tolist()))
        chunks = list(matching.close_pairs(hashes, limit))
        yielded = [tuple(pair) for chunk in chunks for pair in chunk.tolist()]
        assert len(yielded) == len(set(yielded))
        assert set(yielded) == expected
        assert len(expected) >= 4  # of the planted ones
    pairs = np.argwhere(np.triu(np.ones_like(apart), 1))
    np.testing.assert_array_equal(
        matching.distances(hashes, pairs), apart[pairs[:, 0], pairs[:, 1]]
    )


def test_small_chunks_lose_nothing(monkeypatch):
    hashes = np.repeat(np.arange(5, dtype=np.uint64) << np.uint64(3), 20)
    whole = np.concatenate(list(matching.close_pairs(hashes, 0)))
    monkeypatch.setattr(matching, '_CHUNK', 7)
    parts = np.concatenate(list(matching.close_pairs(hashes, 0)))
    assert len(whole) == 5 * 20 * 19 / 2
    assert set(map(tuple, parts.tolist())) == set(map(tuple, whole.tolist()))


def described(seen, copies) -> set[tuple[str, str, str]]:
    return {
        (kind, seen.name(a), seen.name(b))
        for kind, (a, b) in zip(copies.kinds.tolist(), copies.pairs.tolist())
    }


def test_planted_copies(seen):
    copies = duplicates.find(seen)
    assert described(seen, copies) == {
        ('file', 'train/cat/4.jpg', 'validation/cat/copy.jpg'),
        ('pixels', 'train/<b>dog/same.png', 'train/cat/original.png'),
        ('near', 'train/<b>dog/odd\udcff\x1b[31m\n.jpg', 'test/<b>dog/small.png'),
        ('near', 'train/cat/5.jpg', 'test/cat/again.jpg'),
    }
    assert copies.complete
    exact = copies.kinds != 'near'
    assert (copies.distances[exact] == 0).all()
    assert (copies.distances <= duplicates.DISTANCE).all()
    names = {
        split: [seen.name(i) for i in duplicates.leaked(seen, copies, split)]
        for split in SPLITS[1:]
    }
    assert names == {
        'validation': ['validation/cat/copy.jpg'],
        'test': ['test/<b>dog/small.png', 'test/cat/again.jpg'],
    }
    conflicting = copies.pairs[duplicates.conflicts(seen, copies)].tolist()
    assert [[seen.name(i) for i in pair] for pair in conflicting] == [
        ['train/<b>dog/same.png', 'train/cat/original.png']
    ]


def in_memory(*splits: list[np.ndarray]) -> Source:
    """Train, validation and test of these images, all of one class."""
    return Source(
        'memory',
        ('a',),
        {
            name: ArraySplit(
                np.zeros(len(images), np.int32),
                [f'{name}/{i}' for i in range(len(images))],
                images=np.stack(images),
            )
            for name, images in zip(SPLITS, splits)
        },
        48,
        fixed_size=True,
    )


def soft(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, [6, 6, 3]).astype(np.float64)
    return np.kron(coarse, np.ones([8, 8, 1])).astype(np.uint8)


def test_k_copies_make_k_minus_1_pairs_with_the_one_in_train():
    a, b, c = soft(0), soft(1), soft(2)
    seen = survey(in_memory([b, a], [a, a, c], [a]))
    copies = duplicates.find(seen)
    assert described(seen, copies) == {
        ('pixels', 'train/1', 'validation/0'),
        ('pixels', 'train/1', 'validation/1'),
        ('pixels', 'train/1', 'test/0'),
    }
    assert len(duplicates.leaked(seen, copies, 'validation')) == 2
    assert len(duplicates.leaked(seen, copies, 'test')) == 1


def test_copies_of_a_near_duplicate_are_found_too():
    a = soft(0)
    brighter = np.minimum(a.astype(int) + 12, 255).astype(np.uint8)
    seen = survey(in_memory([a], [brighter, soft(1)], [brighter]))
    copies = duplicates.find(seen)
    assert described(seen, copies) == {
        ('near', 'train/0', 'validation/0'),
        ('near', 'train/0', 'test/0'),
        ('pixels', 'validation/0', 'test/0'),
    }
    assert len(duplicates.leaked(seen, copies, 'test')) == 1


def test_black_and_white_copy_is_near_but_other_colours_are_not():
    a = soft(0)
    luminance = (a @ np.array([0.299, 0.587, 0.114]))[..., np.newaxis]
    grey = np.repeat(luminance, 3, 2).round().astype(np.uint8)
    # The same luminance, the opposite hues.
    swapped = np.clip(2 * luminance - a, 0, 255).astype(np.uint8)
    seen = survey(in_memory([a], [grey], [swapped]))
    close = matching.distances(seen.facts['hash'], np.array([[0, 2]]))
    assert close[0] <= duplicates.DISTANCE  # The hash alone would call them alike.
    assert ('near', 'train/0', 'validation/0') in described(seen, duplicates.find(seen))
    assert ('near', 'train/0', 'test/0') not in described(seen, duplicates.find(seen))


def test_images_without_contrast_are_not_near_duplicates():
    rng = np.random.default_rng(0)
    flat = [np.full([48, 48, 3], level, np.uint8) for level in range(100, 130)]
    dull = [image + rng.integers(0, 2, image.shape, np.uint8) for image in flat]
    seen = survey(in_memory(flat, dull, dull[:1]))
    copies = duplicates.find(seen)
    assert described(seen, copies) == {('pixels', 'validation/0', 'test/0')}


# Two patterns of 12x12 pixels that do not correlate, each as bright as dark.
U, V = (
    np.kron(p, np.ones([6, 6]))[..., None] for p in ([[1, -1]] * 2, [[1, 1], [-1, -1]])
)


def _alike(a, b, distance: int = 0, contrast: float = 255.0) -> bool:
    """Whether two images are near-duplicates.

    Args:
        a, b: their thumbnails less 128.
        distance: bits between their hashes.
        contrast: in grey levels.
    """
    source = in_memory([soft(0), soft(1)], [soft(2)], [soft(3)])
    facts = np.zeros(2, FACTS)
    facts['good'] = True
    facts['file_digest'] = facts['pixel_digest'] = 1, 2
    facts['hash'] = 0, 2**distance - 1
    facts['contrast'] = contrast / 255
    thumbnails = [np.broadcast_to(128 + t, [12, 12, 3]).round() for t in (a, b)]
    pair = Survey(
        source,
        48,
        split=np.zeros(2, np.uint8),
        index=np.arange(2),
        labels=np.zeros(2, np.int32),
        facts=facts,
        thumbnails=np.stack(thumbnails).astype(np.uint8),
        reasons=['', ''],
    )
    return len(duplicates.find(pair)) == 1


def test_near_duplicates_keep_within_their_bounds():
    assert _alike(50 * U, 50 * U, distance=10)
    assert not _alike(50 * U, 50 * U, distance=11)
    assert _alike(50 * U, 50 * U, contrast=3.1)
    assert not _alike(50 * U, 50 * U, contrast=2.9)
    for correlation, alike in ((0.95, True), (0.91, False)):
        other = 50 * (correlation * U + (1 - correlation**2) ** 0.5 * V)
        assert _alike(50 * U, other) is alike


def test_only_what_has_no_colours_is_compared_by_luminance():
    # The luminance of the second is 1.7 U.
    assert _alike(40 * U, U * [40, 0, -90])
    # It hides that hues are opposite: both have the luminance 2 U.
    hue = V * [5, 0, -13]
    assert not _alike(2 * U + hue, 2 * U - hue)


def test_search_ends_at_the_largest_number_of_pairs(monkeypatch):
    a = soft(0).astype(int)
    frames = [np.clip(a + i, 0, 255).astype(np.uint8) for i in range(12)]
    seen = survey(in_memory(frames, frames[:1], frames[:1]))
    assert sum(duplicates.find(seen).kinds == 'near') >= 12 * 11 / 2
    monkeypatch.setattr(duplicates, 'MAX_PAIRS', 10)
    copies = duplicates.find(seen)
    assert not copies.complete
    assert sum(copies.kinds == 'near') < 12 * 11 / 2


@pytest.mark.parametrize('change, alike', [(0, True), (4, True), (60, False)])
def test_noise_on_an_image(change, alike):
    rng = np.random.default_rng(1)
    a = soft(0)
    mixed = (1 - change / 64) * a + change / 64 * rng.permutation(
        a.reshape(-1, 3)
    ).reshape(a.shape)
    seen = survey(in_memory([a], [mixed.astype(np.uint8)], [soft(1)]))
    assert (len(duplicates.find(seen)) == 1) is alike
