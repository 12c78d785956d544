import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from vision.data.augment import geometry
from vision.data.augment.geometry import Affine

SEEDS = tf.range(200, dtype=tf.int64)
SIDE = 24


@pytest.fixture(scope='module')
def image() -> np.ndarray:
    return np.random.default_rng(2).uniform(0, 255, [SIDE, SIDE, 3]).astype(np.float32)


def batch(image: np.ndarray, count: int = len(SEEDS)) -> tf.Tensor:
    return tf.constant(np.tile(image, [count, 1, 1, 1]))


def warp(image: np.ndarray, affine: Affine) -> np.ndarray:
    """The image moved in each of the ways that the map holds."""
    return geometry.warp(batch(image, affine.matrix.shape[0]), affine).numpy()


def moved(x: float, y: float, size: int = SIDE) -> Affine:
    """What lies x to the right and y below comes to each pixel."""
    return Affine(tf.eye(2)[tf.newaxis], tf.constant([[x, y]], tf.float32), size)


def turned(degrees: float, size: int = SIDE) -> Affine:
    return geometry.rotation(tf.constant([np.radians(degrees)], tf.float32), size)


def scaled(factor: float, size: int = SIDE) -> Affine:
    return Affine(factor * tf.eye(2)[tf.newaxis], tf.zeros([1, 2]), size)


@pytest.mark.parametrize('dtype', [np.float32, np.uint8])
@pytest.mark.parametrize(
    'flip, axis', [(geometry.flip, 1), (geometry.vertical_flip, 0)]
)
def test_flips_mirror_half_of_the_time_exactly(image, flip, axis, dtype):
    image = image.astype(dtype)
    affine = flip(SEEDS, SIDE, SIDE)
    assert affine.exact
    out = warp(image, affine)
    flipped = (out == np.flip(image, axis)).all((1, 2, 3))
    assert out.dtype == dtype and 70 < flipped.sum() < 130
    np.testing.assert_array_equal(out[~flipped], batch(image)[~flipped])


@pytest.mark.parametrize('dtype', [np.float32, np.uint8])
@pytest.mark.parametrize(
    'shift, numbers, reach',
    [
        (geometry.pad_crop, (), 4),
        (geometry.pad_crop, (2,), 2),
        (geometry.shift, (), 5),
        (geometry.shift, (0.5,), 12),
    ],
)
def test_shifts_are_the_windows_of_the_reflected_image(
    image, shift, numbers, reach, dtype
):
    image = image.astype(dtype)
    padded = np.pad(image, [[reach, reach], [reach, reach], [0, 0]], 'reflect')
    places = range(2 * reach + 1)
    windows = {
        padded[y : y + SIDE, x : x + SIDE].tobytes(): (y, x)
        for y in places
        for x in places
    }
    affine = shift(SEEDS, SIDE, SIDE, *numbers)
    assert affine.exact
    windows_at = [windows[out.tobytes()] for out in warp(image, affine)]
    assert all({place[axis] for place in windows_at} == set(places) for axis in (0, 1))


def test_reflections_go_on_beyond_the_images_size():
    image = np.random.default_rng(1).uniform(0, 255, [4, 4, 3]).astype(np.float32)
    affine = geometry.pad_crop(SEEDS, 4, 4, 16)
    padded = np.pad(image, [[16, 16], [16, 16], [0, 0]], 'reflect')
    windows = {
        padded[y : y + 4, x : x + 4].tobytes() for y in range(33) for x in range(33)
    }
    assert {out.tobytes() for out in warp(image, affine)} <= windows
    one = geometry.warp(tf.fill([1, 1, 1, 3], 7.0), moved(-3, 5, 2))
    np.testing.assert_array_equal(one, tf.fill([1, 2, 2, 3], 7.0))


@pytest.mark.parametrize('side', [24, 25])
@pytest.mark.parametrize('turns', [1, 2, 3])
def test_quarter_turns_are_those_of_numpy(turns, side):
    image = np.random.default_rng(2).uniform(0, 255, [side, side, 3])
    image = image.astype(np.float32)
    out = warp(image, turned(90 * turns, side))[0]
    np.testing.assert_allclose(out, np.rot90(image, turns), atol=0.01)


@pytest.mark.parametrize(
    'identity',
    [
        moved(0, 0),
        turned(0),
        scaled(1),
        geometry.zoom(SEEDS, SIDE, SIDE, 0.0),
        geometry.rotate(SEEDS, SIDE, SIDE, 0.0),
        geometry.shift(SEEDS, SIDE, SIDE, 0.0),
        geometry.pad_crop(SEEDS, SIDE, SIDE, 0),
        geometry.random_resolution(SEEDS, SIDE, SIDE, 0.0),
        geometry.random_resized_crop(SEEDS, SIDE, SIDE, 1.0, 1.0),
    ],
)
def test_what_does_not_move_is_the_identity(image, identity):
    out = warp(image, identity)
    np.testing.assert_allclose(out, batch(image, len(out)), atol=1e-2)


