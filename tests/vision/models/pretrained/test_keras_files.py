"""Files that Keras writes, read without it."""

import shutil

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from vision.layers import ConvBlock, ConvNormActivation, SeparableConv2D
from vision.models import Network, create
from vision.models.pretrained import load
from vision.models.xception import SeparableResidual

# Keras warns of NumPy 2 when it converts arrays.
pytestmark = pytest.mark.filterwarnings('ignore::DeprecationWarning:keras')

CLASSES = 7


def _randomize(model):
    """Draws batch norms and biases, so that exchanged ones are noticed."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, size),
                    rng.normal(0, 0.2, size),
                    rng.normal(0, 0.2, size),
                    rng.uniform(0.5, 1.5, size),
                ]
            )
        elif isinstance(layer, keras.layers.Dense):
            layer.bias.assign(rng.normal(size=layer.bias.shape))


@pytest.fixture(scope='module')
def original():
    model = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, classes=CLASSES
    )
    _randomize(model)
    return model


@pytest.fixture(scope='module')
def files(original, tmp_path_factory):
    """A folder with the same weights in all file formats of Keras."""
    folder = tmp_path_factory.mktemp('keras')
    base = keras.Model(original.input, original.get_layer('out_relu').output)
    nested = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Rescaling(1 / 127.5, -1),
            base,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name='output'),
        ]
    )
    nested.compile('adam')
    nested.optimizer.build(nested.trainable_variables)
    for name, model in {'flat': original, 'no_top': base, 'nested': nested}.items():
        model.save_weights(folder / f'{name}.weights.h5')
        model.save(folder / f'{name}.h5')
    _unname(shutil.copy(folder / 'flat.weights.h5', folder / 'unnamed.weights.h5'))
    _rename(shutil.copy(folder / 'flat.h5', folder / 'renamed.h5'))
    return folder


def _unname(path):
    """Removes the names, which the first versions of Keras 3 did not write."""
    with h5py.File(path, 'r+') as file:
        for group in file['layers'].values():
            del group['vars'].attrs['name']


def _rename(path):
    """Gives all layers the names of Keras 1, as in the published file of Xception."""
    with h5py.File(path, 'r+') as file:
        root = file['model_weights']
        names = list(root.attrs['layer_names'])
        new = [f'convolution2d_{i}' for i in range(len(names))]
        for old, name in zip(names, new):
            root.move(old, name)
        root.attrs['layer_names'] = [name.encode() for name in new]


def _network(name='mobilenet_v2', image_size=32, **options):
    if name == 'mobilenet_v2':
        options = {'alpha': 0.35, **options}
    return create(name, image_size=image_size, **{'classes': CLASSES, **options})


@pytest.fixture(scope='module')
def fresh():
    return _network()


@pytest.fixture(scope='module')
def one_network():
    return _network()


@pytest.fixture
def empty(one_network):
    """The same network for many tests, with zeros in all variables."""
    for variable in one_network.variables:
        variable.assign(tf.zeros_like(variable))
    return one_network


@pytest.fixture(scope='module')
def images():
    return np.random.default_rng(1).uniform(0, 255, (4, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope='module')
def results(original, images):
    """The probabilities and the features that Keras computes."""
    # By its class: Keras numbers the names of all layers of a process.
    (pooled,) = (
        layer
        for layer in original.layers
        if isinstance(layer, keras.layers.GlobalAveragePooling2D)
    )
    both = keras.Model(original.input, [original.output, pooled.output])
    return [result.numpy() for result in both(images / 127.5 - 1)]


@pytest.fixture(scope='module')
def predictions(results):
    return results[0]


@pytest.fixture(scope='module')
def features(results):
    return results[1]


def _assert_close(actual, expected):
    np.testing.assert_allclose(
        actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    'name, head',
    [
        ('flat.weights.h5', 'loaded'),
        ('flat.h5', 'loaded'),
        ('unnamed.weights.h5', 'loaded'),
        ('renamed.h5', 'loaded'),
        ('no_top.weights.h5', 'fresh'),
        ('no_top.h5', 'fresh'),
        ('nested.weights.h5', 'fresh'),
        ('nested.h5', 'fresh'),
    ],
)
def test_the_network_predicts_as_in_keras(
    predictions, files, images, features, empty, name, head
):
    loaded = load(empty, files / name)
    assert loaded.head == head and loaded.arrays == 260 + 2 * (head == 'loaded')
    actual = empty.features(images)
    _assert_close(actual.numpy(), features)
    logits = empty.classify(actual).main
    if head == 'loaded':
        _assert_close(tf.nn.softmax(logits).numpy(), predictions)
    else:
        np.testing.assert_array_equal(logits, tf.zeros_like(logits))


def test_the_notes_name_what_is_ignored(files, empty):
    path = files / 'nested.h5'
    assert load(empty, path).notes == (
        f'These dense layers of another head in {path} are ignored: output.',
        f'There is no classifier in {path}: it is initialized randomly.',
    )
    path = files / 'renamed.h5'
    assert load(empty, path).notes == (
        f'The layers in {path} have other names (convolution2d_1 for Conv1) and are '
        'assigned in their order, as in Keras.',
    )


def test_layers_around_the_network_are_named(tmp_path, empty):
    base = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, weights=None, include_top=False
    )
    model = keras.Sequential(
        [
            keras.layers.Input((32, 32, 3)),
            keras.layers.RandomFlip(name='flip'),
            keras.layers.Normalization(name='scale'),
            base,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.BatchNormalization(name='norm'),
            keras.layers.Dense(3, name='output'),
        ]
    )
    for path, save in {
        tmp_path / 'w.weights.h5': model.save_weights,
        tmp_path / 'w.h5': model.save,
    }.items():
        save(path)
        (note,) = (note for note in load(empty, path).notes if 'not part of a' in note)
        assert note.startswith(f'These layers of {path} are not part of a mobilenet_v2')
        assert set(note.rpartition(': ')[2].strip('.').split(', ')) == {'scale', 'norm'}


@pytest.mark.parametrize(
    'options, end',
    [
        ({'classes': 2}, 'random one of 2.'),
        ({'dense': (5,)}, 'random one: the head of the model has another form.'),
        ({'pooling': 'max'}, 'random one: the head of the model has another form.'),
    ],
)
def test_another_head_keeps_its_values(files, images, features, options, end):
    model = _network(**options)
    before = [variable.numpy() for variable in model.head.variables]
    path = files / 'flat.h5'
    loaded = load(model, path)
    assert loaded.head == 'fresh' and loaded.notes == (
        f'The classifier of 7 classes in {path} is replaced by a {end}',
    )
    for variable, old in zip(model.head.variables, before):
        np.testing.assert_array_equal(variable, old)
    if 'pooling' not in options:
        _assert_close(model.features(images).numpy(), features)


def test_genuine_weights(data_folder):
    path = data_folder / 'mobilenet_v2_0.35_imagenet_no_top.weights.h5'
    original = keras.applications.MobileNetV2(
        input_shape=(96, 96, 3),
        alpha=0.35,
        weights=None,
        include_top=False,
        pooling='avg',
    )
    original.load_weights(path)
    model = _network(image_size=96)
    assert load(model, path).head == 'fresh'
    rng = np.random.default_rng(1)
    coarse = np.kron(rng.uniform(0, 255, (32, 32, 3)), np.ones((3, 3, 1)))
    rows, columns = np.mgrid[:96, :96]
    smooth = np.stack([2 * rows, 2 * columns, rows + columns], -1)
    images = np.stack([coarse, smooth]).astype(np.float32)
    _assert_close(model.features(images).numpy(), original(images / 127.5 - 1).numpy())


def _small_xception() -> Network:
    """Blocks of all kinds that Xception has."""
    separable = SeparableConv2D(8, 9, 3)
    stages = {
        'block1_conv1': ConvBlock(3, 5, 3, stride=2, padding='VALID', batch_norm=True),
        'block2': SeparableResidual(5, (6, 7), halve=True),
        'block3': SeparableResidual(7, (6, 7, 7), halve=False),
        'block4': SeparableResidual(7, (7, 8), halve=True),
        'block14_sepconv1': ConvNormActivation(separable, 9, batch_norm=True),
    }
    return Network(
        stages,
        9,
        4,
        classes=CLASSES,
        image_size=32,
        min_image_size=8,
        normalization='symmetric',
        name='xception',
    )


def _small_xception_of_keras() -> keras.Model:
    """The same, with the names that Keras has; it leaves shortcuts unnamed."""

    def separable(x, channels: int, name: str):
        x = layers.SeparableConv2D(
            channels, 3, padding='same', use_bias=False, name=name
        )(x)
        return layers.BatchNormalization(name=f'{name}_bn')(x)

    def residual(x, widths: tuple[int, ...], name: str, halve: bool):
        y = x
        if halve:
            x = layers.Conv2D(widths[-1], 1, 2, padding='same', use_bias=False)(x)
            x = layers.BatchNormalization()(x)
        for number, width in enumerate(widths, start=1):
            y = separable(layers.ReLU()(y), width, f'{name}_sepconv{number}')
        if halve:
            y = layers.MaxPooling2D(3, 2, padding='same')(y)
        return layers.Add()([y, x])

    inputs = keras.Input([32, 32, 3])
    x = layers.Conv2D(5, 3, 2, use_bias=False, name='block1_conv1')(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name='block1_conv1_bn')(x))
    x = residual(x, (6, 7), 'block2', halve=True)
    x = residual(x, (6, 7, 7), 'block3', halve=False)
    x = residual(x, (7, 8), 'block4', halve=True)
    x = layers.ReLU()(separable(x, 9, 'block14_sepconv1'))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES, name='predictions')(x))


def test_separable_convolutions_and_unnamed_shortcuts(tmp_path, images):
    layers.Conv2D(1, 1)  # So that the unnamed layers count from elsewhere.
    original = _small_xception_of_keras()
    _randomize(original)
    expected = original(images / 127.5 - 1).numpy()
    original.save_weights(tmp_path / 'x.weights.h5')
    original.save(tmp_path / 'x.h5')
    _rename(shutil.copy(tmp_path / 'x.h5', tmp_path / 'renamed.h5'))
    for name in ('x.weights.h5', 'x.h5', 'renamed.h5'):
        network = _small_xception()
        loaded = load(network, tmp_path / name)
        assert (loaded.arrays, loaded.head) == (len(original.weights), 'loaded')
        _assert_close(network(images).main.numpy(), expected)


@pytest.mark.slow
def test_xception(tmp_path, images):
    keras.layers.Conv2D(1, 1)  # So that the unnamed layers count from elsewhere.
    original = keras.applications.Xception(
        input_shape=(71, 71, 3), weights=None, include_top=False, pooling='avg'
    )
    _randomize(original)
    original.save_weights(tmp_path / 'x.weights.h5')
    original.save(tmp_path / 'x.h5')
    _rename(shutil.copy(tmp_path / 'x.h5', tmp_path / 'renamed.h5'))
    large = np.pad(images[:2], [(0, 0), (39, 0), (0, 39), (0, 0)])
    expected = original(large / 127.5 - 1).numpy()
    for name in ('x.weights.h5', 'x.h5', 'renamed.h5'):
        model = _network('xception', 71)
        assert load(model, tmp_path / name).arrays == 234
        _assert_close(model.features(large).numpy(), expected)


CONV = 'layers/conv2d/vars/0'  # Conv1, [3, 3, 3, 16].
NORM = 'layers/batch_normalization/vars/1'  # The offset of bn_Conv1, [16].
EXPAND = 'layers/conv2d_2/vars/0'  # block_1_expand, [1, 1, 8, 48].


def _put(path, value):

    def change(file):
        del file[path]
        file[path] = value

    return change


@pytest.mark.parametrize(
    'change, messages',
    [
        (
            lambda f: f.__delitem__(NORM),
            ['vars has the arrays 0, 2, 3; one is missing'],
        ),
        (
            lambda f: f.__delitem__('layers/batch_normalization/vars/3'),
            ['bn_Conv1/moving_variance is missing'],
        ),
        (lambda f: f.__delitem__('layers/conv2d'), ['Conv1/kernel is missing']),
        (
            lambda f: f['layers/conv2d/vars'].attrs.__setitem__('name', 'other'),
            ['Conv1/kernel is missing', 'other/0 is unknown'],
        ),
        (
            _put(CONV, np.zeros((16, 3, 3, 3), np.float32)),
            [
                'Conv1/kernel has shape (16, 3, 3, 3), the model has (3, 3, '
                '3, 16): transpose'
            ],
        ),
        (
            _put(EXPAND, np.zeros((1, 1, 8, 40), np.float32)),
            [
                'block_1_expand/kernel has shape (1, 1, 8, 40), the model '
                'has (1, 1, 8, 48)'
            ],
        ),
        (_put(NORM, np.zeros(16)), ['bn_Conv1/beta is float64, not float32']),
        (_put(NORM, np.zeros(16, np.int32)), ['bn_Conv1/beta is int32, not float32']),
        (_put(NORM, np.full(16, np.nan, np.float32)), ['beta has values that are not']),
        (_put(NORM, np.full(16, np.inf, np.float16)), ['beta has values that are not']),
        (
            lambda f: f.__setitem__('layers/conv2d/vars/1', np.zeros(16, np.float32)),
            ['Conv1/1 is unknown'],
        ),
        (
            lambda f: f.__setitem__(
                'layers/more/vars/0', np.zeros((1, 1, 2, 2), np.float32)
            ),
            ['more/0 is unknown'],
        ),
    ],
)
def test_one_wrong_array_keeps_all_out(
    files, fresh, tmp_path, change, messages, assert_refused
):
    path = tmp_path / 'changed.weights.h5'
    shutil.copy(files / 'no_top.weights.h5', path)
    with h5py.File(path, 'r+') as file:
        change(file)
    assert_refused(fresh, path, *messages)


def test_half_precision_is_converted_exactly(files, tmp_path, empty):
    path = shutil.copy(files / 'no_top.weights.h5', tmp_path)
    value = np.linspace(-1, 1, 16).astype(np.float16)
    with h5py.File(path, 'r+') as file:
        _put(NORM, value)(file)
    load(empty, path)
    np.testing.assert_array_equal(empty.stages['conv1'].norm.offset, value)


@pytest.mark.parametrize('name', ['flat.h5', 'flat.weights.h5'])
def test_another_width_is_named(files, name, assert_refused):
    assert_refused(
        _network(alpha=0.5),
        files / name,
        'but they seem to be of alpha=0.35; choose that alpha:\n',
        'block_1_project/kernel has shape (1, 1, 48, 8), the model has '
        '(1, 1, 48, 16)\n',
        '\n  and ',
    )


@pytest.mark.parametrize(
    'file, name, normalization',
    [
        ('flat.h5', 'small_cnn', 'symmetric'),
        ('nested.h5', 'cifar_cnn', 'caffe'),
        ('flat.weights.h5', 'cifar_cnn', 'symmetric'),
        ('nested.weights.h5', 'mobilenet_v2', 'unit'),
    ],
)
def test_another_model_is_named(files, name, normalization, file, assert_refused):
    model = _network(name, normalization=normalization)
    assert_refused(
        model,
        files / file,
        "Expected the model 'mobilenet_v2' with "
        "normalization 'symmetric', which the weights in",
        f'received {name!r} with {normalization!r}. Choose that model',
    )


@pytest.mark.parametrize(
    'name, message',
    [
        (
            'mobilenet_v2',
            'they seem to be of another model:\n  Conv1/kernel is missing\n',
        ),
        (
            'small_cnn',
            'Expected an .npz of its variables for the model '
            "'small_cnn', received the Keras file",
        ),
    ],
)
def test_an_unknown_model(tmp_path, name, message, assert_refused):
    original = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    path = tmp_path / 'own.h5'
    original.save(path)
    assert_refused(_network(name), path, message)
