"""What the log says of a run before its first step and after its last."""

from pathlib import Path

import pytest

from trainers.run.description import (
    describe_bad_files,
    describe_results,
    describe_start,
)
from trainers.settings.config import Config
from trainers.step.trainer import Trainer
from trainers.storage import environment
from trainers.storage.environment import Gpu
from trainers.storage.run_directory import RunDirectory
from vision import data
from vision.data import BadFiles
from vision.layers import AuxiliaryHead, ConvBlock
from vision.models import Network
from vision.models.specification import Specification

BACKBONE, HEAD = 5**2 * 3 * 1024 + 1024, 1024 * 10 + 10


def make_network(auxiliary: bool = True, aux_dropout: float = 0.0, **head) -> Network:
    """A convolution, in front of an auxiliary head if asked for."""
    heads = {'conv': AuxiliaryHead(1024, 4, 10, dropout=aux_dropout)}
    return Network(
        {'conv': ConvBlock(3, 1024, 5, stride=4)},
        1024,
        8,
        classes=10,
        image_size=32,
        min_image_size=4,
        normalization='symmetric',
        heads=heads if auxiliary else {},
        **head,
    )


@pytest.fixture
def described(monkeypatch, caplog):
    """Called with settings and options of the network; returns what is logged."""
    caplog.set_level('INFO')
    monkeypatch.setattr(environment, 'gpus', list)
    monkeypatch.setattr(environment, 'cpu_model', lambda: 'a processor')

    def describe(settings=None, **options) -> dict[str, str]:
        source = data.load('shapes')
        network = make_network(**options)
        config = Config(**{'model': 'small_cnn', 'epochs': 3, **(settings or {})})
        trainer = Trainer(network, config, 1093)
        specification = Specification('small_cnn', source.classes, 32, 'symmetric')
        describe_start(config, specification, source, trainer, 1093, Path('runs/x'))
        return dict(message.split(maxsplit=1) for message in caplog.messages)

    return describe


def test_a_start_is_described(described):
    lines = described(dropout=0.25, aux_dropout=0.5)
    # Millions: 5² x 3 products for each of 1024 numbers in 8² places.
    in_heads = 1024 * 128 + 128 + 128 * 1024 + 1024 + 1024 * 10 + 10
    assert lines == {
        'Model': f'small_cnn: {BACKBONE + HEAD + in_heads:,} parameters, '
        f'{in_heads:,} of them in auxiliary heads; 5 million multiplications per image',
        'Dropout': '0.25, 0.5 in auxiliary heads',
        'Images': 'shapes: 3,000 train, 500 validation, 500 test; 10 classes; 32×32 '
        'pixels, symmetric',
        'Training': '3 epochs of 1,093 steps of 32; adam, cosine from 0.0005',
        'Precision': 'float32 on a processor',
        'Run': 'runs/x',
        'Watch': 'tensorboard --logdir=runs/x/tensorboard',
    }


def test_two_phases_from_other_weights_are_described(described, monkeypatch):
    monkeypatch.setattr(environment, 'gpus', lambda: [Gpu('A', None), Gpu('B', None)])
    lines = described(
        {
            'pretrained': 'somewhere',
            'freeze': ('backbone',),
            'finetune_epochs': 2,
            'finetune_learning_rate': 0.001,
        },
        auxiliary=False,
        feature_dropout=0.125,
    )
    total = BACKBONE + HEAD
    assert lines['Model'] == (
        f'small_cnn: {total:,} parameters; 5 million multiplications per image'
    )
    assert lines['Dropout'] == '0, 0.125 of the features'
    assert lines['Weights'] == 'from somewhere'
    assert lines['Trained'] == (
        f'{HEAD:,} parameters; {BACKBONE:,} frozen, then {total:,} parameters; 0 frozen'
    )
    assert lines['Training'] == (
        '3 epochs of 1,093 steps of 32; adam, cosine from 0.0005, then '
        '2 epochs of 1,093 steps of 32; adam, cosine from 0.001'
    )
    assert lines['Precision'] == 'float32 on A, B'


RESULTS = {
    'best_epoch': 2,
    'epochs': 3,
    'validation': {'top1': 0.5, 'top5': 0.75, 'loss': 1.25},
    'test': {'top1': 0.25, 'top5': 0.875, 'loss': 1.5},
    'seconds': 62.0,
    'images_per_second': 1234.4,
}


@pytest.mark.parametrize(
    'classes, ema, validation, test',
    [
        (
            6,
            0.0,
            'top-1 50.00%, top-5 75.00%, loss 1.250',
            'top-1 25.00%, top-5 87.50%, loss 1.500',
        ),
        (
            5,
            0.9,
            'top-1 50.00%, loss 1.250',
            'top-1 25.00%, loss 1.500 (averaged weights)',
        ),
    ],
)
def test_results_are_described(caplog, classes, ema, validation, test):
    caplog.set_level('INFO')
    directory = RunDirectory(Path('runs/x'))
    describe_results(Config(ema=ema), classes, directory, RESULTS)
    assert caplog.messages == [
        '',
        f'Best epoch  2 of 3: validation {validation}',
        f'Test        {test}',
        'Time        1 m 02 s; 1234 images/s in training',
        'Results     runs/x/results.json, runs/x/metrics.csv',
        'Next        open runs/x/plots/curves.png, or run',
        '            tensorboard --logdir=runs/x/tensorboard',
        '            python -m scripts.evaluate --run_dir=runs/x',
    ]


def test_images_left_out_are_counted_by_class(caplog):
    source, bad_files = data.load('shapes'), BadFiles()
    describe_bad_files(bad_files, source)
    assert not caplog.messages
    bad_files.restore(
        [[f'{i}.png', label, 'no image'] for i, label in enumerate((4, 1, 4))]
    )
    describe_bad_files(bad_files, source)
    first, second = source.classes[4], source.classes[1]
    assert caplog.messages == [
        f'Left out    3 images that cannot be decoded (2 of {first}, 1 of {second}); '
        'see bad_files.csv'
    ]
