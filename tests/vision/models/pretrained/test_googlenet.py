"""Weights by Caffe's names: random ones, and those that BVLC published."""

import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tiny_network import tiny_network

from vision.models import Network, create
from vision.models.pretrained import load, variables_by_path

BLOCKS = [f'inception_{name}' for name in '3a 3b 4a 4b 4c 4d 4e 5a 5b'.split()]
BRANCHES = {
    '1x1': 'conv1',
    '3x3_reduce': 'reduce3',
    '3x3': 'conv3',
    '5x5_reduce': 'reduce5',
    '5x5': 'conv5',
    'pool_proj': 'project',
}


# Of the random weights.
CLASSES = 20


def _googlenet(**options) -> Network:
    """For images of 80 pixels, whose last map has 3."""
    return create('googlenet', **{'classes': CLASSES, 'image_size': 80, **options})


@pytest.fixture(scope='module')
def fresh():
    return _googlenet()


@pytest.fixture(scope='module')
def arrays(fresh) -> dict[str, np.ndarray]:
    """Random weights under Caffe's names."""
    stages = fresh.stages
    layers = {
        'conv1/7x7_s2': stages['conv1'].conv,
        'conv2/3x3_reduce': stages['conv2_reduce'].conv,
        'conv2/3x3': stages['conv2'].conv,
        'loss3/classifier': fresh.head.classifier,
    }
    for block in BLOCKS:
        for name, attribute in BRANCHES.items():
            layers[f'{block}/{name}'] = getattr(stages[block], attribute).conv
    rng = np.random.default_rng(1)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        deviation = math.sqrt(2 / math.prod(shape[:-1])) if len(shape) > 1 else 0.1
        return rng.normal(scale=deviation, size=shape).astype(np.float32)

    return {
        f'{name}/{part}': draw(tuple(getattr(layer, part).shape))
        for name, layer in layers.items()
        for part in ('kernel', 'bias')
    }


@pytest.fixture(scope='module')
def path(arrays, tmp_path_factory) -> Path:
    """The file of the random weights."""
    return _save(tmp_path_factory.mktemp('googlenet'), arrays)


