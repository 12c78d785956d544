"""Figures are drawn for any number of classes and any names, without warnings."""

import io

import numpy as np
import pytest
from PIL import Image

from scripts.evaluate import content, figures


def size(png):
    image = Image.open(io.BytesIO(png))
    image.load()
    assert image.format == 'PNG' and len(np.unique(np.asarray(image))) > 3
    return image.size


@pytest.mark.parametrize('classes', [2, 7, 21, 61])
def test_confusion_matrix_of_any_size(make_evaluation, classes):
    # With counts, upright names or not, with names alone, and with neither.
    evaluation = make_evaluation(classes, 400)
    width, height = size(figures.confusion(*content.confusion(evaluation)))
    assert 200 < height <= width * 1.2 and width < 2000


def test_a_confusion_matrix_is_smaller_where_counts_have_no_room():
    def width(classes):
        names = [str(i) for i in range(classes)]
        return size(figures.confusion(np.eye(classes, dtype=int), names, names))[0]

    assert width(20) > 1.3 * width(21)


def test_shares_are_shown_in_percent(evaluation, monkeypatch):
    drawn = []

    def keep(figure, **options):
        figure.canvas.draw()
        drawn.append(figure.axes)
        return b''

    monkeypatch.setattr(figures, 'figure_png', keep)
    figures.confusion(*content.confusion(evaluation))
    figures.reliability({'a': evaluation.reliability})
    figures.precision_recall(evaluation)
    (_, colours), (upper, lower), (curves,) = drawn
    for axis in (colours.yaxis, upper.yaxis, lower.xaxis, curves.xaxis, curves.yaxis):
        labels = {label.get_text() for label in axis.get_ticklabels()}
        assert '100%' in labels


def test_confusion_with_other_classes_has_a_column_for_them(make_evaluation):
    evaluation = make_evaluation(30, known=2)
    counts, rows, columns = content.confusion(evaluation)
    assert counts.shape == (2, 3) == (len(rows), len(columns))
    assert columns[-1] == 'any other' and counts[:, -1].sum() > 0
    assert counts.sum() == len(evaluation)
    size(figures.confusion(counts, rows, columns))


@pytest.mark.parametrize('classes, drawn', [(2, 2), (7, 7), (40, 10)])
def test_curves_of_the_worst_and_the_best(make_evaluation, classes, drawn):
    evaluation = make_evaluation(classes, 400)
    averages = evaluation.average_precisions
    chosen = figures.curve_classes(averages)
    assert len(set(chosen)) == drawn
    if drawn < classes:
        rest = np.delete(averages, chosen)
        assert averages[chosen[:5]].max() <= rest.min()
        assert averages[chosen[5:]].min() >= rest.max()
    size(figures.precision_recall(evaluation))


def test_classes_without_images_have_no_curve():
    assert figures.curve_classes(np.array([0.5, np.nan, 0.2])) == [0, 2]


@pytest.mark.parametrize('panels', [1, 2])
def test_reliability(evaluation, panels):
    drawn = {f'panel {i}': evaluation.reliability for i in range(panels)}
    width, height = size(figures.reliability(drawn))
    assert width == panels * size(figures.reliability({'a': evaluation.reliability}))[0]


def test_most_confident_errors_come_first(evaluation):
    chosen = figures.most_confident(evaluation, ~evaluation.correct, figures.ERRORS)
    assert len(chosen) == figures.ERRORS
    assert not evaluation.correct[chosen].any()
    confidence = evaluation.confidence[chosen]
    assert (np.diff(confidence) <= 0).all()
    rest = np.setdiff1d(np.flatnonzero(~evaluation.correct), chosen)
    assert evaluation.confidence[rest].max() <= confidence.min()
    size(figures.confident_errors(evaluation))


def test_example_of_a_pair_is_one_of_it(evaluation):
    label, predicted, count = content.most_confused(evaluation)[0]
    place = figures.example(evaluation, label, predicted)
    assert (evaluation.labels[place], evaluation.predicted[place]) == (label, predicted)
    same = (evaluation.labels == label) & (evaluation.predicted == predicted)
    assert same.sum() == count
    assert evaluation.confidence[place] == evaluation.confidence[same].max()
