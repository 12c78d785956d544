"""What was found, as one page of HTML that holds everything it shows."""

from collections.abc import Iterable, Sequence
from typing import Any

from PIL import Image

from scripts.common.formatting import counted, counts, number, percent
from scripts.explore import choices, markup
from scripts.explore.before_after import Row
from scripts.explore.charts import Chart
from scripts.explore.summary import Findings
from vision.data import SPLITS
from vision.survey import duplicates, problems
from vision.survey.duplicates import conflicts
from vision.survey.images import thumbnail
from vision.survey.survey import Survey

_LISTED = 50  # Problems of a kind, and duplicates; the files beside hold them all.
_DESCRIBED = ('count', 'mean', 'std', 'min', '25%', '50%', '75%', 'max')


def build(
    findings: Findings,
    drawn: dict[str, Chart],
    seed: int,
    augmented: Sequence[Row] = (),
) -> str:
    """The whole document; `drawn` by charts.draw_all, `seed` chooses the samples."""
    sections = {
        'classes': ('Classes', _classes(findings, drawn)),
        'samples': ('Samples', _samples(findings.survey, seed)),
        **_augmentation(augmented),
        'sizes': ('Sizes and formats', _sizes(findings, drawn)),
        'pixels': ('Pixels', _pixels(findings, drawn)),
        'problems': ('Problems', _problems(findings)),
        'duplicates': ('Duplicates', _duplicates(findings)),
    }
    links = ''.join(
        f'<li><a href="#{name}">{title}</a></li>'
        for name, (title, _) in sections.items()
    )
    n = findings.numbers
    return markup.page(
        f'{n["dataset"]}: a look at the data',
        '\n'.join(
            [
                f'<h1>{markup.escape(n["dataset"])}</h1>',
                *_overview(findings),
                f'<nav aria-label="Contents"><ul>{links}</ul></nav>',
                *(
                    markup.section(name, title, *parts)
                    for name, (title, parts) in sections.items()
                ),
            ]
        ),
    )


def _overview(findings: Findings) -> Iterable[str]:
    n = findings.numbers
    total = sum(n['images'].values())
    yield markup.paragraph(
        f'{counted(total, "image")} of '
        f'{counted(len(n["classes"]), "class", "classes")}.',
        'note',
    )
    if n['surveyed'] != n['images']:
        yield markup.paragraph(
            f'Looked at {sum(n["surveyed"].values()):,} of them, evenly spread; only '
            'the counts of the classes are of all.'
        )
    alarms = list(_alarms(n))
    items = ''.join(f'<li>{markup.escape(alarm)}</li>' for alarm in alarms)
    yield (
        f'<ul class="alarm">{items}</ul>'
        if alarms
        else markup.paragraph(
            'No undecodable images, no duplicates across splits, no conflicting labels.'
        )
    )


def _alarms(n: dict[str, Any]) -> Iterable[str]:
    bad = n['problems'].get('undecodable', {'count': 0})['count']
    if bad:
        yield f'{counted(bad, "image")} cannot be decoded.'
    for split, count in n['duplicates']['with_duplicate_in_train'].items():
        if count:
            yield (
                f'{count:,} of the {n["surveyed"][split]:,} {split} images have '
                'a duplicate in train.'
            )
    if n['duplicates']['label_conflicts']:
        yield (
            f'{counted(n["duplicates"]["label_conflicts"], "pair")} of duplicates '
            'with different classes.'
        )


