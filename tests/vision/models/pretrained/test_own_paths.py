"""Weights by the paths of attributes."""

import numpy as np
import pytest
import tensorflow as tf
from tiny_network import tiny_network

from vision.models import create
from vision.models.pretrained import load, variables_by_path


def _arrays(model):
    return {name: v.numpy() for name, v in variables_by_path(model).items()}


@pytest.fixture(scope='module')
def arrays():
    tf.random.set_seed(1)
    return _arrays(tiny_network())


@pytest.fixture(scope='module')
def fresh():
    return tiny_network()


@pytest.mark.parametrize('in_a_file', [True, False])
def test_all_is_loaded(arrays, tmp_path, in_a_file):
    tf.random.set_seed(2)
    model, weights = tiny_network(), arrays
    if in_a_file:
        weights = tmp_path / 'w.npz'
        np.savez(weights, **arrays)
    assert load(model, weights) == (len(arrays), 'loaded', ())
    for name, array in _arrays(model).items():
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize(
    'options, notes',
    [
        (
            {'classes': 2},
            [
                'classifier of 3 classes in the given weights is replaced by '
                'a random one of 2.',
                'auxiliary classifier at inception_4a of 3 classes in the '
                'given weights is '
                'replaced by a random one of 2.',
                'auxiliary classifier at inception_4d of 3 classes in the '
                'given weights is '
                'replaced by a random one of 2.',
            ],
        ),
        (
            {'dense': (4,)},
            [
                'classifier of 3 classes in the given weights is replaced by '
                'a random one: the head of the model has another form.',
            ],
        ),
        (
            {'auxiliary': False},
            [
                'auxiliary classifier at inception_4a of 3 classes in the '
                'given weights is '
                'ignored: the model has none.',
                'auxiliary classifier at inception_4d of 3 classes in the '
                'given weights is '
                'ignored: the model has none.',
            ],
        ),
    ],
)
def test_other_heads_keep_their_values(arrays, options, notes):
    model = tiny_network(**options)
    before = _arrays(model)
    loaded = load(model, arrays)
    assert sorted(loaded.notes) == sorted(f'The {note}' for note in notes)
    random = {note.split(' of ')[0] for note in notes}
    for name, array in _arrays(model).items():
        head = (
            'classifier'
            if name.startswith('head/')
            else f'auxiliary classifier at {name.split("/")[1]}'
        )
        kept = not name.startswith('stages/') and head in random
        np.testing.assert_array_equal(array, before[name] if kept else arrays[name])
    assert loaded.head == ('fresh' if 'classifier' in random else 'loaded')


def test_heads_that_are_not_wanted_keep_their_values(arrays):
    model = tiny_network()
    before = _arrays(model)
    stages = {name for name in arrays if name.startswith('stages/')}
    assert load(model, arrays, heads=False) == (len(stages), 'fresh', ())
    for name, array in _arrays(model).items():
        expected = arrays if name in stages else before
        np.testing.assert_array_equal(array, expected[name])


def test_a_backbone_alone(arrays):
    stages = {n: a for n, a in arrays.items() if n.startswith('stages/')}
    loaded = load(tiny_network(), stages)
    assert (loaded.arrays, loaded.head) == (len(stages), 'fresh')
    heads = (
        'auxiliary classifier at inception_4a',
        'auxiliary classifier at inception_4d',
        'classifier',
    )
    assert sorted(loaded.notes) == [
        f'There is no {head} in the given weights: it is initialized randomly.'
        for head in heads
    ]


@pytest.mark.parametrize(
    'name, array, message',
    [
        ('stages/conv1/conv/bias', None, 'stages/conv1/conv/bias is missing'),
        ('head/classifier/bias', None, 'head/classifier/bias is missing'),
        (
            'stages/conv1/conv/bias',
            np.zeros(3, np.float32),
            'conv/bias has shape (3,), the model has (6,)',
        ),
        (
            'head/classifier/kernel',
            np.zeros((3, 16), np.float32),
            'classifier/kernel has shape (3, 16), the model has (16, 3): transpose it',
        ),
        ('head/classifier/bias', np.full(3, np.nan, np.float32), 'are not finite'),
        ('stages/more', np.zeros(3, np.float32), 'stages/more is unknown'),
    ],
)
def test_one_wrong_array_keeps_all_out(
    arrays, fresh, name, array, message, assert_refused
):
    changed = {**arrays, name: array}
    if array is None:
        del changed[name]
    assert_refused(fresh, changed, "Expected the weights of 'network' in", message)


def test_weights_of_another_model(arrays, assert_refused):
    model = create('mobilenet_v2', classes=3, image_size=32, alpha=0.35)
    assert_refused(model, arrays, 'they seem to be of another model:\n')
    wide = create('mobilenet_v2', classes=3, image_size=32, alpha=0.5)
    assert_refused(model, _arrays(wide), 'they seem to be of alpha=0.5; choose that')
    own = _arrays(model)
    del own['head/classifier/bias']
    assert_refused(model, own, 'in the given weights, but:\n  head/classifier/bias is')
