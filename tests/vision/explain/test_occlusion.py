"""The highlighted regions of maps, their deletion and the loss of score."""

import numpy as np
import pytest
import tensorflow as tf

from vision.explain.occlusion import (
    OcclusionCheck,
    delete,
    highlighted,
    occlusion_check,
)


def make_images(count: int = 2, height: int = 32, width: int = 32) -> np.ndarray:
    shape = [count, height, width, 3]
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def corner(*signs: float) -> tf.Tensor:
    """Maps whose upper left quarter is 1 times a sign."""
    maps = np.zeros([len(signs), 8, 8], np.float32)
    maps[:, :4, :4] = np.array(signs)[:, None, None]
    return tf.constant(maps)


def brightness_of_corner(images: tf.Tensor) -> np.ndarray:
    """The deviation of the upper left quarter, which blurring reduces."""
    return np.asarray(images)[:, :16, :16].std((1, 2, 3)).astype(np.float32)


@pytest.mark.parametrize('share', [0.1, 0.2, 0.5])
@pytest.mark.parametrize('side', [1, 4, 8, 40])
def test_a_share_of_the_pixels_is_highlighted(share, side):
    maps = tf.random.stateless_uniform([3, side, side], [0, 1]) + 0.1
    regions = highlighted(maps, (40, 40), share)
    assert regions.shape == (3, 40, 40) and regions.dtype == bool
    np.testing.assert_array_equal(regions.sum((1, 2)), round(share * 1600))


def drops(check: OcclusionCheck) -> tuple[np.ndarray, np.ndarray]:
    """The losses of score without the highlighted and without random regions."""
    return check.before - check.highlighted, check.before - check.random


def test_the_highest_pixels_are_highlighted():
    maps = tf.reshape(tf.range(1.0, 65.0), [1, 8, 8])
    region = highlighted(maps, (8, 8), 0.25)[0]
    np.testing.assert_array_equal(region, maps[0] > 48)


def test_negative_evidence_is_never_highlighted():
    regions = highlighted(corner(1.0, -1.0), (8, 8), 0.5)
    assert 16 <= regions[0].sum() < 32 and not regions[0, 5:, 5:].any()
    np.testing.assert_array_equal(highlighted(corner(0.0), (8, 8)), False)


def test_only_the_region_is_deleted():
    images = make_images(1, 32, 48)
    regions = np.zeros([1, 32, 48], bool)
    regions[0, 5:20, 7:30] = True
    deleted = delete(tf.constant(images), regions).numpy()
    assert deleted.dtype == np.uint8
    np.testing.assert_array_equal(deleted[~regions], images[~regions])
    assert deleted[regions].std() < 0.5 * images[regions].std()
    assert abs(deleted[regions].mean() - images.mean()) < 10


def test_a_single_color_is_the_same_when_it_is_deleted():
    colors = np.arange(256, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(colors, [256, 12, 12, 3])
    regions = np.ones([256, 12, 12], bool)
    np.testing.assert_array_equal(delete(tf.constant(images), regions), images)


def test_a_right_map_costs_more_than_chance_and_a_wrong_one_less():
    images = tf.constant(make_images())
    right = corner(1.0, 1.0)
    check = occlusion_check(brightness_of_corner, images, right)
    np.testing.assert_array_equal(check.before, brightness_of_corner(images))
    assert np.all(drops(check)[0] > 2 * drops(check)[1]) and np.all(drops(check)[1] > 0)
    wrong = occlusion_check(brightness_of_corner, images, right[:, ::-1, ::-1])
    assert np.all(drops(wrong)[0] < drops(wrong)[1])


def test_the_seed_decides_the_random_regions():
    images, maps = tf.constant(make_images()), corner(1.0, 1.0)
    first, again, other = (
        occlusion_check(brightness_of_corner, images, maps, seed=seed).random
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    default = occlusion_check(brightness_of_corner, images, maps).random
    np.testing.assert_array_equal(default, first)
    five = occlusion_check(brightness_of_corner, images, maps, repeats=5).random
    np.testing.assert_array_equal(default, five)


def test_single_pixels_among_evidence_against_the_class_are_no_region():
    maps = np.full([1, 32, 32], -1, np.float32)
    maps[0, 5, 7] = 1
    np.testing.assert_array_equal(highlighted(tf.constant(maps), (32, 32)), False)


def test_a_map_of_zeros_deletes_nothing():
    check = occlusion_check(
        brightness_of_corner, tf.constant(make_images()), corner(0.0, 0.0)
    )
    np.testing.assert_array_equal(drops(check)[0], 0)
    np.testing.assert_allclose(drops(check)[1], 0, atol=1e-4)
