import hashlib

import numpy as np
import pytest

from vision.data import DatasetError, HeldOut, check_disjoint, load

# Of all images and labels; a different drawing is a different dataset.
GOLDEN = '4559035dff22b0339e04819b3da4d719c3ec732ef465cdf319c5058c11e1e726'


def test_the_same_bits_everywhere_whatever_the_seed():
    splits = load('shapes', held_out=HeldOut(seed=7, validation=0.3)).splits
    digest = hashlib.sha256()
    for name in ('train', 'validation', 'test'):
        digest.update(splits[name].images.tobytes() + splits[name].labels.tobytes())
    assert digest.hexdigest() == GOLDEN


def test_sizes_balance_and_order():
    source = load('shapes')
    check_disjoint(source)
    assert source.fixed_size and source.image_size == 32
    for name, size in (('train', 3_000), ('validation', 500), ('test', 500)):
        split = source.splits[name]
        assert split.images.shape == (size, 32, 32, 3)
        assert split.names[17] == f'{name}/00017'
        assert set(np.bincount(split.labels)) == {size // 10}
        assert (np.diff(split.labels) != 0).mean() > 0.8  # Shuffled, not in blocks.


def test_no_two_images_are_the_same():
    splits = load('shapes').splits.values()
    images = np.concatenate([split.images for split in splits])
    assert len({image.tobytes() for image in images}) == len(images)


@pytest.mark.slow  # The bits are checked above.
def test_a_linear_classifier_is_weak():
    splits = load('shapes').splits
    train, test = (
        (splits[name].images.reshape(len(splits[name]), -1) / 255 - 0.5)
        for name in ('train', 'test')
    )
    targets = np.eye(10)[splits['train'].labels] - 0.1
    kernel = train @ train.T + 300 * np.eye(len(train))  # Ridge regression.
    scores = test @ (train.T @ np.linalg.solve(kernel, targets))
    accuracy = (scores.argmax(1) == splits['test'].labels).mean()
    assert 0.1 < accuracy < 0.35


def test_the_shape_stands_out_from_its_background():
    images = load('shapes').splits['test'].images.astype(float)
    grey = images.mean(3).reshape(len(images), -1)
    low, high = np.percentile(grey, [2, 98], 1)
    assert (high - low).min() > 30


def test_a_data_dir_is_refused():
    load('shapes', data_dir='')
    with pytest.raises(
        DatasetError, match="built in.*data_dir='/data'; leave it out"
    ) as e:
        load('shapes', data_dir='/data')
    assert e.value.parameters == ('data_dir', 'dataset')
