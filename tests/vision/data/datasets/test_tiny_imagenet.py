import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from vision.data import DatasetError, HeldOut, check_disjoint, decode_to_memory, load
from vision.data.datasets.tiny_imagenet import class_names

WNIDS = ('n02', 'n01', 'n03')  # Not in sorted order, as in the archive.


@pytest.fixture
def layout(tmp_path):
    """A small archive: 3 classes, 10 training images each, 4 in val."""
    root = tmp_path / 'tiny-imagenet-200'
    jpeg = tf.io.encode_jpeg(np.full([64, 64, 3], 128, np.uint8)).numpy()
    for wnid in WNIDS:
        folder = root / 'train' / wnid / 'images'
        folder.mkdir(parents=True)
        (folder.parent / f'{wnid}_boxes.txt').write_text('boxes are not read')
        (folder / 'Thumbs.db').touch()
        for i in range(10):
            (folder / f'{wnid}_{i}.JPEG').write_bytes(jpeg)
    val = root / 'val' / 'images'
    val.mkdir(parents=True)
    (val / 'Thumbs.db').touch()
    lines = []
    for i, wnid in enumerate(('n01', 'n03', 'n01', 'n02')):
        (val / f'val_{i}.JPEG').write_bytes(jpeg)
        lines.append(f'val_{i}.JPEG\t{wnid}\t0\t0\t63\t63\n')
    (root / 'val' / 'val_annotations.txt').write_text(''.join(lines))
    (root / 'wnids.txt').write_text('\n'.join(WNIDS))
    (root / 'words.txt').write_text('n01\tgoldfish, carp\nn02\ttabby\nn03\tbucket')
    return root


def _load(root, **held_out):
    return load('tiny_imagenet', str(root), HeldOut(**held_out))


def test_the_layout_is_read(layout):
    source = _load(layout)
    assert source.ids == ('n01', 'n02', 'n03')
    assert source.classes == ('goldfish', 'tabby', 'bucket')
    assert (source.image_size, source.fixed_size) == (64, True)
    assert {k: len(v) for k, v in source.splits.items()} == {
        'train': 27,
        'validation': 3,
        'test': 4,
    }
    test = source.splits['test']
    assert test.names[1] == 'val/images/val_1.JPEG'
    np.testing.assert_array_equal(test.labels, [0, 2, 0, 1])
    for split in source.splits.values():
        for name, path in zip(split.names, split.paths):
            assert path == str(layout / name)
    for name, label in zip(source.splits['train'].names, source.splits['train'].labels):
        assert name.startswith(f'train/{source.ids[label]}/images/')


def test_the_parent_folder_will_do(layout):
    assert (
        _load(layout.parent).splits['test'].paths == _load(layout).splits['test'].paths
    )


def test_the_seed_and_the_fraction_decide_what_is_held_out(layout):

    def held_out(**options):
        return list(_load(layout, **options).splits['validation'].names)

    assert held_out(seed=1) == held_out(seed=1) != held_out(seed=2)
    assert len(held_out(validation=0.3)) == 9


@pytest.mark.parametrize(
    'contents, got',
    [(None, 'no such folder'), ([], 'an empty folder'), (['a.txt'], 'got a.txt')],
)
def test_a_wrong_folder_is_told_how_to_get_the_data(tmp_path, contents, got):
    folder = tmp_path / 'data'
    if contents is not None:
        folder.mkdir()
        for name in contents:
            (folder / name).touch()
    with pytest.raises(DatasetError) as error:
        _load(folder)
    for part in (
        got,
        'https://cs231n.stanford.edu/tiny-imagenet-200.zip',
        '248,100,043 bytes',
        'Download',
        'as data_dir',
    ):
        assert part in str(error.value)
    assert error.value.parameters == ('data_dir', 'download')


def test_no_data_dir_is_told_how_to_get_the_data():
    with pytest.raises(DatasetError, match='needs a data directory.*Download'):
        load('tiny_imagenet')


def test_a_part_that_is_missing_is_named(layout):
    (layout / 'words.txt').unlink()
    with pytest.raises(DatasetError, match='lacks words.txt; .*not extracted whole'):
        _load(layout)


def test_a_class_without_images_is_named(layout):
    for path in (layout / 'train/n03/images').iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match='Expected JPEG files in .*train/n03/images'):
        _load(layout)


@pytest.mark.parametrize('line', ['val_9.JPEG\tn99\t0\t0\t1\t1', 'val_9.JPEG'])
def test_an_annotation_that_names_no_class_is_shown(layout, line):
    with open(layout / 'val/val_annotations.txt', 'a') as annotations:
        annotations.write(line)
    with pytest.raises(DatasetError, match='val_annotations.txt, line 5: .*val_9.JPEG'):
        _load(layout)


def test_val_must_match_its_annotations(layout):
    for i in range(4):
        (layout / f'val/images/val_{i}.JPEG').rename(layout / f'val/images/{i}.JPEG')
    with pytest.raises(DatasetError) as error:
        _load(layout)
    assert str(error.value) == (
        f'{layout}/val/images must hold exactly the files of val_annotations.txt; '
        "4 are missing ['val_0.JPEG', 'val_1.JPEG', 'val_2.JPEG'], 4 are not annotated "
        "['0.JPEG', '1.JPEG', '2.JPEG']. Extract tiny-imagenet-200.zip again."
    )


def test_class_names_are_made_unique():
    words = {
        'n1': 'crane',
        'n2': 'crane',
        'n3': 'bucket, pail',
        'n4': 'bucket, cup',
        'n5': 'tabby, cat',
    }
    assert class_names(list(words) + ['n6'], words) == (
        'crane (n1)',
        'crane (n2)',
        'bucket, pail',
        'bucket, cup',
        'tabby',
        'n6',
    )


@pytest.mark.slow
def test_the_real_archive(tiny_imagenet_dir):
    source = _load(tiny_imagenet_dir, seed=4321)
    check_disjoint(source)
    assert {k: len(v) for k, v in source.splits.items()} == {
        'train': 9_000,
        'validation': 1_000,
        'test': 1_000,
    }
    for split, per_class in (('train', 450), ('validation', 50), ('test', 50)):
        assert set(np.bincount(source.splits[split].labels)) == {per_class}
    assert len(source.classes) == 20 and source.classes[0] == 'goldfish'
    test = source.splits['test']
    at = test.names.index('val/images/val_2.JPEG')
    assert source.ids[test.labels[at]] == 'n04070727'
    assert source.classes[test.labels[at]] == 'refrigerator'


@pytest.mark.slow
def test_the_real_images_decode_grayscale_ones_too(tiny_imagenet_dir):
    images = _decoded_as_pillow_does(tiny_imagenet_dir)
    assert images.shape == (1_000, 64, 64, 3)
    grey = (images == images[..., :1]).all((1, 2, 3))
    assert 5 < grey.sum() < 60


def test_grayscale_images_are_decoded_too(layout):
    rng = np.random.default_rng(1)
    for i, shape in enumerate(([64, 64, 3], [64, 64], [64, 64, 3], [64, 64])):
        image = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
        image.save(layout / f'val/images/val_{i}.JPEG', 'JPEG', quality=75)
    images = _decoded_as_pillow_does(layout)
    grey = (images == images[..., :1]).all((1, 2, 3))
    np.testing.assert_array_equal(grey, [False, True, False, True])


def _decoded_as_pillow_does(root) -> np.ndarray:
    """The test images."""
    split = _load(root).splits['test']
    images = decode_to_memory(split, 64).images
    for path, image in zip(split.paths[:20], images):
        np.testing.assert_array_equal(image, Image.open(path).convert('RGB'))
    return images
