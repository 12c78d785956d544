"""Statistical comparison of networks on the same images."""

import numpy as np
from scipy.stats import binomtest

from trainers.evaluation.metrics import Interval

RESAMPLES = 10_000
_NUMBERS = 2_000_000  # Drawn at a time.


def bootstrap_means(
    values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> np.ndarray:
    """Means of images drawn with replacement, float64 `[resamples, K]`.

    Each resample draws the same images for all K metrics, so differences of columns are
    paired (Efron and Tibshirani, 1993). `scipy.stats.bootstrap` would hold all
    resamples of all images in memory, or draw other images for each batch size.

    Args:
        values: float64 `[N, K]`, K metrics of each image.
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
    """The central 95 % of bootstrapped metrics `[resamples]`."""
    return Interval(*np.percentile(samples, [2.5, 97.5]).tolist())


def mcnemar(first: int, second: int) -> float:
    """The p-value of McNemar's exact two-sided test (McNemar, 1947).

    Args:
        first: images that only the first network predicts correctly.
        second: images that only the second network predicts correctly.
    """
    total = first + second
    return float(binomtest(first, total).pvalue) if total else 1.0
