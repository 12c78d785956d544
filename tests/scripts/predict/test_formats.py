"""Predictions as a table, as CSV and as JSON lines."""

import csv
import io
import json

import numpy as np
import pytest

from scripts.predict import formats
from trainers.inference.classifier import Classifier, Temperature
from trainers.inference.prediction import Prediction
from vision.models import create
from vision.models.specification import Specification

CLASSES = ('cat', 'a "dog", or two', 'owl\nat night')
THIRD = float(np.float32(1 / 3))
GOOD = Prediction('a b.jpg', CLASSES, (0.5, THIRD, float(np.float32(1 / 6))))
UNSURE = GOOD._replace(file='new\nline,"\udcff.jpg', rejected=True)
BAD = Prediction('broken.jpg', error='Invalid JPEG data, of "3" bytes')


@pytest.fixture(scope='module')
def classifier() -> Classifier:
    network = create('small_cnn', classes=3, image_size=16, filters=(4,))
    specification = Specification('small_cnn', CLASSES, 16, 'unit')
    return Classifier(network, specification, 'runs/x, best weights, epoch 2')


def test_csv(classifier):
    layout = formats.csv_lines(classifier, top=9)
    text = b''.join([layout.header, *map(layout.row, (GOOD, UNSURE, BAD))])
    rows = list(csv.DictReader(io.StringIO(text.decode('utf-8', 'surrogateescape'))))
    assert rows == [
        {
            'file': 'a b.jpg',
            'class': 'cat',
            'probability': '0.5',
            'class_2': 'a "dog", or two',
            'probability_2': '0.33333334',
            'class_3': 'owl\nat night',
            'probability_3': '0.16666667',
            'rejected': 'false',
            'error': '',
        },
        {
            'file': UNSURE.file,
            'class': '',
            'probability': '0.5',
            'class_2': '',
            'probability_2': '0.33333334',
            'class_3': '',
            'probability_3': '0.16666667',
            'rejected': 'true',
            'error': '',
        },
        {
            'file': 'broken.jpg',
            'class': '',
            'probability': '',
            'class_2': '',
            'probability_2': '',
            'class_3': '',
            'probability_3': '',
            'rejected': '',
            'error': BAD.error,
        },
    ]
    assert np.float32(rows[0]['probability_2']) == np.float32(THIRD)
    assert b'\xff.jpg' in text
    assert formats.csv_lines(classifier, top=1).header == (
        b'file,class,probability,rejected,error\n'
    )


def test_json_lines(classifier):
    layout = formats.json_lines(classifier)
    assert layout.header == b''
    good, unsure, bad = map(layout.row, (GOOD, UNSURE, BAD))
    for line in (good, unsure, bad):
        assert line.count(b'\n') == 1 and line.endswith(b'\n')
        line.decode()
    assert json.loads(good) == {
        'file': 'a b.jpg',
        'predictions': [
            {'class': name, 'id': name, 'probability': probability}
            for name, probability in zip(CLASSES, (0.5, 0.33333334, 0.16666667))
        ],
        'rejected': False,
    }
    assert json.loads(unsure)['file'] == UNSURE.file
    assert json.loads(unsure)['rejected'] is True
    assert json.loads(bad) == {'file': 'broken.jpg', 'error': BAD.error}


def test_table(classifier):
    files = [GOOD, UNSURE, BAD]
    layout = formats.table(
        classifier, [prediction.file for prediction in files], width=100
    )
    text = b''.join([layout.header, *map(layout.row, files)]).decode()
    name = r'new\nline,"\udcff.jpg'
    room = ' ' * len(name)
    ranks = [
        f'{room}  a "dog", or two       33.3 %',
        rf'{room}  owl\nat night         16.7 %',
    ]
    assert text.splitlines() == [
        'runs/x, best weights, epoch 2; probabilities not calibrated',
        '',
        f'{"file".ljust(len(name))}  class            probability',
        f'{"a b.jpg".ljust(len(name))}  cat                   50.0 %',
        *ranks,
        f'{name}  cat                   50.0 %  unsure',
        *ranks,
        f'{"broken.jpg".ljust(len(name))}  Invalid JPEG data, of "3" bytes',
    ]


def test_a_table_cuts_names_to_the_width(classifier):
    long = GOOD._replace(file='folder/' * 30 + 'last.jpg')
    for names in ([long.file], []):  # known beforehand, or not
        layout = formats.table(classifier, names, width=80)
        lines = (layout.header + layout.row(long)).decode().splitlines()
        assert lines[3].startswith('…') and 'last.jpg  cat' in lines[3]
        assert max(map(len, lines[2:])) <= 80
    assert (
        formats.table(classifier, ['a.jpg'], 80)
        .header.decode()
        .endswith('file   class            probability\n')
    )


@pytest.mark.parametrize(
    'temperature, expected',
    [
        (Temperature(), 'probabilities not calibrated'),
        (Temperature(1.5), 'probabilities at temperature 1.5'),
        (
            Temperature(1.5, 'validation', 1200),
            'probabilities calibrated on 1,200 images of validation',
        ),
    ],
)
def test_a_table_says_how_far_to_trust_it(classifier, temperature, expected):
    calibrated = Classifier(
        classifier.network, classifier.specification, 'x', temperature
    )
    header = formats.table(calibrated, [], 80).header.decode()
    assert header.startswith(f'x; {expected}\n')
