"""Evaluations of networks that have learned a little, without training any."""

import dataclasses

import numpy as np
import pytest

from trainers.evaluation.evaluation import evaluate
from trainers.inference.classifier import Classifier
from trainers.settings.config import Config
from vision.data import ArraySplit, Source
from vision.models.specification import Specification

# Names that mean something to Markdown, to matplotlib, and to a terminal.
CLASSES = (
    'a|b',
    '*star* <b>',
    'one\ntwo',
    '$x_1$',
    '`code`',
    'naïve 猫',
    '_[link](x)_',
)


@pytest.fixture(scope='session')
def make_evaluation():
    """Called with the number of classes and of images, and the share it knows.

    Another seed makes another network on images of the same names.
    """

    def make(classes=7, count=200, right=0.7, known=None, seed=0, **replaced):
        rng = np.random.default_rng([classes, seed])
        names = (*CLASSES, *(f'class {i}' for i in range(7, classes)))[:classes]
        known = names if known is None else names[:known]
        splits = {}
        for name in ('train', 'validation', 'test'):
            splits[name] = ArraySplit(
                (np.arange(count) % len(known)).astype(np.int32),
                [f'{name}/{i}.png' for i in range(count)],
                rng.integers(0, 256, [count, 8, 8, 3], np.uint8),
            )
        source = Source('noise', known, splits, 8, True)
        specification = Specification(
            'small_cnn', names, 8, 'unit', options={'filters': (4,)}
        )
        classifier = Classifier(specification.build(), specification, 'random weights')
        evaluation = evaluate(classifier, source=source)
        logits = rng.normal(size=evaluation.main.shape).astype(np.float32)
        sure = rng.random(count) < right
        logits[sure, evaluation.labels[sure]] += 4
        return dataclasses.replace(evaluation, logits={'main': logits}, **replaced)

    return make


@pytest.fixture(scope='session')
def evaluation(make_evaluation):
    return make_evaluation()


@pytest.fixture
def config():
    return Config(dataset='shapes', data_dir='some_folder')


@pytest.fixture(scope='session')
def environment():
    return {
        'started': '2026-01-01T00:00:00+00:00',
        'command': ['/somewhere/scripts/evaluate.py', '--run_dir=runs/my run'],
        'commit': None,
        'cpu': {'model': 'a processor', 'usable_cores': 2},
        'gpus': [],
    }