def _save(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = folder / 'weights.npz'
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def test_every_array_finds_its_place(arrays, path):
    model = _googlenet()
    before = {v.ref(): v.numpy() for v in model.variables}
    assert load(model, path) == (len(arrays), 'loaded', ())
    stem = {
        'conv1/7x7_s2': 'conv1',
        'conv2/3x3_reduce': 'conv2_reduce',
        'conv2/3x3': 'conv2',
    }
    layers = {name: model.stages[stage].conv for name, stage in stem.items()}
    for block in BLOCKS:
        for name, attribute in BRANCHES.items():
            layers[f'{block}/{name}'] = getattr(model.stages[block], attribute).conv
    layers['loss3/classifier'] = model.head.classifier
    assert 2 * len(layers) == len(arrays)
    for name, layer in layers.items():
        np.testing.assert_array_equal(layer.kernel, arrays[f'{name}/kernel'])
        np.testing.assert_array_equal(layer.bias, arrays[f'{name}/bias'])
    # Only the auxiliary heads keep their values.
    kept = {v.ref() for v in model.variables if np.array_equal(v, before[v.ref()])}
    heads = {v.ref() for head in model.heads.values() for v in head.variables}
    assert kept == heads


def _caffe(arrays: dict[str, np.ndarray], images: np.ndarray) -> tf.Tensor:
    """The logits as in Caffe's description of GoogLeNet, `deploy.prototxt`."""

    def conv(x: tf.Tensor, name: str, stride: int = 1) -> tf.Tensor:
        kernel, pixels = (
            arrays[f'{name}/kernel'],
            arrays[f'{name}/kernel'].shape[0] // 2,
        )
        x = tf.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
        x = tf.nn.conv2d(x, kernel, stride, 'VALID')
        return tf.nn.relu(x + arrays[f'{name}/bias'])

    def pool(x: tf.Tensor, stride: int = 2) -> tf.Tensor:
        # Caffe rounds the size of the output up.
        return tf.nn.max_pool2d(x, 3, stride, 'SAME')

    def norm(x: tf.Tensor) -> tf.Tensor:
        return tf.nn.local_response_normalization(x, 2, 1, 0.0001 / 5, 0.75)

    blue_green_red = images.astype(np.float32)[..., [2, 1, 0]]
    x = tf.constant(blue_green_red - np.float32([104, 117, 123]))
    x = conv(norm(pool(conv(x, 'conv1/7x7_s2', 2))), 'conv2/3x3_reduce')
    x = pool(norm(conv(x, 'conv2/3x3')))
    for block in BLOCKS:
        branches = (
            conv(x, f'{block}/1x1'),
            conv(conv(x, f'{block}/3x3_reduce'), f'{block}/3x3'),
            conv(conv(x, f'{block}/5x5_reduce'), f'{block}/5x5'),
            conv(pool(x, 1), f'{block}/pool_proj'),
        )
        x = tf.concat(branches, -1)
        if block in ('inception_3b', 'inception_4e'):
            x = pool(x)
    features = tf.reduce_mean(x, [1, 2])
    kernel, bias = (arrays[f'loss3/classifier/{part}'] for part in ('kernel', 'bias'))
    return features @ kernel + bias


def test_the_logits_are_those_of_caffe_s_layers(arrays, path):
    model = _googlenet()
    load(model, path)
    images = np.random.default_rng(2).integers(0, 256, [3, 80, 80, 3], np.uint8)
    images[1] //= 2  # a darker one, and one without red
    images[2, ..., 0] = 0
    expected = _caffe(arrays, images)
    np.testing.assert_allclose(
        model(images).main, expected, rtol=0, atol=1e-5 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda a: a.pop('conv1/7x7_s2/bias'), 'conv1/7x7_s2/bias is missing'),
        (
            lambda a: a.update({'loss1/conv/bias': np.zeros(128, np.float32)}),
            'loss1/conv/bias is unknown',
        ),
        (
            lambda a: a.update({'inception_3a/1x1/bias': np.zeros(63, np.float32)}),
            'inception_3a/1x1/bias has shape (63,), the model has (64,)',
        ),
        (
            lambda a: a.update({'inception_3a/1x1/bias': np.zeros(64)}),
            'inception_3a/1x1/bias is float64, not float32',
        ),
        (
            lambda a: a.update({'conv2/3x3/bias': np.full(192, np.nan, np.float32)}),
            'conv2/3x3/bias has values that are not finite',
        ),
    ],
)
def test_one_wrong_array_keeps_all_out(
    fresh, arrays, tmp_path, change, message, assert_refused
):
    changed = dict(arrays)
    change(changed)
    assert_refused(fresh, _save(tmp_path, changed), message)


def test_all_that_is_wrong_is_listed_at_once(fresh, arrays, tmp_path, assert_refused):
    changed = dict(arrays)
    del changed['conv1/7x7_s2/bias'], changed['loss3/classifier/kernel']
    changed['conv2/3x3/bias'] = np.zeros(3, np.float32)
    changed['more'] = np.zeros(1, np.float32)
    assert_refused(
        fresh,
        _save(tmp_path, changed),
        'conv1/7x7_s2/bias is missing',
        'loss3/classifier/kernel is missing',
        'conv2/3x3/bias has shape (3,)',
        'more is unknown',
    )


def test_an_auxiliary_head_of_caffe_is_unknown(fresh, arrays, tmp_path, assert_refused):
    changed = {f'{i}/bias': np.zeros(1, np.float32) for i in range(9)}
    assert_refused(
        fresh,
        _save(tmp_path, {**arrays, **changed}),
        '7/bias is unknown\n',
        'and 1 more',
    )


@pytest.mark.parametrize('options', [{'classes': 2}, {'dense': (8,)}])
def test_another_head_keeps_its_values(arrays, path, options):
    model = _googlenet(**options)
    before = [variable.numpy() for variable in model.head.variables]
    loaded = load(model, path)
    assert loaded.arrays == len(arrays) - 2 and loaded.head == 'fresh'
    end = 'random one of 2.' if 'classes' in options else 'random one: the head of '
    assert (
        f'The classifier of {CLASSES} classes in {path} is replaced by a {end}'
        in loaded.notes[0]
    ) and len(loaded.notes) == 1
    for variable, old in zip(model.head.variables, before):
        np.testing.assert_array_equal(variable, old)
    np.testing.assert_array_equal(
        model.stages['conv2'].conv.bias, arrays['conv2/3x3/bias']
    )


