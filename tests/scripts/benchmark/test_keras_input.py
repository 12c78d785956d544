"""Keras reads the same images with the same augmentations."""

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from augmentations import augmentation

from scripts.benchmark import keras_input
from trainers.settings.config import Config, ConfigError
from vision.data import ArraySplit, DatasetError, FileSplit, RangeSplit, Split
from vision.data.augment import AUGMENTATIONS, Augmentation

ALL = ('flip', 'vertical_flip', 'rotate:18', 'shift', 'zoom:0.1')
AUGMENT = [augmentation(spec) for spec in ALL]


@pytest.fixture
def split(tmp_path) -> Split:
    """Nine JPEG files of three classes; brightness follows the label."""
    labels = np.arange(9, dtype=np.int32) % 3
    paths = [str(tmp_path / f'image{index}.JPEG') for index in range(9)]
    for path, label in zip(paths, labels):
        image = np.full([24, 24, 3], 100 * label, np.uint8)
        tf.io.write_file(path, tf.io.encode_jpeg(image))
    return FileSplit(labels, paths, paths=paths, side=24)


def configured(*augment: str, batch_size: int = 4) -> Config:
    return Config(batch_size=batch_size, image_size=16, augment=augment)


def test_the_folder_of_links_is_gone_afterwards(split):
    with keras_input.linked(split, batch_size=4) as folder:
        links = sorted(Path(folder).rglob('*.jpeg'))
        assert [str(link.relative_to(folder)) for link in links] == [
            '0/0.jpeg',
            '0/3.jpeg',
            '0/6.jpeg',
            '1/1.jpeg',
            '1/4.jpeg',
            '1/7.jpeg',
            '2/2.jpeg',
            '2/5.jpeg',
        ]  # Whole batches: the ninth image is left out.
        assert all(link.is_symlink() for link in links)
        assert os.readlink(Path(folder, '1/7.jpeg')) == split.paths[7]
    assert not Path(folder).exists()
    assert all(Path(path).exists() for path in split.paths)
    with pytest.raises(KeyError), keras_input.linked(split, batch_size=4) as folder:
        raise KeyError
    assert not Path(folder).exists()
    with pytest.raises(DatasetError, match='batch size must lie in 1..9, .* got 10'):
        with keras_input.linked(split, batch_size=10):
            pass


def test_links_to_relative_paths(split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = FileSplit(
        split.labels,
        split.names,
        paths=[os.path.basename(path) for path in split.paths],
    )
    with keras_input.linked(here, batch_size=9) as folder:
        assert Path(folder, '0/0.jpeg').exists()


def test_both_give_the_images_and_their_labels(split, capsys):
    config = configured()
    with keras_input.linked(split, batch_size=4) as folder:
        images, labels = next(keras_input.generator(folder, config))
        assert images.shape == (4, 16, 16, 3)
        np.testing.assert_allclose(images, 0, atol=1e-3)  # centred
        batches = list(keras_input.directory_dataset(folder, config))
    assert [batch[0].shape for batch in batches] == [(4, 16, 16, 3)] * 2
    for images, labels in batches:
        np.testing.assert_allclose(images[:, 8, 8, 0] / 100, labels, atol=0.02)
    assert sorted(np.concatenate([labels for _, labels in batches])) == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
        2,
    ]


def test_both_augment(split):
    Path(split.paths[0]).write_bytes(
        tf.io.encode_jpeg(
            np.random.default_rng(1).integers(256, size=[24, 24, 3], dtype=np.uint8)
        ).numpy()
    )
    one = FileSplit(split.labels[:1], split.names[:1], paths=split.paths[:1])
    config = configured(*ALL, batch_size=1)
    with keras_input.linked(one, batch_size=1) as folder:
        flow = keras_input.generator(folder, config)
        augmented = [next(flow)[0] for _ in range(2)]
        dataset = keras_input.directory_dataset(folder, config).repeat(2)
        augmented += [images.numpy() for images, _ in dataset]
    for images in augmented:
        assert images.shape == (1, 16, 16, 3)
        assert 0 <= images.min() < 100 and 150 < images.max() < 256
    assert not np.allclose(augmented[0], augmented[1])
    assert not np.allclose(augmented[2], augmented[3])


def test_arguments_of_the_generator():
    assert keras_input.generator_arguments([]) == {'samplewise_center': True}
    assert keras_input.generator_arguments(AUGMENT) == {
        'fill_mode': 'reflect',
        'horizontal_flip': True,
        'vertical_flip': True,
        'rotation_range': 18,
        'width_shift_range': 0.2,
        'height_shift_range': 0.2,
        'zoom_range': 0.1,
    }


def test_layers():
    flip, vertical, rotation, shift, zoom = keras_input.augmentation_layers(AUGMENT)
    assert (flip.mode, vertical.mode) == ('horizontal', 'vertical')
    assert list(rotation.factor) == [-0.05, 0.05]
    assert (shift.height_factor, shift.width_factor) == (0.2, 0.2)
    assert (zoom.height_factor, zoom.width_factor) == (0.1, None)
    assert {layer.fill_mode for layer in (rotation, shift, zoom)} == {'reflect'}


def test_augmentations_need_a_counterpart():
    keras_input.check_augmentations(AUGMENT)
    keras_input.check_augmentations([])
    for name in set(AUGMENTATIONS) - set(keras_input.COUNTERPARTS):
        with pytest.raises(
            ConfigError,
            match='flip, vertical_flip, rotate, shift, '
            f'zoom, each once, .* received flip,{name}. Pass',
        ):
            keras_input.check_augmentations([Augmentation('flip'), Augmentation(name)])
    with pytest.raises(ConfigError, match='received rotate:1,rotate:2'):
        keras_input.check_augmentations([*map(augmentation, ('rotate:1', 'rotate:2'))])


def test_images_need_to_be_files(split):
    keras_input.check_files(split)
    in_memory = ArraySplit(
        split.labels, split.names, images=np.zeros([9, 4, 4, 3], np.uint8)
    )
    with pytest.raises(ConfigError, match='received .* in memory. Name a --dataset of'):
        keras_input.check_files(in_memory)
    parts = RangeSplit(
        split.labels, split.names, paths=split.paths, ranges=np.zeros([9, 2], np.int64)
    )
    with pytest.raises(ConfigError, match='received .* parts of larger files. Name'):
        keras_input.check_files(parts)
    for ending, shown in {'.webp': '.webp', '': 'no ending'}.items():
        paths = [*split.paths[:8], f'image{ending}']
        with pytest.raises(ConfigError, match=f'in .bmp, .* received {shown}. Name'):
            keras_input.check_files(FileSplit(split.labels, split.names, paths=paths))


@pytest.mark.parametrize('place', [0, 1])
def test_a_broken_file_is_explained(split, place, capsys):
    with keras_input.linked(split, batch_size=4) as folder:
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            both = keras_input.workloads(folder, configured(), warmup_steps=1)
        workload = both[place]
        assert workload.turn(3) > 0
        for path in split.paths:
            Path(path).write_bytes(b'not an image')
        with pytest.raises(DatasetError, match='received one that cannot. Pass --cac'):
            workload.turn(3)
    assert capsys.readouterr() == ('', '')
