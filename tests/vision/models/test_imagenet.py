"""The names of ImageNet's classes, compared with those of BVLC's GoogLeNet."""

import hashlib
import re
from collections.abc import Iterable

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


# SHA-256 of the ids and of the names in BVLC's `synset_words.txt`, one a line.
IDS = '385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd'
NAMES = 'a40d9be82eb4738becd1dd69991b89f87f309975e860a6f3f45395d8c06a7e0d'

KNOWN = {
    0: ('n01440764', 'tench, Tinca tinca'),
    1: ('n01443537', 'goldfish, Carassius auratus'),
    134: ('n02012849', 'crane (bird)'),
    281: ('n02123045', 'tabby, tabby cat'),
    517: ('n03126707', 'crane (machine)'),
    999: ('n15075141', 'toilet tissue, toilet paper, bathroom tissue'),
}


@pytest.mark.parametrize('label', KNOWN)
def test_known_classes(label):
    assert (class_ids()[label], class_names()[label]) == KNOWN[label]


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256('\n'.join(lines).encode()).hexdigest()


def test_all_are_those_of_the_network_by_their_digests():
    assert _digest(class_ids()) == IDS
    # Both kinds of cranes have one name there.
    assert (
        _digest(re.sub(r' \((bird|machine)\)', '', n) for n in class_names()) == NAMES
    )


def test_ids_are_in_the_order_of_the_network(synsets):
    assert list(class_ids()) == [wnid for wnid, _ in synsets]
    assert list(class_ids()) == sorted(class_ids())


def test_names_are_those_of_the_ids(synsets):
    differing = {
        name: words for name, (_, words) in zip(class_names(), synsets) if name != words
    }
    # Two classes share a name there, which names cannot do.
    assert differing == {'crane (bird)': 'crane', 'crane (machine)': 'crane'}
