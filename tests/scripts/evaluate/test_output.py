"""The files of an evaluation: what is in them, and what is left alone."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest
from markdown_it import MarkdownIt
from sklearn import metrics

from scripts.evaluate import output
from trainers.inference.classifier import Temperature
from vision.data import BadFile

WITH_ERRORS = {'confused.png', 'errors.png'}


def rows(path):
    with path.open(newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def folder(make_evaluation, environment, tmp_path_factory):
    """A written evaluation with bad files and a temperature."""
    from trainers.settings.config import Config

    folder = tmp_path_factory.mktemp('out')
    evaluation = make_evaluation(
        temperature=Temperature(1.5, 'validation', 50),
        bad_files=(BadFile('broken|\udcff.png', 0, 'Not a JPEG'),),
    )
    output.write(evaluation, folder, Config(data_dir='my|images'), environment)
    return folder, evaluation


def test_predictions_have_a_row_for_each_image(folder):
    folder, evaluation = folder
    predictions = rows(folder / 'predictions.csv')
    assert [row['path'] for row in predictions] == evaluation.names
    names = np.array(evaluation.classes, object)
    assert [row['label'] for row in predictions] == names[evaluation.labels].tolist()
    probabilities = np.array([row['probability'] for row in predictions], np.float32)
    np.testing.assert_array_equal(probabilities, evaluation.confidence)
    for row, logits in zip(predictions, evaluation.main):
        best = [row['predicted'], *(row[f'top_{i}'] for i in range(2, 6))]
        assert best == names[np.argsort(-logits)[:5]].tolist()
        order = names[np.argsort(-logits)].tolist()
        assert order.index(row['label']) + 1 == int(row['label_rank'])


def test_figures_recomputed_from_predictions_with_scikit_learn(folder):
    folder, evaluation = folder
    predictions = rows(folder / 'predictions.csv')
    labels, named = (
        [row[key] for row in predictions] for key in ('label', 'predicted')
    )
    results = json.loads(
        (folder / 'results.json').read_bytes().decode('utf-8', 'surrogateescape')
    )
    assert results['data']['data_dir'] == 'my|images'
    assert results['top1'] == pytest.approx(metrics.accuracy_score(labels, named))
    names = [row['name'] for row in results['classes']]
    assert names == list(evaluation.classes)
    expected = metrics.precision_recall_fscore_support(labels, named, labels=names)
    for place, row in enumerate(results['classes']):
        figures = [row[key] for key in ('precision', 'recall', 'f1', 'support')]
        assert figures == pytest.approx([column[place] for column in expected])
    with (folder / 'confusion.csv').open(newline='', encoding='utf-8') as file:
        head, *body = csv.reader(file)
    assert head == ['label', *names] and [row[0] for row in body] == names
    np.testing.assert_array_equal(
        np.array([row[1:] for row in body], int),
        metrics.confusion_matrix(labels, named, labels=names),
    )
    loss = [-np.log(float(row['label_probability'])) for row in predictions]
    assert results['calibration']['after']['loss'] == pytest.approx(
        np.mean(loss), rel=1e-5
    )


def test_logits_come_back_bit_for_bit_without_pickles(folder):
    folder, evaluation = folder
    with np.load(folder / 'predictions.npz', allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays['logits'], evaluation.main)
        np.testing.assert_array_equal(arrays['labels'], evaluation.labels)
        assert arrays['names'].tolist() == evaluation.names
        assert arrays['classes'].tolist() == list(evaluation.classes)
        assert arrays['temperature'] == 1.5


def test_report_links_only_to_what_is_there_and_escapes_names(folder):
    folder, _ = folder
    for name in ('report.md', 'MODEL_CARD.md'):
        text = (folder / name).read_bytes().decode('utf-8', 'surrogateescape')
        links = re.findall(r'\]\(([^)]*)\)', text.replace(r'\]', ''))
        local = [link for link in links if not link.startswith('https:')]
        assert local and all((folder / link).is_file() for link in local)
        assert 'one\ntwo' not in text and '*star* <b>' not in text
    report = (folder / 'report.md').read_text(encoding='utf-8')
    assert 'fitted to 50 images of validation | 1.5000' in report
    assert r'broken\|\\udcff.png: Not a JPEG' in report
    assert r'| a\|b |' in report
    assert r'| Folder | my\|images |' in report


def test_what_no_longer_applies_is_removed_and_the_rest_left(
    make_evaluation, tmp_path, config, environment
):
    for name in (*WITH_ERRORS, 'results.json'):
        (tmp_path / name).write_text('of an earlier evaluation')
    (tmp_path / 'notes.txt').write_text('photos')
    perfect = make_evaluation(right=1.0)
    perfect = dataclasses.replace(perfect, labels=perfect.predicted.astype(np.int32))
    written = output.write(perfect, tmp_path, config, environment)
    assert not WITH_ERRORS & {path.name for path in written}
    json.loads((tmp_path / 'results.json').read_text(encoding='utf-8'))
    assert {path.name for path in written} | {'notes.txt'} == {
        path.name for path in tmp_path.iterdir()
    }
    assert 'Every prediction is correct.' in (tmp_path / 'report.md').read_text(
        encoding='utf-8'
    )


def test_model_card_tells_how_to_do_it_again(folder):
    card = (folder[0] / 'MODEL_CARD.md').read_bytes().decode('utf-8', 'surrogateescape')
    assert "python -m scripts.evaluate '--run_dir=runs/my run'" in card
    assert 'predicts one of 7 classes' in card and 'random weights' in card
    assert 'a processor, 2 cores' in card


@pytest.mark.parametrize('name, tables', [('MODEL_CARD.md', 5), ('report.md', 4)])
def test_rows_of_tables_have_as_many_cells_as_their_heads(folder, name, tables):
    folder, evaluation = folder
    text = (folder / name).read_bytes().decode('utf-8', 'surrogateescape')
    tokens = MarkdownIt('commonmark').enable('table').parse(text)
    spans = [token.map for token in tokens if token.type == 'table_open']
    assert len(spans) == tables
    assert sum(line.startswith('|') for line in text.splitlines()) == sum(
        end - start for start, end in spans
    )
    # A parser cuts and fills rows as it needs them, so they are counted as written.
    for start, end in spans:
        head, *rows = text.splitlines()[start:end]
        for row in rows:
            assert len(cells(row)) == len(cells(head)) > 1, row


def cells(row):
    return re.findall(r'(?:[^|\\]|\\.)+', row.strip('|'))
