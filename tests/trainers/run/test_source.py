"""Which images a run loads, and downloads before."""

from pathlib import Path

import pytest

from trainers.run.source import load_source
from trainers.settings.config import Config
from vision import data
from vision.data import DatasetError


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
