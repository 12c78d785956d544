"""Sentences and tables that the terminal report and the HTML page have in common.

Every function takes the dictionary that `summary.json` holds.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from scripts.common.formatting import counted, counts, number, percent
from vision.data import SPLITS
from vision.survey import duplicates

Table = list[list[str]]  # The first row is the heading.
CLASS_COLUMNS = ['label', 'id', 'name', *SPLITS]
_DESCRIBED = ('count', 'mean', 'std', 'min', '25%', '50%', '75%', 'max')


def total(numbers: dict[str, Any]) -> str:
    """'4,000 images, 10 classes'."""
    images, classes = sum(numbers['images'].values()), len(numbers['classes'])
    return f'{counted(images, "image")}, {counted(classes, "class", "classes")}'


def splits(numbers: dict[str, Any]) -> Sequence[str | Table]:
    """The images of each split, the majority baseline, and the class imbalance."""
    accuracy = numbers['majority_baseline']['accuracy']
    imbalance = numbers['imbalance']
    (largest, most), (smallest, least) = imbalance['largest'], imbalance['smallest']
    ratio = f', ratio {imbalance["ratio"]:.2f}' if imbalance['ratio'] else ''
    note = (
        f'Surveyed {counted(sum(numbers["surveyed"].values()), "image")}, evenly '
        'spaced in each split. Only the counts of the classes are of all images.'
    )
    return [
        *([note] if numbers['surveyed'] != numbers['images'] else []),
        [
            ['', *SPLITS],
            ['images', *(f'{numbers["images"][split]:,}' for split in SPLITS)],
            ['majority baseline', *(percent(accuracy[split]) for split in SPLITS)],
        ],
        'The majority baseline always predicts the most frequent class of train, '
        f'{numbers["majority_baseline"]["class"]}.',
        f'Largest class of train: {largest}, {counted(most, "image")}; smallest: '
        f'{smallest}, {counted(least, "image")}{ratio}.',
    ]


def class_rows(numbers: dict[str, Any]) -> Table:
    """The number of images of each class, without a heading."""
    return [
        [str(row['label']), row['id'], row['name'], *(f'{row[s]:,}' for s in SPLITS)]
        for row in numbers['classes']
    ]


def sizes(numbers: dict[str, Any], parts: Iterable[str]) -> Sequence[str | Table]:
    """Sizes of the parts ('all' or splits), file formats and colour modes."""
    if not numbers['sizes']['all']['width']['count']:
        return ['No image can be decoded.']
    groups = {part: numbers['sizes'][part] for part in parts}
    first = dict(numbers['sizes_of_system_a'])
    count = first.pop('classes')
    if count < len(numbers['classes']):
        groups[f'first {count} classes of train'] = first
    rows = [
        [f'{part}: {name}', *(number(values[key]) for key in _DESCRIBED)]
        for part, group in groups.items()
        for name, values in group.items()
        if values['count']
    ]
    stored = (
        f'Formats: {counts(numbers["formats"])}. Modes: {counts(numbers["modes"])}. '
        f'Rotated by EXIF: {numbers["exif_rotated"]:,}.'
        if numbers['formats']
        else 'The images are in memory, as RGB.'
    )
    return [[['Sizes in pixels', *_DESCRIBED], *rows], stored]


def pixels(numbers: dict[str, Any]) -> Sequence[str | Table]:
    """Statistics of the channels, of brightness and of contrast."""
    channels, values = numbers['channels'], numbers['brightness']
    if not channels['images']:
        return ['No training image can be decoded.']
    side, light = channels['image_size'], values['brightness']
    return [
        [
            ['Channels of train', 'red', 'green', 'blue'],
            ['mean, of 0..1', *(f'{value:.4f}' for value in channels['mean'])],
            ['mean, of 0..255', *(f'{value:.2f}' for value in channels['mean_255'])],
            ['std, of 0..1', *(f'{value:.4f}' for value in channels['std'])],
            ['std, of 0..255', *(f'{value:.2f}' for value in channels['std_255'])],
        ],
        'Mean and standard deviation over all pixels of '
        f'{counted(channels["images"], "training image")}, decoded to RGB and fitted '
        f'to {side}x{side}, for normalization.',
        f'Brightness (mean luminance, 0..1): {light["mean"]:.2f} ± {light["std"]:.2f}; '
        f'contrast (its standard deviation): {values["contrast"]["mean"]:.2f}. '
        f'Outliers (robust z-score above 3.5): {values["dark"]:,} dark, '
        f'{values["bright"]:,} bright, {values["low_contrast"]:,} with low contrast.',
    ]


def duplicate_pairs(numbers: dict[str, Any]) -> Sequence[str | Table]:
    """Pairs of duplicates by kind and by splits, and how many images they concern."""
    values = numbers['duplicates']
    pairs = {duplicates.KINDS[kind]: count for kind, count in values['pairs'].items()}
    if not sum(pairs.values()):
        return ['No duplicates.']
    pairs |= values['pairs_by_splits']
    pairs['with different classes (label conflicts)'] = values['label_conflicts']
    return [
        *(
            []
            if values['complete']
            else ['The search was stopped early: there are more pairs than these.']
        ),
        [['Pairs of duplicates', ''], *([text, f'{n:,}'] for text, n in pairs.items())],
        *(sentence for _, sentence in leaks(numbers)),
    ]


def leaks(numbers: dict[str, Any]) -> list[tuple[int, str]]:
    """For validation and test, the images with a duplicate in train: number, words."""
    return [
        (
            count,
            f'{count:,} of the {numbers["surveyed"][split]:,} {split} images have a '
            'duplicate in train.',
        )
        for split, count in numbers['duplicates']['with_duplicate_in_train'].items()
    ]