def _classes(findings: Findings, drawn: dict[str, Chart]) -> Iterable[str]:
    n = findings.numbers
    imbalance, majority = n['imbalance'], n['majority_baseline']
    (large, most), (small, least) = imbalance['largest'], imbalance['smallest']
    ratio = f', a ratio of {imbalance["ratio"]:.2f}' if imbalance['ratio'] else ''
    yield markup.paragraph(
        f'In train the largest class, {large}, has {most:,} images '
        f'and the smallest, {small}, {least:,}{ratio}.'
    )
    yield markup.paragraph(
        f'Majority baseline: always to say {majority["class"]}, the '
        'most frequent class of train, is right this often:'
    )
    yield markup.table(
        [
            ['', *SPLITS],
            ['images', *(f'{n["images"][s]:,}' for s in SPLITS)],
            ['accuracy', *(percent(majority['accuracy'][s]) for s in SPLITS)],
        ]
    )
    yield markup.chart(*drawn['classes'])
    rows = [['label', 'id', 'words', *SPLITS]]
    rows += [
        [
            str(each['label']),
            each['id'],
            each['name'],
            *(f'{each[split]:,}' for split in SPLITS),
        ]
        for each in n['classes']
    ]
    listing = markup.table(rows, left=3)
    yield (
        listing
        if len(rows) <= 30
        else markup.folded(f'All {len(n["classes"]):,} classes', listing)
    )


def _samples(survey: Survey, seed: int) -> Iterable[str]:
    chosen = choices.samples(survey, seed)
    if len(chosen) < len(survey.source.classes):
        yield markup.paragraph(f'Of {len(chosen)} classes, evenly spread.', 'note')
    for label, shown in chosen.items():
        words = survey.source.classes[label]
        yield f'<h3>{markup.escape(words)}</h3>'
        yield markup.images(
            [_figure(survey, i, f'{words}: {survey.name(i)}') for i in shown]
        )


def _augmentation(augmented: Sequence[Row]) -> dict[str, tuple[str, Iterable[str]]]:
    if not augmented:
        return {}
    parts = []
    for row in augmented:
        before = markup.figure(Image.fromarray(row.before), 'before')
        after = [
            markup.figure(Image.fromarray(image), f'after {row.augment}')
            for image in row.after
        ]
        parts.append(markup.images([before, *after]))
    return {'augmentation': ('Augmentation', parts)}


def _sizes(findings: Findings, drawn: dict[str, Chart]) -> Iterable[str]:
    n = findings.numbers
    if not n['sizes']['all']['width']['count']:
        yield markup.paragraph('No image can be decoded.')
        return
    yield markup.chart(*drawn['sizes'])
    rows = [['', *_DESCRIBED]]
    for split, sizes in n['sizes'].items():
        rows += [
            _described(f'{split}: {name}', values)
            for name, values in sizes.items()
            if values['count']
        ]
    yield markup.table(rows)
    system_a = n['sizes_of_system_a']
    if system_a['width']['count']:
        classes = counted(system_a['classes'], 'class', 'classes')
        yield markup.paragraph(f'The first {classes} of train:')
        yield markup.table(
            [
                ['', *_DESCRIBED],
                *(_described(side, system_a[side]) for side in ('width', 'height')),
            ]
        )
    yield markup.paragraph(
        f'Formats: {counts(n["formats"])}. Modes: {counts(n["modes"])}. Rotated by '
        f'EXIF: {n["exif_rotated"]:,}.'
        if n['formats']
        else 'The images are in memory, as RGB.'
    )


def _described(title: str, values: dict[str, float]) -> list[str]:
    return [title, *(number(values[key]) for key in _DESCRIBED)]


def _pixels(findings: Findings, drawn: dict[str, Chart]) -> Iterable[str]:
    channels, light = findings.numbers['channels'], findings.numbers['brightness']
    if not channels['images']:
        yield markup.paragraph('No training image can be decoded.')
        return
    side = channels['image_size']
    yield markup.paragraph(
        'What to normalize by: mean and standard deviation of each channel over all '
        f'pixels of {counted(channels["images"], "training image")}, decoded to '
        f'RGB and fitted to {side}x{side}.'
    )
    rows = [['', 'red', 'green', 'blue']]
    for key in ('mean', 'std'):
        rows.append([f'{key}, of 0..1', *(f'{v:.4f}' for v in channels[key])])
        rows.append(
            [f'{key}, of 0..255', *(f'{v:.2f}' for v in channels[f'{key}_255'])]
        )
    yield markup.table(rows)
    yield markup.chart(*drawn['colours'])
    yield markup.paragraph(
        f'By a robust z-score above 3.5, {light["dark"]:,} images stand out as dark, '
        f'{light["bright"]:,} as bright and {light["low_contrast"]:,} by their low '
        'contrast.'
    )
    survey = findings.survey
    for title, shown in choices.extremes(survey).items():
        yield f'<h3>{title.capitalize()}</h3>'
        field = 'contrast' if 'contrast' in title else 'brightness'
        yield markup.images(
            [
                _figure(
                    survey,
                    i,
                    f'{survey.facts[field][i]:.2f} {survey.split_name(i)} '
                    f'{survey.name(i)}',
                )
                for i in shown
            ]
        )


