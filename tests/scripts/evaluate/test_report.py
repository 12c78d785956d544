"""What the report says of figures, and that it is true."""

import dataclasses
import re

import pytest

from scripts.evaluate import content, report
from scripts.evaluate.output import results
from trainers.inference.classifier import Classifier, Run, Temperature
from trainers.settings.config import Config
from trainers.settings.tables import VIEWS
from trainers.storage.run_directory import RunDirectory

CHOSEN = 'by which the best weights were chosen'
SAME_SPLIT = 'The temperature was fitted to this same split, validation'
AUGMENTED = 'The temperature was fitted without test-time augmentation'
OWN = Config(dataset='image_folder', data_dir='photos')
FITTED = Temperature(1.5, 'validation', 50)


@pytest.fixture
def of_run(evaluation, tmp_path):
    """Called with the step of the weights: as if of a run whose best are of step 3."""
    (tmp_path / 'checkpoints/best/step-000000003').mkdir(parents=True)

    def make(step, **replaced):
        run = Run(
            directory=RunDirectory(tmp_path),
            config=OWN,
            step=step,
            epoch=1,
            averaged=False,
        )
        classifier = evaluation.classifier
        classifier = Classifier(
            classifier.network, classifier.specification, 'a run', run=run
        )
        return dataclasses.replace(evaluation, classifier=classifier, **replaced)

    return make


@pytest.mark.parametrize(
    'step, split, config, temperature, views, expected',
    [
        (3, 'validation', OWN, FITTED, 'none', [CHOSEN, SAME_SPLIT]),
        (4, 'validation', OWN, FITTED, 'none', [SAME_SPLIT]),
        (
            3,
            'validation',
            Config(dataset='image_folder', data_dir='others'),
            FITTED,
            'none',
            [],
        ),
        (3, 'test', OWN, FITTED, 'flip', [AUGMENTED]),
        (3, 'test', OWN, Temperature(1.5), 'flip', []),
        (3, 'test', OWN, Temperature(), 'flip', []),
    ],
)
def test_warnings_are_true(of_run, step, split, config, temperature, views, expected):
    evaluation = of_run(step, split_name=split, temperature=temperature, views=views)
    warnings = list(content.warnings(evaluation, config))
    assert len(warnings) == len(expected)
    for warning, part in zip(warnings, expected):
        assert part in warning


def test_weights_of_others_were_not_chosen_by_the_images(evaluation, config):
    other = dataclasses.replace(evaluation, split_name='validation')
    assert not list(content.warnings(other, config))


@pytest.mark.parametrize('views, number', [('none', 1), ('flip', 2), ('crops', 12)])
def test_views_are_counted(evaluation, config, views, number):
    assert set(VIEWS) == {'none', 'flip', 'crops'}
    evaluation = dataclasses.replace(evaluation, views=views)
    text = report.build(evaluation, config, results(evaluation, config, {}))
    averaged = ', averaged' if number > 1 else ''
    assert f'| Views of each image | {number}{averaged} |' in text
    assert (f'; {number} views of each' in content.images(evaluation)) == (number > 1)


def test_figures_are_in_percent(evaluation, config):
    text = report.build(evaluation, config, results(evaluation, config, {}))
    main = evaluation.heads['main']
    for name, value, (low, high) in (
        ('Top-1', main.top1, main.top1_interval),
        ('Top-5', main.top5, main.top5_interval),
    ):
        assert (
            f'| {name} accuracy | {100 * value:.2f} % (95 % interval '
            f'{100 * low:.1f}–{100 * high:.1f} %) |'
        ) in text


def test_images_follow_the_headings_that_they_belong_to(evaluation, config):
    text = report.build(evaluation, config, results(evaluation, config, {}))
    assert re.findall('^(?:#|!).*', text.partition('## Confusion')[2], re.M) == [
        '![Confusion matrix, normalized by label](confusion.png)',
        '![An image of each of the most confused pairs](confused.png)',
        '## Most confident errors',
        '![Images with their predictions and labels](errors.png)',
        '## Calibration',
        '![Accuracy by confidence, and images by confidence](reliability.png)',
        '## Precision and recall',
        '![Precision by recall](precision_recall.png)',
    ]


@pytest.mark.parametrize(
    'classes, known, count, says, rows',
    [
        (24, 24, 200, None, 24),
        (
            40,
            40,
            12,
            'The 12 classes with images, in order of recall; '
            '[classes.csv](classes.csv) has all 40 of the dataset.',
            12,
        ),
        (40, 40, 20, 'The 20 classes with images, in order of recall; ', 20),
        (
            40,
            40,
            21,
            'The 21 classes with images, the 10 of the lowest and the 10 of the '
            'highest recall; [classes.csv](classes.csv) has all 40 of the dataset.',
            20,
        ),
        (40, 40, 200, 'The 40 classes with images, the 10 of the lowest', 20),
    ],
)
def test_note_on_classes_is_about_those_shown(
    make_evaluation, config, classes, known, count, says, rows
):
    evaluation = make_evaluation(classes, count)
    text = report.build(evaluation, config, results(evaluation, config, {}))
    section = text.partition('## Classes')[2].partition('## Confusion')[0]
    assert ('with images' in section) == (says is not None)
    assert says is None or says in section
    lines = [line for line in section.splitlines() if line.startswith('| ')]
    assert len(lines) == rows + 3  # head, rule and mean