@pytest.mark.parametrize(
    'first, second',
    [
        (geometry.flip, geometry.pad_crop),
        (geometry.pad_crop, geometry.flip),
        (geometry.vertical_flip, geometry.flip),
        (geometry.shift, geometry.vertical_flip),
    ],
)
def test_two_exact_maps_are_one_after_the_other(image, first, second):
    first, second = first(SEEDS, SIDE, SIDE), second(SEEDS + 1000, SIDE, SIDE)
    both = first.then(second)
    assert both.exact
    apart = geometry.warp(geometry.warp(batch(image), first), second)
    np.testing.assert_array_equal(warp(image, both), apart)


def test_two_shifts_are_one_that_loses_nothing_at_the_edge(image):
    there, back = moved(5, -3), moved(-5, 3)
    np.testing.assert_array_equal(warp(image, there.then(back))[0], image)
    apart = geometry.warp(tf.constant(warp(image, there)), back)
    np.testing.assert_array_equal(apart[0, :-3, 5:], image[:-3, 5:])


def test_an_inexact_map_makes_both_inexact():
    flip = geometry.flip(SEEDS, SIDE, SIDE)
    rotate = geometry.rotate(SEEDS, SIDE, SIDE)
    assert not flip.then(rotate).exact and not rotate.then(flip).exact


def test_then_keeps_the_order(image):
    turn, shift = turned(90), moved(5, 0)
    # Away from the edges, where a shift loses what then cannot be turned.
    turned_first = np.roll(np.rot90(image), -5, 1)[:, :-5]
    shifted_first = np.rot90(np.roll(image, -5, 1)[:, :-5])
    turn_shift, shift_turn = (
        warp(image, turn.then(shift)),
        warp(image, shift.then(turn)),
    )
    np.testing.assert_allclose(turn_shift[0, :, :-5], turned_first, atol=0.02)
    np.testing.assert_allclose(shift_turn[0, 5:], shifted_first, atol=0.02)
    assert np.abs(turn_shift - shift_turn).max() > 50


def test_then_takes_the_second_size(image):
    both = turned(90).then(scaled(2.0, 12))
    expected = warp(np.rot90(image), scaled(2.0, 12))
    np.testing.assert_allclose(warp(image, both), expected, atol=0.02)


def reference(image: np.ndarray, affine: Affine) -> np.ndarray:
    """SciPy's result for a map of one, which it wants by (y, x) from the corner."""
    matrix = affine.matrix[0].numpy()[::-1, ::-1].astype(float)
    offset = affine.offset[0].numpy()[::-1].astype(float)
    new_centre = np.full(2, (affine.size - 1) / 2)
    offset += (np.array(image.shape[:2]) - 1) / 2 - matrix @ new_centre
    return np.stack(
        [
            ndimage.affine_transform(
                channel.astype(float),
                matrix,
                offset,
                (affine.size, affine.size),
                order=1,
                mode='mirror',
            )
            for channel in np.moveaxis(image, -1, 0)
        ],
        -1,
    )


@pytest.mark.parametrize('seed', range(8))
def test_warp_agrees_with_scipy_also_beyond_the_edges(seed):
    rng = np.random.default_rng(seed)
    height, width, size = rng.integers(8, 50, 3)
    image = rng.uniform(0, 255, [height, width, 3]).astype(np.float32)
    affine = Affine(
        tf.constant(rng.normal(size=[1, 2, 2]), tf.float32),
        tf.constant(rng.normal(0, 10, [1, 2]), tf.float32),
        int(size),
    )
    expected = reference(image, affine)
    np.testing.assert_allclose(warp(image, affine)[0], expected, atol=0.02)
    levels = warp(image.astype(np.uint8), affine)[0]
    assert levels.dtype == np.uint8
    np.testing.assert_allclose(
        levels, reference(image.astype(np.uint8), affine), atol=0.52
    )


def test_rotate_stays_within_its_degrees_either_way():
    matrix = geometry.rotate(SEEDS, SIDE, SIDE, 30.0).matrix.numpy()
    degrees = np.degrees(np.arctan2(matrix[:, 1, 0], matrix[:, 0, 0]))
    assert -30 <= degrees.min() < -28 and 28 < degrees.max() <= 30
    np.testing.assert_allclose(
        matrix @ matrix.transpose(0, 2, 1),
        np.tile(np.eye(2), [len(SEEDS), 1, 1]),
        atol=1e-6,
    )


def test_zoom_magnifies_about_the_centre_by_its_fraction_either_way():
    affine = geometry.zoom(SEEDS, SIDE, SIDE, 0.5)
    factors = 1 / affine.matrix.numpy()[:, [0, 1], [0, 1]]
    assert 0.5 <= factors.min() < 0.52 and 1.48 < factors.max() <= 1.5
    np.testing.assert_array_equal(factors[:, 0], factors[:, 1])
    assert not affine.matrix.numpy()[:, [0, 1], [1, 0]].any()
    assert not affine.offset.numpy().any()


@pytest.mark.parametrize('side', [24, 51])
def test_random_resolution_is_of_whole_pixels(side):
    affine = geometry.random_resolution(SEEDS, side, side, 0.25)
    sides = side / affine.matrix.numpy()[:, 0, 0]
    np.testing.assert_allclose(sides, np.round(sides), atol=1e-4)
    expected = range(round(0.75 * side), round(1.25 * side) + 1)
    assert set(np.round(sides)) == set(expected)