def _problems(findings: Findings) -> Iterable[str]:
    survey = findings.survey
    if not findings.problems:
        yield markup.paragraph('None.')
    for kind, found in findings.problems_by_kind().items():
        yield f'<h3>{len(found):,} {kind}</h3>'
        yield markup.paragraph(f'{problems.KINDS[kind]}.', 'note')
        rows = [['split', 'file', 'class', 'what']]
        rows += [
            [
                survey.split_name(p.image),
                survey.name(p.image),
                survey.class_name(p.image),
                p.detail,
            ]
            for p in found[:_LISTED]
        ]
        title = (
            f'The first {_LISTED}; more are in summary.json'
            if len(found) > _LISTED
            else 'Which'
        )
        yield markup.folded(title, markup.table(rows, left=9))


def _duplicates(findings: Findings) -> Iterable[str]:
    found = findings.numbers['duplicates']
    yield markup.paragraph(
        'The same bytes, the same pixels, or nearly the same look: perceptual hashes '
        f'(pHash, 64 bits) that differ in at most {duplicates.DISTANCE} bits and '
        'thumbnails of 12x12 pixels with a correlation of at least '
        f'{duplicates.CORRELATION:g}. Mirrored copies and those that are cropped by '
        'more than a few per cent are not found, nor copies of images without '
        'contrast.',
        'note',
    )
    if not found['complete']:
        yield markup.paragraph(
            'There are very many; the search ended early, so these are the least.',
            'alarm',
        )
    yield markup.table(
        [
            ['split', 'images', 'with a duplicate in train'],
            *(
                [split, f'{findings.numbers["surveyed"][split]:,}', f'{count:,}']
                for split, count in found['with_duplicate_in_train'].items()
            ),
        ]
    )
    if not len(findings.duplicates):
        return
    rows = [['pairs', 'of what']]
    rows += [
        [f'{count:,}', duplicates.KINDS[kind]] for kind, count in found['pairs'].items()
    ]
    rows += [[f'{count:,}', names] for names, count in found['pairs_by_splits'].items()]
    rows += [[f'{found["label_conflicts"]:,}', 'of different classes']]
    yield markup.table(rows, left=9)
    shown = choices.pairs(findings)
    if len(shown) < len(findings.duplicates):
        yield markup.paragraph(
            f'{len(shown)} of them, conflicting classes and pairs '
            'across splits first; duplicates.csv has all.',
            'note',
        )
    yield markup.pairs([_pair(findings, pair) for pair in shown])


def _pair(findings: Findings, pair: int) -> str:
    survey, found = findings.survey, findings.duplicates
    kind = found.kinds[pair]
    title = duplicates.KINDS[kind]
    if kind == 'near':
        title += f', {found.distances[pair]} of 64 bits differ'
    if conflicts(survey, found)[pair]:
        title += '; different classes'
    return markup.pair(
        title,
        [
            _figure(
                survey,
                i,
                f'{survey.split_name(i)}, {survey.class_name(i)}: {survey.name(i)}',
            )
            for i in found.pairs[pair].tolist()
        ],
    )


def _figure(survey: Survey, image: int, caption: str) -> str:
    return markup.figure(thumbnail(*survey.place(image)), caption)
