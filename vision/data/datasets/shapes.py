"""The built-in dataset: ten kinds of small drawn shapes, made in two seconds.

Needs no files and writes none. Each image shows one shape of any position, size,
rotation and colour, filled or outlined, before a coloured background with clutter.
"""

import functools
from collections.abc import Callable

import numpy as np

from vision.data.source import ArraySplit, DatasetError, HeldOut, Source

IMAGE_SIZE = 32
TRAIN, VALIDATION, TEST = 3_000, 500, 500  # Images, the same number of each class.
_SEED = 20_140_917  # The day GoogLeNet appeared; any other would do.

# Everything is computed in float64: with a 1e-16 error no rounding to uint8 depends
# on the processor, so the images are the same bits everywhere.
# Coordinates run from -1 to 1 across the image; x to the right, y down.
_PIXEL = 2 / IMAGE_SIZE

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
# (low, high) -> a random number for each image, [count, 1, 1].
Draw = Callable[[float, float], np.ndarray]


def load(data_dir: str = '', held_out: HeldOut = HeldOut()) -> Source:
    """Ten kinds of drawn shapes of 32x32 pixels, built in; the same each time.

    Raises:
        DatasetError: a data_dir is given, since none is read.
    """
    if data_dir:
        raise DatasetError(
            'shapes is built in and reads no files, got data_dir='
            f'{data_dir!r}; leave it out, or name another dataset.',
            'data_dir',
            'dataset',
        )
    return _source()


@functools.cache
def _source() -> Source:
    rng = np.random.Generator(np.random.PCG64(_SEED))
    count = (TRAIN + VALIDATION + TEST) // len(SHAPES)
    # One of each class after the other: any ten in a row, and so a split, are balanced.
    images = np.stack(
        [_draw(distance, count, rng) for distance in SHAPES.values()], 1
    ).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 3)
    splits, start = {}, 0
    for name, size in (('train', TRAIN), ('validation', VALIDATION), ('test', TEST)):
        order = start + rng.permutation(size)
        labels = (order % len(SHAPES)).astype(np.int32)
        names = [f'{name}/{i:05d}' for i in range(size)]
        splits[name] = ArraySplit(labels, names, images[order])
        # All who load the dataset share it.
        splits[name].images.flags.writeable = labels.flags.writeable = False
        start += size
    return Source('shapes', tuple(SHAPES), splits, IMAGE_SIZE, fixed_size=True)