def test_random_resolution_pads_alike_on_each_side(image):
    for resized, side in zip(*_resized(image)):
        expected = tf.image.resize(image, [side, side]).numpy()
        lost = abs(SIDE - side) // 2
        if side >= SIDE:
            expected = expected[lost : lost + SIDE, lost : lost + SIDE]
        else:
            resized = resized[lost : lost + side, lost : lost + side]
        # The outermost pixels lie beyond the middle of the image's own.
        np.testing.assert_allclose(resized[2:-2, 2:-2], expected[2:-2, 2:-2], atol=0.05)


def _resized(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images at random resolutions, and their sides, where those are even."""
    affine = geometry.random_resolution(SEEDS, SIDE, SIDE, 0.25)
    sides = np.round(SIDE / affine.matrix.numpy()[:, 0, 0]).astype(int)
    even = sides % 2 == 0
    assert {18, 22, 26, 30} <= set(sides[even])
    return warp(image, affine)[even], sides[even]


@pytest.mark.parametrize('height, width', [(24, 24), (30, 40), (60, 20), (7, 100)])
@pytest.mark.parametrize(
    'min_area, max_aspect', [(0.08, 4 / 3), (0.5, 1.0), (1.0, 2.0)]
)
def test_windows_lie_within_their_bounds(height, width, min_area, max_aspect):
    windows = geometry.crop_window(
        tf.range(5000, dtype=tf.int64), height, width, min_area, max_aspect
    )
    assert windows.dtype == tf.int32
    top, left, rows, columns = windows.numpy()
    assert (rows >= 1).all() and (top >= 0).all() and (top + rows <= height).all()
    assert (
        (columns >= 1).all() and (left >= 0).all() and (left + columns <= width).all()
    )
    # Sides are rounded, by up to half a pixel each.
    assert ((columns - 0.5) / (rows + 0.5) <= max_aspect).all()
    assert ((columns + 0.5) / (rows - 0.5) >= 1 / max_aspect).all()
    largest = (rows == height) | (columns == width)
    large = (rows + 0.5) * (columns + 0.5) >= min_area * height * width
    assert (large | largest).all()
    if min_area == 0.08:
        assert large.all() or (height, width) == (7, 100)
        assert (top == 0).any() and (top + rows == height).any()
        assert (left == 0).any() and (left + columns == width).any()


def test_areas_of_windows_are_uniform_where_they_fit():
    _, _, rows, columns = geometry.crop_window(
        tf.range(20_000, dtype=tf.int64), 1000, 1000, 0.2, 1.0
    ).numpy()
    areas = np.sort(rows * columns / 1e6)
    np.testing.assert_allclose(areas, np.linspace(0.2, 1, 20_000), atol=0.02)
    _, _, rows, columns = geometry.crop_window(
        tf.range(20_000, dtype=tf.int64), 1000, 1000, 0.2, 2.0
    ).numpy()
    aspects = np.log2(columns / rows)  # As often wide as tall.
    assert abs(aspects.mean()) < 0.02 and np.abs(aspects).max() < 1.01


def test_one_window_is_that_of_its_seed_in_a_batch():
    windows = geometry.crop_window(SEEDS, 30, 40, 0.08, 4 / 3)
    alone = geometry.crop_window(
        SEEDS[7], tf.constant(30), tf.constant(40), 0.08, 4 / 3
    )
    np.testing.assert_array_equal(alone, windows[:, 7])


def test_a_crop_of_everything_is_the_resize():
    image = np.random.default_rng(4).uniform(0, 255, [40, 40, 3]).astype(np.float32)
    affine = geometry.random_resized_crop(SEEDS[:1], 40, SIDE, 1.0, 1.0)
    np.testing.assert_allclose(
        warp(image, affine)[0], tf.image.resize(image, [SIDE, SIDE]), atol=0.01
    )


@pytest.mark.parametrize('size', [16, 24, 40])
def test_a_crop_is_its_window_resized(size):
    image = np.random.default_rng(5).uniform(0, 255, [32, 32, 3]).astype(np.float32)
    seeds = SEEDS[:40]
    out = warp(image, geometry.random_resized_crop(seeds, 32, size))
    windows = geometry.crop_window(seeds, 32, 32, 0.08, 4 / 3).numpy().T
    for cropped, (top, left, rows, columns) in zip(out, windows):
        window = image[top : top + rows, left : left + columns]
        expected = tf.image.resize(window, [size, size]).numpy()
        # Outermost, a window resized ends where the image goes on.
        inner = np.ix_(_inside(size, rows), _inside(size, columns))
        np.testing.assert_allclose(cropped[inner], expected[inner], atol=0.05)


def _inside(size: int, length: int) -> np.ndarray:
    """Which new pixels lie between the middles of old ones."""
    origins = (np.arange(size) + 0.5) * length / size - 0.5
    return (origins >= 0) & (origins <= length - 1)
