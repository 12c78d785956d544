import numpy as np
import pytest
import tensorflow as tf

from vision.data.augment import mixing

SEEDS = tf.range(2000, dtype=tf.int64)
COUNT = len(SEEDS)


def make_images(size: int = 8) -> tf.Tensor:
    rng = np.random.default_rng(3)
    return tf.constant(rng.uniform(0, 255, [COUNT, size, size, 3]), tf.float32)


def test_partners_are_the_ones_before():
    np.testing.assert_array_equal(mixing.partners(tf.range(4)), [3, 0, 1, 2])


@pytest.mark.parametrize('alpha', [0.01, 0.2, 1.0, 100.0])
# 24 and 32 pixels a side have no rectangle of just half the area.
@pytest.mark.parametrize('size', [8, 24, 32])
@pytest.mark.parametrize('mix', [mixing.mixup, mixing.cutmix])
def test_shares_are_at_least_half(mix, size, alpha):
    _, shares = mix(tf.zeros([COUNT, size, size, 3]), SEEDS, alpha)
    assert shares.dtype == tf.float32 and shares.shape == [COUNT]
    assert 0.5 <= shares.numpy().min() and shares.numpy().max() <= 1


def test_mixup_is_the_weighted_mean_with_the_one_before():
    images = make_images()
    mixed, shares = mixing.mixup(images, SEEDS, 1.0)
    own = shares.numpy()[:, None, None, None]
    expected = own * images + (1 - own) * np.roll(images, 1, 0)
    np.testing.assert_allclose(mixed, expected, atol=1e-3)
    assert shares.numpy().min() < 0.51 and shares.numpy().max() > 0.99


def test_cutmix_has_a_rectangle_of_the_one_before_and_the_rest_its_own():
    images = make_images()
    mixed, shares = mixing.cutmix(images, SEEDS)
    own = np.all(mixed == images, -1)
    cut = np.all(mixed == np.roll(images, 1, 0), -1)
    assert (own ^ cut).all()
    np.testing.assert_array_equal(shares, own.mean((1, 2), dtype=np.float32))
    rows, columns = cut.any(2), cut.any(1)
    np.testing.assert_array_equal(rows[:, :, None] & columns[:, None, :], cut)
    np.testing.assert_array_equal(rows.sum(1), columns.sum(1))  # Squares,
    assert cut.any(0).all()  # anywhere.


@pytest.mark.parametrize('mix', [mixing.mixup, mixing.cutmix])
def test_a_seed_draws_the_same_share_in_any_batch(mix):
    images = make_images()
    mixed, shares = mix(images, SEEDS)
    part, part_shares = mix(images[5:9], SEEDS[5:9])
    np.testing.assert_array_equal(part_shares, shares[5:9])
    np.testing.assert_allclose(part[1:], mixed[6:9], atol=1e-3)


@pytest.mark.parametrize('alpha', [0.2, 1.0, 8.0, 100.0])
def test_shares_of_mixup_follow_the_beta_distribution(alpha):
    count = 50_000
    seeds = tf.range(count, dtype=tf.int64)
    _, shares = mixing.mixup(tf.zeros([count, 1, 1, 3]), seeds, alpha)
    drawn = np.random.default_rng(1).beta(alpha, alpha, 1_000_000)
    drawn = np.maximum(drawn, 1 - drawn)
    assert abs(shares.numpy().mean() - drawn.mean()) < 5 * drawn.std() / count**0.5
    np.testing.assert_allclose(shares.numpy().std(), drawn.std(), rtol=0.02)
    # Kolmogorov and Smirnov's distance, which exceeds 1.95 / sqrt(count) once in a
    # thousand times. Shares of nearly 1 are as good as each other.
    at = np.quantile(drawn, np.linspace(0, 1, 201)[1:-1])
    at = at[at < 0.999]
    drawn_shares = np.searchsorted(np.sort(shares), at) / count
    expected_shares = np.searchsorted(np.sort(drawn), at) / len(drawn)
    assert np.abs(drawn_shares - expected_shares).max() < 1.95 / count**0.5


def test_shares_of_cutmix_follow_it_too_but_for_whole_pixels():
    _, shares = mixing.cutmix(tf.zeros([COUNT, 96, 96, 1]), SEEDS, 1.0)
    np.testing.assert_allclose(np.sort(shares), np.linspace(0.5, 1, COUNT), atol=0.03)
