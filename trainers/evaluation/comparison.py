"""Whether one network is better than another on the same images, or was lucky."""

import numpy as np

from trainers.evaluation.metrics import Interval

RESAMPLES = 10_000
_NUMBERS = 2_000_000  # Drawn at a time.


def bootstrap_means(
    values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Means of images drawn with replacement, float64 `[resamples, K]`.

    Each resample takes the same images for all K figures, so differences of columns
    are paired (Efron and Tibshirani, 1993).

    Args:
        values: float64 `[N, K]`, K figures of each image.
        resamples: how often N images are drawn.
        seed: of the draws.
    """
    count, generator = len(values), np.random.default_rng(seed)
    means = np.empty([resamples, values.shape[1]])
    step = max(_NUMBERS // count, 1)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = generator.integers(count, size=[rows, count])
        drawn += np.arange(rows)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=rows * count)
        means[start : start + rows] = times.reshape(rows, count) @ values / count
    return means


def interval(samples: np.ndarray) -> Interval:
    """The 95 % in the middle of bootstrapped figures `[resamples]`."""
    return Interval(*np.percentile(samples, [2.5, 97.5]).tolist())


def mcnemar(first: int, second: int) -> float:
    """Probability of so uneven a count, or a more uneven one, of equally good networks.

    The exact two-sided test (McNemar, 1947).

    Args:
        first: images that only the first network is right about.
        second: images that only the second is right about.
    """
    total = first + second
    term = tail = 1
    for k in range(min(first, second)):
        term = term * (total - k) // (k + 1)
        tail += term
    return min(2 * tail / 2**total, 1.0)
