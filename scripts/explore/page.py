"""The report of an exploration as one HTML page that needs no other file."""

from collections.abc import Iterable, Sequence

from PIL import Image

from scripts.common.formatting import counted
from scripts.common.images import thumbnail
from scripts.explore import content, markup
from scripts.explore.augmentation import Augmented
from scripts.explore.charts import Chart
from scripts.explore.content import Table
from scripts.explore.summary import EXTREMES, Findings
from vision.data import SPLITS
from vision.data.fetch import pixels
from vision.survey import duplicates, problems, statistics
from vision.survey.survey import Survey

_LISTED = 50  # Problems of a kind; summary.json lists more.
_UNFOLDED = 30  # Classes that are listed without a click.
_SIDE = 144  # Pixels: two images fit beside each other on a phone.


def build(
    findings: Findings,
    charts: dict[str, Chart],
    samples: dict[int, list[int]],
    pairs: list[int],
    augmented: Sequence[Augmented] = (),
) -> str:
    """The whole document.

    Args:
        findings: what the page reports.
        charts: by `charts.draw_all`.
        samples: of the classes, by `summary.samples`.
        pairs: of duplicates, by `summary.shown_pairs`.
        augmented: training images before and after augmentation.
    """
    sections = {
        'Classes': [markup.chart(*charts['classes']), _classes(findings)],
        'Samples': _samples(findings.survey, samples),
        **({'Augmentation': map(_augmentation, augmented)} if augmented else {}),
        'Sizes and formats': [
            *_chart(charts, 'sizes'),
            *_parts(content.sizes(findings.numbers, ['all', *SPLITS])),
        ],
        'Pixels': _pixels(findings, charts),
        'Problems': _problems(findings),
        'Duplicates': _duplicates(findings, pairs),
    }
    dataset = findings.numbers['dataset']
    return markup.page(
        f'Dataset report: {dataset}',
        [
            markup.text('h1', dataset),
            *_overview(findings),
            *markup.sections(sections),
        ],
    )


def _parts(content: Iterable[str | Table]) -> list[str]:
    return [
        markup.text('p', part) if isinstance(part, str) else markup.table(part)
        for part in content
    ]


def _overview(findings: Findings) -> list[str]:
    numbers = findings.numbers
    undecodable = int((~findings.survey.good).sum())
    conflicts = numbers['duplicates']['label_conflicts']
    warnings = [
        (undecodable, f'{counted(undecodable, "image")} cannot be decoded.'),
        *content.leaks(numbers),
        (
            conflicts,
            f'{counted(conflicts, "pair")} of duplicates with different classes '
            '(label conflicts).',
        ),
    ]
    shown = [markup.text('li', sentence) for count, sentence in warnings if count]
    return [
        markup.text('p', f'{content.total(numbers)}.', 'note'),
        markup.group('ul', 'alarm', shown)
        if shown
        else markup.text(
            'p',
            'No undecodable images, no duplicates across splits, no label conflicts.',
        ),
        *_parts(content.splits(numbers)),
    ]


def _classes(findings: Findings) -> str:
    rows = content.class_rows(findings.numbers)
    table = markup.table([content.CLASS_COLUMNS, *rows], left=3)
    title = f'All {len(rows):,} classes'
    return table if len(rows) < _UNFOLDED else markup.folded(title, table)


def _samples(survey: Survey, samples: dict[int, list[int]]) -> Iterable[str]:
    if len(samples) < len(survey.source.classes):
        yield markup.text('p', f'Of {len(samples)} classes, evenly spaced.', 'note')
    for label, images in samples.items():
        name = survey.source.classes[label]
        yield markup.text('h3', name)
        yield _images(survey, {i: f'{name}: {survey.name(i)}' for i in images})


def _augmentation(example: Augmented) -> str:
    captions = ['before', *[f'after {example.augment}'] * (len(example.images) - 1)]
    return _figures(zip(map(Image.fromarray, example.images), captions))


def _chart(charts: dict[str, Chart], name: str) -> list[str]:
    return [markup.chart(*charts[name])] if name in charts else []


def _pixels(findings: Findings, charts: dict[str, Chart]) -> Iterable[str]:
    yield from _parts(content.pixels(findings.numbers))
    yield from _chart(charts, 'colours')
    survey = findings.survey
    for title, images in statistics.extremes(survey, EXTREMES).items():
        values = survey.facts['contrast' if 'contrast' in title else 'brightness']
        yield markup.text('h3', title.capitalize())
        yield _images(
            survey,
            {
                i: f'{values[i]:.2f} {survey.split_name(i)} {survey.name(i)}'
                for i in images
            },
        )


def _problems(findings: Findings) -> Iterable[str]:
    survey = findings.survey
    if not findings.problems:
        yield markup.text('p', 'None.')
    for kind, images in findings.problems.items():
        yield markup.text('h3', f'{len(images):,} {kind}')
        yield markup.text('p', f'{problems.KINDS[kind]}.', 'note')
        first = f'The first {_LISTED} files; summary.json lists more'
        rows = [
            ['split', 'file', 'class', 'detail'],
            *(
                [
                    survey.split_name(image),
                    survey.name(image),
                    survey.class_name(image),
                    detail,
                ]
                for _, image, detail in images[:_LISTED]
            ),
        ]
        yield markup.folded(
            first if len(images) > _LISTED else 'Files', markup.table(rows, left=9)
        )


def _duplicates(findings: Findings, pairs: list[int]) -> Iterable[str]:
    yield markup.text(
        'p',
        'Identical files, identical pixels, and near-duplicates: perceptual hashes '
        f'(pHash, 64 bits) that differ in at most {duplicates.DISTANCE} bits and '
        'thumbnails of 12x12 pixels with a correlation of at least '
        f'{duplicates.CORRELATION:g}. Not detected: mirrored images, images cropped by '
        'more than a few per cent, images without contrast.',
        'note',
    )
    yield from _parts(content.duplicate_pairs(findings.numbers))
    if len(pairs) < len(findings.duplicates):
        yield markup.text(
            'p',
            f'{len(pairs)} of {len(findings.duplicates):,} pairs, label conflicts and '
            'pairs across splits first. duplicates.csv lists all.',
            'note',
        )
    yield markup.group('div', 'pairs', [_pair(findings, pair) for pair in pairs])


def _pair(findings: Findings, pair: int) -> str:
    survey, pairs = findings.survey, findings.duplicates
    title = duplicates.KINDS[pairs.kinds[pair]]
    if pairs.kinds[pair] == 'near':
        title += f', {pairs.distances[pair]} of 64 bits differ'
    if duplicates.conflicts(survey, pairs)[pair]:
        title += '; different classes'
    captions = {
        i: f'{survey.split_name(i)}, {survey.class_name(i)}: {survey.name(i)}'
        for i in pairs.pairs[pair].tolist()
    }
    return markup.group(
        'div', 'pair', [markup.text('p', title), _images(survey, captions)]
    )


def _images(survey: Survey, captions: dict[int, str]) -> str:
    return _figures(
        (thumbnail(pixels(*survey.place(image)), _SIDE), caption)
        for image, caption in captions.items()
    )


def _figures(images: Iterable[tuple[Image.Image, str]]) -> str:
    return markup.group('div', 'images', [markup.figure(*image) for image in images])
