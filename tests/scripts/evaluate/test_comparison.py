"""Runs on the same images, in pairs."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from scripts.evaluate import comparison, comparison_report, figures
from scripts.evaluate.comparison import check_same, compare
from trainers.inference.classifier import Classifier, Run
from trainers.settings.config import Config
from trainers.storage.run_directory import RunDirectory
from vision.data import DatasetError
from vision.errors import UserError


@pytest.fixture(scope='module')
def evaluations(make_evaluation):
    return [
        make_evaluation(right=right, seed=seed)
        for seed, right in enumerate((0.95, 0.5, 0.5))
    ]


def mistaken(evaluation, count):
    """The same, but for so many images that were predicted correctly."""
    logits = evaluation.main.copy()
    rows = np.flatnonzero(evaluation.correct)[:count]
    logits[rows, (evaluation.labels[rows] + 1) % logits.shape[1]] = 99
    return dataclasses.replace(evaluation, logits={'main': logits})


def of_run(evaluation, path, **settings):
    """The same, of a run with those settings."""
    run = Run(
        directory=RunDirectory(path),
        config=Config(**settings),
        step=1,
        epoch=1,
        averaged=False,
    )
    classifier = evaluation.classifier
    classifier = Classifier(
        classifier.network, classifier.specification, str(path), run=run
    )
    return dataclasses.replace(evaluation, classifier=classifier)


@pytest.fixture
def no_figures(monkeypatch):
    """For the text of reports: figures take much longer."""
    for name in ('intervals', 'grid'):
        monkeypatch.setattr(figures, name, lambda *arguments, **options: b'a figure')


def report(evaluations):
    names = 'abc'[: len(evaluations)]
    made = comparison_report.contents(
        compare(evaluations, names), {'command': ['evaluate'], 'gpus': []}
    )
    return made['report.md']


def test_pairs_count_every_image_and_bound_the_difference(evaluations):
    compared = compare(evaluations, ['a', 'b', 'c'])
    named = [(pair.first, pair.second) for pair in compared.pairs]
    assert named == [('a', 'b'), ('a', 'c'), ('b', 'c')]
    correct = {name: run.correct for name, run in zip('abc', evaluations)}
    for pair in compared.pairs:
        a, b = correct[pair.first], correct[pair.second]
        assert pair.both + pair.only_first + pair.only_second + pair.neither == 200
        assert pair.both + pair.only_first == a.sum()
        assert pair.both + pair.only_second == b.sum()
        for figure in pair.differences.values():
            assert figure.interval.low <= figure.value <= figure.interval.high
        assert pair.differences['top1'].value == pytest.approx(a.mean() - b.mean())
    better, _, alike = compared.pairs
    assert better.differences['top1'].interval.low > 0 and better.p_value < 0.01
    assert alike.only_first and alike.only_second
    low, high = alike.differences['top1'].interval
    assert low <= 0 <= high
    assert comparison_report.verdict(better).endswith(' a is better.')
    assert 'The difference is not significant.' in comparison_report.verdict(alike)


@pytest.mark.parametrize(
    'count, p_value, says',
    [
        (0, '1', 'The difference is not significant.'),
        (4, '0.125', 'The difference is not significant.'),
        (6, '0.0312', 'a is better.'),
    ],
)
def test_the_exact_test_decides_what_is_better(evaluations, count, p_value, says):
    pair = [evaluations[0], mistaken(evaluations[0], count)]
    compared = compare(pair, ['a', 'b'])
    assert comparison_report.verdict(compared.pairs[0]) == (
        f'Only a is correct on {count} images, only b on 0; p = {p_value}. {says}'
    )
    compared = compare(pair[::-1], ['a', 'b'])
    assert comparison_report.verdict(compared.pairs[0]).endswith(
        says.replace('a is', 'b is')
    )


def test_several_pairs_have_a_note_on_multiple_comparisons(no_figures, evaluations):
    for count, expected in ((2, False), (3, True)):
        compared = compare(evaluations[:count], 'abc'[:count])
        for text in (
            comparison_report.on_terminal(compared),
            report(evaluations[:count]),
        ):
            assert ('not corrected for several comparisons' in text) == expected


def test_figures_and_tables_are_files_of_their_own(evaluations):
    environment = {'command': ['evaluate'], 'gpus': []}
    made = comparison_report.contents(compare(evaluations, 'abc'), environment)
    assert set(made) == set(comparison_report.NAMES)
    for name in ('accuracy.png', 'differences.png', 'disagreement.png'):
        with Image.open(io.BytesIO(made[name])) as image:
            assert len(np.unique(np.asarray(image))) > 3
        assert f']({name})' in made['report.md']
    same = compare([evaluations[0]] * 2, 'ab')
    alike = comparison_report.contents(same, environment)
    assert alike['disagreement.png'] is None
    assert 'disagreement.png' not in alike['report.md']


def test_only_images_that_all_could_decode_count(evaluations):
    first, second = evaluations[:2]
    kept = np.delete(np.arange(200), [3, 50])
    partly = dataclasses.replace(
        second,
        indices=kept,
        labels=second.labels[kept],
        logits={'main': second.main[kept]},
    )
    compared = compare([first, partly], ['a', 'b'])
    assert [len(kept) for kept in compared.evaluations] == [198, 198]
    assert compared.evaluations[0].names == partly.names
    np.testing.assert_array_equal(compared.evaluations[0].main, first.main[kept])
    assert comparison.results(compared, {})['data']['evaluated'] == 198


def test_other_images_are_refused(make_evaluation):
    evaluations = [make_evaluation(count=count) for count in (200, 150)]
    compared = [
        (evaluation.classifier, evaluation.source) for evaluation in evaluations
    ]
    check_same([compared[0], compared[0]], 'test')
    with pytest.raises(UserError, match='differ, such as test/1'):
        check_same(compared, 'test')


def test_classes_that_a_network_does_not_know_are_refused_before_too(make_evaluation):
    evaluation, other = make_evaluation(), make_evaluation(classes=3)
    with pytest.raises(DatasetError, match='it does not have'):
        check_same(
            [
                (evaluation.classifier, evaluation.source),
                (other.classifier, evaluation.source),
            ],
            'test',
        )


def test_classes_are_matched_where_datasets_have_them_in_other_orders(
    no_figures, evaluations
):
    first, second = evaluations[:2]
    source = second.source
    # The last class has no images in the dataset of the first run.
    order = np.array([5, 3, 1, 0, 2, 4, 6])
    moved = dataclasses.replace(
        source,
        classes=tuple(source.classes[i] for i in order),
        ids=tuple(source.ids[i] for i in order),
        splits={
            name: dataclasses.replace(
                split, labels=np.argsort(order)[split.labels].astype(np.int32)
            )
            for name, split in source.splits.items()
        },
    )
    other = dataclasses.replace(
        second, source=moved, dataset_classes=second.dataset_classes[order]
    )
    assert report([first, other]) == report([first, second])
    kept = first.labels < 6
    without = dataclasses.replace(
        first,
        source=dataclasses.replace(
            source,
            classes=source.classes[:6],
            ids=source.ids[:6],
            splits=dict.fromkeys(
                source.splits,
                dataclasses.replace(
                    source.splits['test'], labels=source.splits['test'].labels % 6
                ),
            ),
        ),
        dataset_classes=first.dataset_classes[:6],
        indices=first.indices[kept],
        labels=first.labels[kept],
        logits={'main': first.main[kept]},
    )
    recall = f'{100 * second.by_class.recall[5]:.1f} %'
    (row,) = [
        line
        for line in report([without, other]).splitlines()
        if line.startswith('| naïve 猫 ')
    ]
    assert row.count(' | ') == 3 and f'| {recall} |' in row


def test_settings_stand_below_the_names_of_their_runs(
    no_figures, evaluations, tmp_path
):
    first, other, third = (
        of_run(evaluations[0], tmp_path / 'a', epochs=5),
        evaluations[1],
        of_run(evaluations[2], tmp_path / 'c', epochs=7, data_dir='x'),
    )
    text = report([first, other, third])
    assert '| setting | a | b | c |' in text and '| epochs | 5 | – | 7 |' in text
    assert '| data_dir |  | – | x |' in text
    assert 'The settings of b are unknown: checkpoints without' in text
    assert 'The other runs have the same settings.' in report([first, other, first])
    assert 'The runs have the same settings.' in report([first, first])


@pytest.mark.parametrize(
    'name, values, shown',
    [
        ('dense', [None, ()], ['(default)', 'none']),
        ('pooling', [None, 'max'], ['(default)', 'max']),
        ('augment', [(), ('flip',)], ['none', 'flip']),
        ('learning_rate', [0.1, 0.10000001], ['0.1', '0.10000001']),
    ],
)
def test_settings_that_differ_are_shown_differently(
    no_figures, evaluations, tmp_path, name, values, shown
):
    runs = [
        of_run(evaluation, tmp_path, **{name: value})
        for evaluation, value in zip(evaluations, values)
    ]
    assert f'| {name} | {shown[0]} | {shown[1]} |' in report(runs)
