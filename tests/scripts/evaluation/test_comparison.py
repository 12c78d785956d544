"""Networks on the same pictures, in pairs."""

import dataclasses

import numpy as np
import pytest

from scripts.evaluation import comparison, comparison_report
from scripts.evaluation.comparison import compare, ComparisonError


@pytest.fixture(scope='module')
def evaluations(make_evaluation):
    return [make_evaluation(right=right) for right in (0.95, 0.5, 0.5)]


def test_pairs_count_every_picture_and_bound_the_difference(evaluations):
    compared = compare(evaluations)
    assert [(p.first, p.second) for p in compared.pairs] == [(0, 1), (0, 2), (1, 2)]
    for pair in compared.pairs:
        mine, theirs = (evaluations[i].correct for i in pair[:2])
        assert pair.both + pair.only_first + pair.only_second + pair.neither == 200
        assert pair.both + pair.only_first == mine.sum()
        assert pair.both + pair.only_second == theirs.sum()
        for figure in pair.differences.values():
            assert figure.interval.low <= figure.value <= figure.interval.high
        assert pair.differences['top1'].value == pytest.approx(mine.mean() -
                                                               theirs.mean())
    better, _, alike = compared.pairs
    assert better.differences['top1'].interval.low > 0 and better.p_value < 0.01
    low, high = alike.differences['top1'].interval
    assert low <= 0 <= high
    assert 'is better.' in comparison_report.verdict(compared, better)
    assert 'Neither is shown to be better.' in comparison_report.verdict(
        compared, alike)


def test_only_pictures_that_all_could_decode_count(evaluations):
    first, second = evaluations[:2]
    kept = np.delete(np.arange(200), [3, 50])
    partly = dataclasses.replace(second, indices=kept, labels=second.labels[kept],
                                 logits={'main': second.main[kept]})
    compared = compare([first, partly])
    assert [len(each) for each in compared.evaluations] == [198, 198]
    assert compared.evaluations[0].names == partly.names
    np.testing.assert_array_equal(compared.evaluations[0].main, first.main[kept])
    assert comparison.numbers(compared, {})['data']['evaluated'] == 198


def test_other_pictures_are_refused(evaluations, make_evaluation):
    with pytest.raises(ComparisonError, match='differ, such as test/1'):
        compare([evaluations[0], make_evaluation(count=150)])
