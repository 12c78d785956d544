"""The terminal report, the page and the files."""

import csv
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from scripts.common import formatting
from scripts.common.output_folder import OutputError, check_writable
from scripts.explore import charts, output, terminal
from scripts.explore.summary import samples, summarize
from vision.data import SPLITS, ArraySplit, FileSplit, Source
from vision.survey.survey import survey

FILES = [
    'index.html',
    'classes.png',
    'samples.png',
    'sizes.png',
    'colours.png',
    'brightness.png',
    'duplicates.png',
    'duplicates.csv',
    'summary.json',
]


class Reader(HTMLParser):
    """Checks that tags are nested properly, and collects what the page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.sources: list[str] = []
        self.images: list[dict] = []
        self.text = ''

    def handle_starttag(self, tag, attrs) -> None:
        attributes = dict(attrs)
        self.references += [
            attributes[k] for k in ('src', 'href', 'srcset') if k in attributes
        ]
        self.ids += [attributes['id']] if 'id' in attributes else []
        self.images += [attributes] if tag == 'img' else []
        self.sources += [self.open[-1]] if tag == 'source' else []
        if tag not in ('meta', 'img', 'source'):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


def read(document: str) -> Reader:
    reader = Reader()
    reader.feed(document)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope='module')
def findings(seen):
    return summarize(seen)


@pytest.fixture(scope='module')
def written(findings, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('written')
    assert [path.name for path in output.write(findings, folder, 0)] == FILES
    return folder


def test_page_needs_no_other_file(written):
    document = (written / 'index.html').read_text(encoding='utf-8')
    reader = read(document)
    assert len(reader.references) > 30
    for reference in reader.references:
        assert reference.startswith('data:image/') or reference[1:] in reader.ids
    assert 'http' not in re.sub(r'base64,[A-Za-z0-9+/=]*', '', document)
    assert 'url(' not in document and '@import' not in document
    assert 'prefers-color-scheme: dark' in document and 'width=device-width' in document
    assert all(image['alt'].strip() for image in reader.images)
    # Browsers choose between the themes of a chart in a `picture` only.
    assert reader.sources == ['picture'] * 3


def test_page_escapes_names_of_classes_and_files(written):
    document = (written / 'index.html').read_text(encoding='utf-8')
    assert '<script' not in document and '<b>' not in document
    reader = read(document)
    assert '<b>dog: train/<b>dog/<script>alert(1)<script>.jpg' in reader.text


def test_page_begins_with_the_warnings(written):
    text = read((written / 'index.html').read_text(encoding='utf-8')).text
    assert '22 images, 2 classes.' in text
    assert '1 image cannot be decoded.' in text
    assert '1 of the 4 validation images have a duplicate in train.' in text
    assert '2 of the 3 test images have a duplicate in train.' in text
    assert '1 pair of duplicates with different classes (label conflicts).' in text
    assert 'a JPEG file named .png' in text


def test_undecodable_names_are_escaped(findings, written):
    document = (written / 'index.html').read_text(encoding='utf-8')
    assert r'/odd\udcff\x1b[31m\n.jpg' in document
    assert '\x1b' not in document and '\x1b' not in terminal.report(findings)
    # Programs get the very bytes that name the file.
    assert b'/odd\xff\x1b[31m\n.jpg' in (written / 'duplicates.csv').read_bytes()


def test_csv_lists_every_pair(written):
    with open(
        written / 'duplicates.csv',
        encoding='utf-8',
        errors='surrogateescape',
        newline='',
    ) as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        'split_a': 'train',
        'path_a': 'train/cat/4.jpg',
        'class_a': 'cat',
        'split_b': 'validation',
        'path_b': 'validation/cat/copy.jpg',
        'class_b': 'cat',
        'distance': '0',
        'kind': 'file',
    }
    assert [row['kind'] for row in rows] == ['file', 'pixels', 'near', 'near']
    across = [row for row in rows if row['split_a'] != row['split_b']]
    assert [row['split_b'] for row in across] == ['validation', 'test', 'test']


def test_summary_has_the_numbers(written):
    numbers = json.loads((written / 'summary.json').read_text(encoding='utf-8'))
    assert numbers['images'] == {'train': 15, 'validation': 4, 'test': 3}
    assert numbers['surveyed'] == numbers['images']
    assert numbers['classes'][1] == {
        'label': 1,
        'id': 'cat',
        'name': 'cat',
        'train': 8,
        'validation': 2,
        'test': 1,
    }
    assert numbers['formats'] == {'JPEG': 15, 'PNG': 7}
    assert numbers['exif_rotated'] == 1
    duplicates = numbers['duplicates']
    assert duplicates['pairs'] == {'file': 1, 'pixels': 1, 'near': 2}
    assert duplicates['with_duplicate_in_train'] == {'validation': 1, 'test': 2}
    assert duplicates['label_conflicts'] == 1
    assert duplicates['pairs_by_splits'] == {
        'train-train': 1,
        'train-validation': 1,
        'train-test': 2,
    }
    assert numbers['problems']['undecodable']['images'][0]['path'].endswith(
        'cat/broken.jpg'
    )


def test_images_are_images(written):
    for name in FILES:
        if name.endswith('.png'):
            pixels = imread(written / name)[..., :3]
            assert min(pixels.shape[:2]) > 100
            assert pixels.std() > 0.03, name
    # Two classes make two rows: each 144 pixels, a title and a gap.
    assert imread(written / 'samples.png').shape[0] == 2 * (144 + 22 + 12) + 12


def test_own_files_are_replaced_and_others_kept(findings, tmp_path, monkeypatch):
    names = ('classes', 'sizes', 'colours')
    drawn = dict.fromkeys(names, charts.Chart(b'light', b'dark', 'A chart.'))
    monkeypatch.setattr(charts, 'draw_all', lambda survey: drawn)
    (tmp_path / 'notes.txt').write_text('kept')
    (tmp_path / 'index.html').write_text('old')
    (tmp_path / 'duplicates.png').write_text('old')
    unique = dataclasses.replace(
        findings,
        duplicates=dataclasses.replace(
            findings.duplicates,
            pairs=findings.duplicates.pairs[:0],
            distances=findings.duplicates.distances[:0],
            kinds=findings.duplicates.kinds[:0],
        ),
    )
    names = [path.name for path in output.write(unique, tmp_path, 0)]
    assert 'duplicates.png' not in names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*names, 'notes.txt']
    )
    assert (tmp_path / 'notes.txt').read_text() == 'kept'
    assert (tmp_path / 'index.html').read_text(encoding='utf-8').startswith('<!DOCTYPE')


def test_unwritable_folder_is_refused(tmp_path):
    check_writable(tmp_path / 'new' / 'folder')
    assert list((tmp_path / 'new' / 'folder').iterdir()) == []
    (tmp_path / 'file').write_text('')
    with pytest.raises(OutputError, match='Expected --output to be writable'):
        check_writable(tmp_path / 'file')


def test_report_fits_a_terminal(findings):
    lines = terminal.report(findings).splitlines()
    assert len(lines) <= 60
    text = '\n'.join(lines)
    assert re.search(r'^majority baseline +53\.3 % +50\.0 % +33\.3 %$', text, re.M)
    assert re.search(
        r'^2 of the 3 test images have a duplicate in train\.$', text, re.M
    )
    assert re.search(r'^ +1  undecodable: ', text, re.M)


@pytest.fixture(scope='module')
def large():
    """More classes than lines of a terminal, of unequal size, in memory."""
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.repeat(np.arange(70), 2), np.zeros(7)])
    splits = {}
    for name in SPLITS:
        images = rng.integers(0, 256, [len(labels), 8, 8, 3], np.uint8)
        names = [f'{name}/{i}' for i in range(len(labels))]
        splits[name] = ArraySplit(labels.astype(np.int32), names, images=images)
    classes = tuple(f'a class with a name that is long {i}' for i in range(70))
    return summarize(survey(Source('large', classes, splits, 8, fixed_size=True)))


def test_many_classes_are_cut_in_the_terminal_and_whole_on_the_page(large, tmp_path):
    report = terminal.report(large)
    assert len(report.splitlines()) <= 60
    assert max(map(len, report.splitlines())) <= 100
    assert 'the 6 largest and the 6 smallest' in report
    output.write(large, tmp_path, 0)
    document = (tmp_path / 'index.html').read_text(encoding='utf-8')
    assert len(document) < 10_000_000
    assert all(name in document for name in large.survey.source.classes)


def test_samples_are_of_the_class_and_follow_the_seed(large, findings):
    for survey_ in (large.survey, findings.survey):
        chosen = samples(survey_, 0)
        assert len(chosen) == min(20, len(survey_.source.classes))
        for label, images in chosen.items():
            assert set(survey_.labels[images]) == {label}
            assert {survey_.split_name(i) for i in images} == {'train'}
            assert len(set(images)) == len(images)
    assert samples(large.survey, 0) == samples(large.survey, 0)
    # Class 0 has nine training images, five of which are shown.
    assert samples(large.survey, 0)[0] != samples(large.survey, 1)[0]


def test_dataset_without_a_decodable_image(tmp_path):
    bad = str(tmp_path / 'bad.jpg')
    Path(bad).write_bytes(b'no image')
    split = FileSplit(np.zeros(1, np.int32), ['bad.jpg'], paths=[bad])
    undecodable = summarize(
        survey(Source('bad', ('a',), dict.fromkeys(SPLITS, split), 8, fixed_size=False))
    )
    (tmp_path / 'out').mkdir()
    names = [path.name for path in output.write(undecodable, tmp_path / 'out', 0)]
    assert names == ['index.html', 'classes.png', 'duplicates.csv', 'summary.json']
    assert 'No image can be decoded.' in terminal.report(undecodable)
    assert undecodable.numbers['duplicates']['pairs']['file'] == 2


@pytest.mark.parametrize(
    'value, text',
    [(1234567.0, '1,234,567'), (1234.5, '1,234'), (61.54, '61.5'), (0.1234, '0.123')],
)
def test_numbers(value, text):
    assert formatting.number(value) == text


def test_short_names_keep_their_end():
    assert formatting.short('train/cat/12.jpg', 9) == '…t/12.jpg'
    assert formatting.short('a\tb', 9) == r'a\tb'