@pytest.mark.parametrize(
    'name, normalization',
    [
        ('inception_v1', 'caffe'),
        ('small_cnn', 'caffe'),
        ('googlenet', 'symmetric'),
    ],
)
def test_other_models_are_refused(name, normalization, path, assert_refused):
    model = create(name, classes=2, image_size=32, normalization=normalization)
    messages = (
        "Expected the model 'googlenet' with normalization 'caffe'",
        f'received {name!r} with {normalization!r}',
    )
    assert_refused(model, path, *messages)


def test_a_file_of_the_project_is_known_by_its_names(tmp_path):
    model, other = (
        tiny_network(name='googlenet', normalization='caffe') for _ in range(2)
    )
    stored = variables_by_path(other)
    path = _save(tmp_path, {name: v.numpy() for name, v in stored.items()})
    assert load(model, path) == (len(stored), 'loaded', ())
    for variable, expected in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(variable, expected)


def test_pickled_objects_are_not_loaded(fresh, arrays, tmp_path, assert_refused):
    bias = np.array([print] * 64, object)
    path = _save(tmp_path, {**arrays, 'conv1/7x7_s2/bias': bias})
    assert_refused(fresh, path, 'conv1/7x7_s2/bias is object, not float32')


@pytest.mark.parametrize('share', [0, 0.3, 0.999])
def test_a_truncated_file(fresh, path, tmp_path, share, assert_refused):
    content = path.read_bytes()
    changed = tmp_path / 'truncated.npz'
    changed.write_bytes(content[: int(share * len(content))])
    assert_refused(fresh, changed, 'could not be read')


def test_a_flipped_bit(fresh, path, tmp_path, assert_refused):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changed = tmp_path / 'flipped.npz'
    changed.write_bytes(content)
    assert_refused(fresh, changed, 'Bad CRC-32')


@pytest.fixture(scope='module')
def top5(data_folder):
    """(images [B, 224, 224, 3]) -> the five most likely classes [B, 5]."""
    model = create('googlenet')
    load(model, data_folder / 'googlenet_bvlc.npz')

    def classify(images: np.ndarray) -> np.ndarray:
        batches = np.split(images, range(20, len(images), 20))
        best = [tf.math.top_k(model(batch).main, 5).indices for batch in batches]
        return np.concatenate(best)

    return classify


def _image(content: bytes, size: int) -> np.ndarray:
    """The central 224 pixels of an image stretched to a square of `size`."""
    image = tf.image.resize(tf.io.decode_jpeg(content, channels=3), [size, size])
    return tf.image.resize_with_crop_or_pad(image, 224, 224).numpy()


# Images that are recognized neither with red and blue exchanged nor without the mean
# taken off: a centipede, a meat loaf, an academic gown and two goldfish.
DECISIVE = {
    'val_1113.JPEG': 79,
    'val_1122.JPEG': 962,
    'val_1148.JPEG': 400,
    'val_1267.JPEG': 1,
    'val_1917.JPEG': 1,
}


def test_decisive_images_are_recognized(data_folder, top5):
    """Their most likely of all 1000 classes; these are enlarged from 64 pixels."""
    folder = 'tiny-imagenet-200/val/images'
    with zipfile.ZipFile(data_folder / 'tiny-imagenet-20.zip') as archive:
        images = [_image(archive.read(f'{folder}/{name}'), 224) for name in DECISIVE]
    assert list(top5(np.stack(images))[:, 0]) == list(DECISIVE.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    'kind, classes, floor',
    [
        ('cats', range(281, 286), 0.75),
        ('dogs', range(151, 269), 0.9),
    ],
)
def test_cats_and_dogs_are_recognized(data_folder, top5, kind, classes, floor):
    # Observed: 0.80 of the cats and 0.95 of the dogs. Exchanging red and blue does no
    # harm here (0.85 and 0.925); the test above notices that.
    with zipfile.ZipFile(data_folder / 'cats_and_dogs.zip') as archive:
        names = sorted(
            name
            for name in archive.namelist()
            if f'/test/{kind}/' in name and name.endswith('.jpg')
        )
        images = np.stack([_image(archive.read(name), 256) for name in names[:40]])
    assert np.isin(top5(images)[:, 0], classes).mean() >= floor
