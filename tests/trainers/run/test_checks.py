"""The mistakes that show before the first step."""

import math

import numpy as np
import pytest

from trainers.run.checks import check_batch, check_initial_loss
from vision.data import Batch
from vision.errors import UserError


def batch(images=None, labels=(0, 1, 2), weights=(1, 1, 1)) -> Batch:
    if images is None:
        images = np.arange(3 * 4 * 4 * 3, dtype=np.uint8).reshape(3, 4, 4, 3)
    return Batch(images, np.array(labels, np.int32), np.array(weights, np.float32))


@pytest.mark.parametrize(
    'good',
    [
        batch(),
        batch(weights=(0, 0, 1)),
        batch(labels=(2, 2, 0)),
    ],
)
def test_good_batch(good):
    check_batch(good, classes=3)


GREY = np.full([3, 4, 4, 3], 128, np.uint8)
ONE_GREY = batch().images.copy()
ONE_GREY[0] = 128
OF_ONE_COLOUR = (
    'Expected images, but every pixel of the first batch is 128: check the images in '
    'samples/ and --augment.'
)


@pytest.mark.parametrize(
    'bad, message',
    [
        (
            batch(weights=(0, 0, 0)),
            'Expected images in the first batch, but none of its 3 files could be '
            'decoded: see bad_files.csv.',
        ),
        (
            batch(labels=(0, 1, 3)),
            'Expected labels in 0..2, received 0..3: check the dataset.',
        ),
        (
            batch(labels=(-1, 1, 2)),
            'Expected labels in 0..2, received -1..2: check the dataset.',
        ),
        (batch(GREY), OF_ONE_COLOUR),
        (batch(ONE_GREY, weights=(1, 0, 0)), OF_ONE_COLOUR),
    ],
)
def test_bad_batch(bad, message):
    with pytest.raises(UserError) as error:
        check_batch(bad, classes=3)
    assert str(error.value) == message


@pytest.mark.parametrize(
    'loss, warns',
    [
        (math.log(10), False),
        (1.2, False),
        (5.6, False),
        (1.1, True),
        (5.7, True),
        (0.0, True),
    ],
)
def test_initial_loss(loss, warns, caplog):
    check_initial_loss(loss, classes=10)
    assert caplog.messages == warns * [
        f'The loss before the first step is {loss:.2f}; guessing among 10 classes has '
        '2.30. Check --normalization and the labels.'
    ]


@pytest.mark.parametrize('loss', [math.nan, math.inf, -math.inf])
def test_initial_loss_that_is_no_number(loss):
    with pytest.raises(UserError) as error:
        check_initial_loss(loss, classes=10)
    assert str(error.value) == (
        f'Expected a loss near 2.30 before the first step, received {loss}: check '
        '--normalization and --precision.'
    )
