"""What the model card says of the limits of a network and of the machines."""

import dataclasses

import numpy as np
import pytest

from scripts.evaluate import card
from vision.data import BadFile


def limits(text: str) -> list[str]:
    section = text.partition('## Limits\n\n')[2].partition('\n\n')[0]
    return [line.removeprefix('- ') for line in section.splitlines()]


def test_limits_are_counted(make_evaluation, config, environment):
    evaluation = make_evaluation(
        9, 8, known=8, bad_files=(BadFile('broken.png', 0, 'Not a JPEG'),)
    )
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 3], np.int32)
    predicted = np.array([0, 0, 0, 5, 1, 6, 2, 3])
    logits = np.zeros([8, 9], np.float32)
    # Of 0.5 and of 0.97.
    logits[np.arange(8), predicted] = np.log([8.0] * 5 + [300.0] * 3)
    evaluation = dataclasses.replace(evaluation, labels=labels, logits={'main': logits})
    text = card.build(evaluation, config, environment)
    assert limits(text)[-7:] == [
        'It is underconfident: its mean confidence here is 67.78 %, its accuracy '
        '75.00 %.',
        '1 of 3 predictions with a probability of 0.95 or more are wrong here.',
        r'The classes of the lowest recall are \*star\* \<b\> (50.0 % of 2), a\|b '
        '(75.0 % of 4).',
        r'4 classes have no images here: \`code\`, naïve 猫, \_\[link\](x)\_, class 7.',
        '1 more of its classes are not in this dataset.',
        '4 classes have fewer than 30 images here, so that the metrics of these '
        'classes are imprecise.',
        '1 image could not be decoded and not evaluated.',
    ]


def test_certain_predictions_that_are_right_are_no_limit(
    make_evaluation, config, environment
):
    evaluation = make_evaluation(right=1.0)
    logits = np.full_like(evaluation.main, 0)
    logits[np.arange(len(logits)), evaluation.labels] = 9
    evaluation = dataclasses.replace(evaluation, logits={'main': logits})
    *_, before, last = limits(card.build(evaluation, config, environment))
    assert before.startswith('It takes the largest centred square of an image at 8×8 ')
    assert last.startswith('7 classes have fewer than 30 images here')


@pytest.mark.parametrize(
    'commit, shown',
    [
        ({'hash': '12ab', 'dirty': True}, '12ab, with changes'),
        ({'hash': '12ab', 'dirty': False}, '12ab'),
        (None, '–'),
    ],
)
def test_machines_are_described(evaluation, config, environment, commit, shown):
    gpus = [{'name': 'A GPU'}, {'name': 'Another'}]
    text = card.build(
        evaluation, config, environment | {'commit': commit, 'gpus': gpus}
    )
    assert f'| commit | {shown} |' in text
    assert '| gpus | A GPU, Another |' in text
    assert '| cpu | a processor, 2 cores |' in text
