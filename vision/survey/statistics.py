"""Statistics of a survey, each over exactly the images that it names."""

from collections import Counter
from typing import Any

import numpy as np

from vision.data import SPLITS, Source
from vision.survey.survey import Survey

_CLASSES_OF_SYSTEM_A = 25
_OUTLYING = 3.5  # Robust z-score (Iglewicz and Hoaglin 1993).


def describe(values: np.ndarray) -> dict[str, float]:
    """Count, mean, std (of a sample), min, quartiles, max; of no values the count."""
    if not len(values):
        return {'count': 0}
    values = values.astype(np.float64)
    low, quarter, half, three_quarters, high = np.quantile(
        values, [0, 0.25, 0.5, 0.75, 1]
    )
    return {
        'count': len(values),
        'mean': float(values.mean()),
        'std': float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        'min': float(low),
        '25%': float(quarter),
        '50%': float(half),
        '75%': float(three_quarters),
        'max': float(high),
    }


def class_counts(source: Source) -> dict[str, np.ndarray]:
    """By split, the images of each class, int64 [classes], surveyed or not."""
    return {
        name: np.bincount(source.splits[name].labels, minlength=len(source.classes))
        for name in SPLITS
    }


def majority(source: Source) -> dict[str, Any]:
    """The most frequent class of train, and its share of each split."""
    counts = class_counts(source)
    label = int(counts['train'].argmax())
    return {
        'class': source.classes[label],
        'accuracy': {
            name: float(count[label] / count.sum()) for name, count in counts.items()
        },
    }


def imbalance(source: Source) -> dict[str, Any]:
    """The largest and smallest class of train; their ratio is None if one is empty."""
    counts = class_counts(source)['train']
    largest, smallest = int(counts.argmax()), int(counts.argmin())
    return {
        'largest': [source.classes[largest], int(counts[largest])],
        'smallest': [source.classes[smallest], int(counts[smallest])],
        'ratio': float(counts[largest] / counts[smallest])
        if counts[smallest]
        else None,
    }


def sizes(survey: Survey, where: np.ndarray) -> dict[str, dict[str, float]]:
    """Width, height and aspect (width / height) of the decodable images in a mask."""
    facts = survey.facts[where & survey.good]
    return {
        'width': describe(facts['width']),
        'height': describe(facts['height']),
        'aspect': describe(facts['width'] / np.maximum(facts['height'], 1)),
    }


def sizes_of_system_a(survey: Survey) -> dict[str, Any]:
    """Width and height over the first 25 classes of train, as `system_a` describes."""
    first = sizes(
        survey, survey.members('train') & (survey.labels < _CLASSES_OF_SYSTEM_A)
    )
    return {
        'classes': min(_CLASSES_OF_SYSTEM_A, len(survey.source.classes)),
        'width': first['width'],
        'height': first['height'],
    }


def common(values: np.ndarray) -> dict[str, int]:
    """Names with their frequencies, the most frequent first."""
    names = [name.decode() or 'unknown' for name in values.tolist()]
    return dict(Counter(names).most_common())


def channels(survey: Survey) -> dict[str, Any]:
    """Mean and standard deviation of the training split's channels, in 0..255.

    They are over all pixels of all decodable images, fitted to the image size.
    """
    facts = survey.facts[survey.members('train') & survey.good]
    if not len(facts):
        return {'images': 0}
    mean = facts['means'].mean(0)
    # All fitted images have the same size: the mean of their means is that of pixels.
    variance = facts['squares'].mean(0) - np.square(mean)
    std = np.sqrt(np.maximum(variance, 0))
    return {
        'images': len(facts),
        'image_size': survey.image_size,
        'mean_255': mean.tolist(),
        'std_255': std.tolist(),
        'mean': (mean / 255).tolist(),
        'std': (std / 255).tolist(),
    }


def outliers(values: np.ndarray) -> np.ndarray:
    """Robust z-scores of the values: 0.6745 (x - median) / median deviation."""
    deviations = values - np.median(values)
    spread = np.median(np.abs(deviations))
    return 0.6745 * deviations / spread if spread else np.zeros(len(values))


def brightness(survey: Survey) -> dict[str, Any]:
    """Brightness and contrast in 0..1, and the numbers of outliers."""
    facts = survey.facts[survey.good]
    if not len(facts):
        return {'brightness': describe(facts['brightness'])}
    light, contrast = outliers(facts['brightness']), outliers(facts['contrast'])
    return {
        'brightness': describe(facts['brightness']),
        'contrast': describe(facts['contrast']),
        'dark': int((light < -_OUTLYING).sum()),
        'bright': int((light > _OUTLYING).sum()),
        'low_contrast': int((contrast < -_OUTLYING).sum()),
    }


def extremes(survey: Survey, count: int) -> dict[str, np.ndarray]:
    """The darkest, the brightest and the lowest-contrast images."""
    good = np.flatnonzero(survey.good)
    light = good[np.argsort(survey.facts['brightness'][good], kind='stable')]
    contrast = good[np.argsort(survey.facts['contrast'][good], kind='stable')]
    return {
        'darkest': light[:count],
        'brightest': light[::-1][:count],
        'least contrast': contrast[:count],
    }