def _draw(distance: Distance, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws one kind of shape `count` times; uint8 [count, 32, 32, 3]."""

    def draw(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, [count, 1, 1])

    centres = (np.arange(IMAGE_SIZE) + 0.5) * _PIXEL - 1
    x, y = np.meshgrid(centres, centres)
    # Ink and background differ in hue, and the ink is the lighter.
    hue = draw(0, 1)
    base = _hsv(hue, draw(0.35, 0.7), draw(0.15, 0.4))
    accent = _hsv(hue + draw(-0.15, 0.15), draw(0.3, 0.7), draw(0.3, 0.55))
    ink = _hsv(hue + draw(0.25, 0.75), draw(0.5, 0.9), draw(0.8, 1))
    canvas = _background(x, y, base, accent, draw)
    for _ in range(3):
        _paint(canvas, _clutter(x, y, draw), accent, 0.8)

    u, v, size = _place(x, y, draw)
    signed = distance(u, v) * size
    # An outlined circle would be a ring, and a ring has an outline already.
    outlined = rng.random([count, 1, 1]) < (0 if distance in (circle, ring) else 0.3)
    body = np.where(outlined, np.abs(signed + 0.07) - 0.07, signed)
    shadow = np.clip(0.5 - (np.roll(body, (1, 1), (1, 2)) - 0.03) / 0.15, 0, 1)
    canvas *= 1 - 0.45 * shadow[..., np.newaxis]
    light = 1 + 0.18 * (u * draw(-1, 1) - v)
    _paint(canvas, _coverage(body), ink * np.clip(light, 0.7, 1.2)[..., np.newaxis], 1)

    canvas += rng.normal(0, 0.02, canvas.shape)
    return np.rint(255 * np.clip(canvas, 0, 1)).astype(np.uint8)


def _place(
    x: np.ndarray, y: np.ndarray, draw: Draw
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shape coordinates u, v [count, 32, 32] and size [count, 1, 1] of each shape."""
    size = draw(0.5, 0.8)
    room = 0.95 - size
    x, y = x - room * draw(-1, 1), y - room * draw(-1, 1)
    angle, stretch = draw(-0.5, 0.5), np.exp(draw(-0.1, 0.1))
    cos, sin = np.cos(angle), np.sin(angle)
    return (
        (x * cos + y * sin) * stretch / size,
        (y * cos - x * sin) / stretch / size,
        size,
    )


def _hsv(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Hue (period 1), saturation and value [...] to RGB [..., 3] in 0..1."""
    k = (np.array([5.0, 3.0, 1.0]) + 6 * hue[..., np.newaxis]) % 6
    fall = np.clip(np.minimum(k, 4 - k), 0, 1)
    return value[..., np.newaxis] * (1 - saturation[..., np.newaxis] * fall)


def _background(
    x: np.ndarray, y: np.ndarray, base: np.ndarray, accent: np.ndarray, draw: Draw
) -> np.ndarray:
    """A gradient from base to accent in a random direction, with faint waves."""
    angle = draw(-np.pi, np.pi)
    mix = 0.35 + 0.35 * (x * np.cos(angle) + y * np.sin(angle))
    wave = np.sin(draw(-9, 9) * x + draw(-9, 9) * y + draw(-np.pi, np.pi))
    mix = np.clip(mix + draw(0, 0.25) * wave, 0, 1)[..., np.newaxis]
    return base + mix * (accent - base)


def _clutter(x: np.ndarray, y: np.ndarray, draw: Draw) -> np.ndarray:
    """Coverage [count, 32, 32] of one dot or one line each."""
    x, y = x - draw(-1, 1), y - draw(-1, 1)
    angle = draw(-np.pi, np.pi)
    dot = np.hypot(x, y) - draw(0.05, 0.2)
    line = np.abs(x * np.cos(angle) + y * np.sin(angle)) - draw(0.02, 0.06)
    return _coverage(np.where(draw(0, 1) < 0.5, dot, line))


def _coverage(distance: np.ndarray) -> np.ndarray:
    """The share of each pixel inside an outline, from the signed distance to it."""
    return np.clip(0.5 - distance / _PIXEL, 0, 1)


def _paint(
    canvas: np.ndarray, coverage: np.ndarray, colour: np.ndarray, opacity: float
) -> None:
    canvas += opacity * coverage[..., np.newaxis] * (colour - canvas)


def circle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Signed distance to a filled circle, negative inside, as all of these."""
    return np.hypot(u, v) - 0.85


def ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A circle with a round hole."""
    return np.abs(np.hypot(u, v) - 0.65) - 0.23


def crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A circle less another one beside it."""
    return np.maximum(np.hypot(u, v) - 0.95, 0.75 - np.hypot(u - 0.5, v))


def _polygon(vertices: np.ndarray | list[tuple[float, float]]) -> Distance:
    """The signed distance to a closed polygon [n, 2], negative inside.

    Inigo Quilez, "2D distance functions": the nearest point of each edge, and the
    number of edges that a ray crosses.
    """

    def distance(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        nearest = np.full(u.shape, np.inf)
        inside = np.zeros(u.shape, bool)
        for (ax, ay), (bx, by) in zip(vertices, np.roll(vertices, 1, 0)):
            ex, ey, du, dv = bx - ax, by - ay, u - ax, v - ay
            along = np.clip((du * ex + dv * ey) / (ex * ex + ey * ey), 0, 1)
            nearest = np.minimum(
                nearest, (du - along * ex) ** 2 + (dv - along * ey) ** 2
            )
            left = ex * dv > ey * du
            inside ^= ((v >= ay) & (v < by) & left) | ((v < ay) & (v >= by) & ~left)
        return np.where(inside, -1, 1) * np.sqrt(nearest)

    return distance


def _regular(corners: int, inner: float | None = None) -> np.ndarray:
    """A regular polygon, or a star whose inner corners have the radius `inner`."""
    radius = np.tile([1.0] if inner is None else [1.0, inner], corners)
    angle = 2 * np.pi * np.arange(len(radius)) / len(radius)
    return np.stack([radius * np.sin(angle), -radius * np.cos(angle)], 1)


def _heart() -> np.ndarray:
    t = 2 * np.pi * np.arange(20) / 20
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x, -y - 2.5], 1) / 15.5


SHAPES: dict[str, Distance] = {
    'arrow': _polygon(
        [
            (0, -1),
            (0.75, -0.1),
            (0.28, -0.1),
            (0.28, 0.95),
            (-0.28, 0.95),
            (-0.28, -0.1),
            (-0.75, -0.1),
        ]
    ),
    'circle': circle,
    'crescent': crescent,
    'cross': _polygon(
        [
            (-0.3, -0.95),
            (0.3, -0.95),
            (0.3, -0.3),
            (0.95, -0.3),
            (0.95, 0.3),
            (0.3, 0.3),
            (0.3, 0.95),
            (-0.3, 0.95),
            (-0.3, 0.3),
            (-0.95, 0.3),
            (-0.95, -0.3),
            (-0.3, -0.3),
        ]
    ),
    'heart': _polygon(_heart()),
    'pentagon': _polygon(_regular(5)),
    'ring': ring,
    'square': _polygon(_regular(4)),
    'star': _polygon(_regular(5, inner=0.45)),
    'triangle': _polygon(_regular(3)),
}
