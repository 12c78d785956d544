"""The names of ImageNet's classes, compared with those of BVLC's GoogLeNet."""

import re

import pytest

from vision.models.imagenet import class_ids, class_names


@pytest.fixture(scope='module')
def synsets(data_folder) -> list[tuple[str, str]]:
    """Ids and names in the order of BVLC's GoogLeNet."""
    lines = (data_folder / 'imagenet_synset_words.txt').read_text(encoding='utf-8')
    return [tuple(line.split(' ', 1)) for line in lines.splitlines()]


def test_there_are_1000_of_each_and_none_twice():
    assert len(set(class_ids())) == len(set(class_names())) == 1000
    assert all(re.fullmatch(r'n\d{8}', wnid) for wnid in class_ids())


def test_ids_are_in_the_order_of_the_network(synsets):
    assert list(class_ids()) == [wnid for wnid, _ in synsets]
    assert list(class_ids()) == sorted(class_ids())


def test_names_are_those_of_the_ids(synsets):
    differing = {
        name: words for name, (_, words) in zip(class_names(), synsets) if name != words
    }
    # Two classes share a name there, which names cannot do.
    assert differing == {'crane (bird)': 'crane', 'crane (machine)': 'crane'}
