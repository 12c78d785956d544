"""What was found, in one or two screens of a terminal."""

import textwrap
from collections.abc import Iterable
from typing import Any

from scripts.common.formatting import (
    counted,
    counts,
    number,
    percent,
    printable,
    short,
    table,
)
from scripts.explore.summary import Findings
from vision.data import SPLITS
from vision.survey import duplicates, problems

_CLASSES = 12  # Fewer are listed all; of more, the largest and the smallest.
_EXAMPLES = 2
_WIDTH = 100
_FIGURES = ('min', '50%', 'mean', 'max', 'std')
_DESCRIBED = ('count', 'mean', 'std', 'min', '25%', '50%', '75%', 'max')


def report(findings: Findings) -> str:
    """All sections, as lines of at most 100 columns."""
    n = findings.numbers
    sections = [
        _overview(n),
        _classes(n),
        _sizes(n),
        _pixels(n),
        _problems(findings),
        _duplicates(n),
    ]
    return '\n\n'.join(
        '\n'.join(
            textwrap.fill(line, _WIDTH) if len(line) > _WIDTH else line
            for line in lines
        )
        for lines in sections
    )


def _overview(n: dict[str, Any]) -> list[str]:
    total = sum(n['images'].values())
    lines = [
        f'{n["dataset"]}: {counted(total, "image")}, '
        f'{counted(len(n["classes"]), "class", "classes")}'
    ]
    if n['surveyed'] != n['images']:
        lines += [
            f'Looked at {sum(n["surveyed"].values()):,} of them, evenly spread; '
            'only the counts of the classes are of all.'
        ]
    majority, imbalance = n['majority_baseline'], n['imbalance']
    rows = [
        ['', *SPLITS],
        ['images', *(f'{n["images"][s]:,}' for s in SPLITS)],
        ['majority baseline', *(percent(majority['accuracy'][s]) for s in SPLITS)],
    ]
    ratio = imbalance['ratio']
    many = f'{ratio:.2f} times as many as' if ratio else 'and there are none of'
    return [
        *lines,
        *table(rows),
        f'The baseline always says {short(majority["class"], 40)}.',
        f'In train the largest class has {imbalance["largest"][1]:,} images, {many} '
        'the smallest.',
    ]


def _classes(n: dict[str, Any]) -> list[str]:
    shown: list[dict[str, Any] | None] = list(n['classes'])
    title = 'Classes'
    if len(shown) > _CLASSES:
        ranked = sorted(n['classes'], key=lambda each: -each['train'])
        half = _CLASSES // 2
        shown = [*ranked[:half], None, *ranked[-half:]]
        title = f'Classes, the {half} largest and the {half} smallest of train'
    rows = [['label', 'id', 'words', *SPLITS]]
    for each in shown:
        rows.append(
            [
                str(each['label']),
                short(each['id'], 16),
                short(each['name'], 32),
                *(f'{each[s]:,}' for s in SPLITS),
            ]
            if each
            else ['…'] + [''] * (2 + len(SPLITS))
        )
    return [title, *table(rows, left=3)]


def _sizes(n: dict[str, Any]) -> list[str]:
    sizes = n['sizes']['all']
    if not sizes['width']['count']:
        return ['Sizes', 'No image can be decoded.']
    rows = [['Sizes', 'min', 'median', 'mean', 'max', 'std']]
    rows += [
        [name, *(number(values[key]) for key in _FIGURES)]
        for name, values in sizes.items()
    ]
    lines = table(rows)
    system_a = n['sizes_of_system_a']
    if system_a['width']['count']:
        classes = counted(system_a['classes'], 'class', 'classes')
        rows = [[f'First {classes} of train', *_DESCRIBED]]
        rows += [
            [side, *(number(system_a[side][key]) for key in _DESCRIBED)]
            for side in ('width', 'height')
        ]
        lines += ['', *table(rows)]
    if not n['formats']:
        return [*lines, '', 'The images are in memory, as RGB.']
    return [
        *lines,
        '',
        f'Formats: {counts(n["formats"])}. Modes: '
        f'{counts(n["modes"])}. Rotated by EXIF: {n["exif_rotated"]:,}.',
    ]


def _pixels(n: dict[str, Any]) -> list[str]:
    channels, light = n['channels'], n['brightness']
    if not channels['images'] or 'dark' not in light:
        return ['Pixels of train', 'No training image can be decoded.']
    side = channels['image_size']
    rows = [['Pixels of train', 'red', 'green', 'blue', '', 'red', 'green', 'blue']]
    rows += [
        [
            key,
            *(f'{value:.4f}' for value in channels[key]),
            'of 255:',
            *(f'{value:.2f}' for value in channels[f'{key}_255']),
        ]
        for key in ('mean', 'std')
    ]
    return [
        *table(rows),
        f'Over all pixels of {counted(channels["images"], "image")}, decoded '
        f'to RGB and fitted to {side}x{side}: what to normalize by.',
        f'Brightness {light["brightness"]["mean"]:.2f} ± '
        f'{light["brightness"]["std"]:.2f}, contrast '
        f'{light["contrast"]["mean"]:.2f} of 1; outlying: {light["dark"]:,} dark, '
        f'{light["bright"]:,} bright, {light["low_contrast"]:,} of low contrast.',
    ]


def _problems(findings: Findings) -> list[str]:
    found = findings.problems_by_kind()
    if not found:
        return ['Problems: none.']
    lines = ['Problems']
    for kind, each in found.items():
        lines.append(f'{len(each):>7,}  {kind}: {problems.KINDS[kind]}')
        lines += [
            f'         {short(findings.survey.name(p.image), 44)}  '
            f'{printable(p.detail)[:45]}'
            for p in each[:_EXAMPLES]
        ]
    return lines


def _duplicates(n: dict[str, Any]) -> list[str]:
    found = n['duplicates']
    if not sum(found['pairs'].values()):
        return ['Duplicates: none.']
    lines = ['Duplicates, in pairs']
    if not found['complete']:
        lines = ['Duplicates, in pairs; the search ended early, these are the least']
    lines += _rows(found['pairs'], duplicates.KINDS)
    lines += _rows(found['pairs_by_splits'], {})
    lines += [f'{found["label_conflicts"]:>7,}  of different classes']
    lines += [
        f'{count:>7,}  of the {n["surveyed"][split]:,} {split} images have a '
        'duplicate in train'
        for split, count in found['with_duplicate_in_train'].items()
    ]
    return lines


def _rows(frequencies: dict[str, int], words: dict[str, str]) -> Iterable[str]:
    return [
        f'{count:>7,}  {words.get(name, name)}'
        for name, count in frequencies.items()
        if count
    ]
