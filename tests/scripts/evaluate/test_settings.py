"""Which images are meant, and which must not be."""

import pytest

from scripts.common.dataset_settings import image_config
from scripts.evaluate.settings import (
    Settings,
    check_calibration,
    check_splits,
    same_data,
)
from trainers.settings.config import Config, ConfigError
from trainers.settings.tables import VIEWS
from vision.data import SPLITS

OWN = Config(dataset='image_folder', data_dir='photos', split_seed=5)


def test_there_are_as_many_views_to_choose_from_as_there_are():
    assert Settings.__dataclass_fields__['views'].metadata['choices'] is VIEWS


def test_splits_to_choose_from_are_those_of_a_dataset():
    choices = Settings.__dataclass_fields__['split'].metadata['choices']
    assert sorted(choices) == sorted(SPLITS)


@pytest.mark.parametrize(
    'given, same',
    [
        ({}, True),
        ({'data_dir': 'photos/'}, True),
        ({'data_dir': 'others'}, False),
        ({'dataset': 'csv'}, False),
        ({'dataset': 'csv', 'data_dir': 'photos'}, False),
    ],
)
def test_same_data_is_the_same_dataset_in_the_same_place(given, same):
    assert same_data(OWN, image_config(OWN, given)) == same


@pytest.mark.parametrize(
    'given',
    [
        {'split_seed': 6},
        {'validation_fraction': 0.2},
        {'test_fraction': 0.2},
        {'split_seed': 6, 'data_dir': './photos'},
    ],
)
def test_images_of_a_run_are_not_split_anew(given):
    name, value = next(iter(given.items()))
    own = getattr(OWN, name)
    with pytest.raises(
        ConfigError,
        match=f'Expected the --{name}={own} that the run '
        f'was trained with, received {value}: .* Leave --{name} out',
    ):
        check_splits(OWN, image_config(OWN, given))


@pytest.mark.parametrize(
    'given',
    [
        {},
        {'split_seed': 5},
        {'split_seed': 6, 'data_dir': 'others'},
        {'test_fraction': 0.2, 'dataset': 'shapes'},
    ],
)
def test_other_images_may_be_split_as_one_likes(given):
    check_splits(OWN, image_config(OWN, given))


def test_temperature_is_fitted_to_images_of_the_run():
    check_calibration(OWN, image_config(OWN, {'data_dir': 'photos'}))
    with pytest.raises(
        ConfigError,
        match='images of the run with --calibrate, '
        'image_folder photos, received image_folder others: .* a link to '
        'them at photos',
    ):
        check_calibration(OWN, image_config(OWN, {'data_dir': 'others'}))
    with pytest.raises(ConfigError, match='image_folder photos, received shapes: '):
        check_calibration(OWN, image_config(OWN, {'dataset': 'shapes'}))
