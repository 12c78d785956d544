"""Which images a run loads, and downloads before."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from trainers.run.source import load_source, prepare, reduced
from trainers.settings.config import Config
from vision import data
from vision.data import DatasetError, HeldOut


@pytest.fixture
def obtained(monkeypatch) -> list[tuple]:
    """What was asked for to be downloaded; nothing is."""
    calls: list[tuple] = []
    monkeypatch.setattr(
        data, 'obtain', lambda name, folder, bars: calls.append((name, folder))
    )
    monkeypatch.setattr(data, 'load', lambda name, *arguments: LOADED)
    return calls


LOADED = data.load('shapes')


def test_a_download_needs_a_folder(obtained):
    with pytest.raises(DatasetError, match='--data_dir with --download: .* cifar10 i'):
        load_source(Config(dataset='cifar10', download=True))
    assert not obtained


@pytest.mark.parametrize(
    'settings, expected',
    [
        ({}, []),
        ({'download': True}, [('cifar10', Path('here'))]),
        ({'download': True, 'pretrained': 'imagenet'}, [('cifar10', Path('here'))]),
        # Of weights alone: these images have no public address.
        (
            {'download': True, 'pretrained': 'imagenet', 'dataset': 'image_folder'},
            [],
        ),
        (
            {'download': True, 'dataset': 'image_folder'},
            [('image_folder', Path('here'))],
        ),
    ],
)
def test_images_are_downloaded_on_request(obtained, settings, expected):
    settings = {'dataset': 'cifar10', 'model': 'mobilenet_v2', **settings}
    assert load_source(Config(data_dir='here', **settings)) is LOADED
    assert obtained == expected


def test_what_is_held_out_follows_the_settings(monkeypatch):
    asked: list[tuple] = []

    def load(*arguments):
        asked.append(arguments)
        return LOADED

    monkeypatch.setattr(data, 'load', load)
    settings = {'validation_fraction': 0.25, 'test_fraction': 0.5, 'split_seed': 7}
    load_source(Config(dataset='image_folder', data_dir='here', **settings))
    assert asked == [('image_folder', 'here', HeldOut(7, 0.25, 0.5))]


def test_an_image_in_two_splits_is_refused():
    splits = {**LOADED.splits, 'test': LOADED.splits['train']}
    with pytest.raises(DatasetError, match='must belong to one split only'):
        prepare(Config(), dataclasses.replace(LOADED, splits=splits))


def test_a_few_training_batches_take_the_place_of_all_splits():
    few = [
        prepare(Config(overfit_batches=3, batch_size=5, seed=seed), LOADED).splits
        for seed in (1, 1, 2)
    ]
    names = [splits['train'].names for splits in few]
    assert names[0] == names[1] != names[2]
    assert len(set(names[0])) == 15 and set(names[0]) < set(
        LOADED.splits['train'].names
    )
    assert [split.names for split in few[0].values()] == 3 * [names[0]]


def test_a_reduced_source_has_some_images_of_each_split():
    splits = reduced(LOADED, 4).splits
    for name, whole in LOADED.splits.items():
        places = [whole.names.index(image) for image in splits[name].names]
        assert len(places) == 4 and places == sorted(places)
        np.testing.assert_array_equal(splits[name].labels, whole.labels[places])
