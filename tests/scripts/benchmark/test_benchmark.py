"""What the benchmark counts, compares and writes, but not how fast anything is."""

import functools
import json
import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import short_models
import tensorflow as tf
from commands import run_here
from PIL import Image

from scripts.benchmark import end_to_end, keras_inception, modes, report, workloads
from scripts.benchmark.settings import MODES, Settings, unused
from scripts.benchmark.timing import (
    Workload,
    measure,
    ratios,
    row,
    spread,
    warm_up,
)
from scripts.common.output_folder import OutputError
from trainers.settings import recipes
from trainers.settings.config import ConfigError
from vision import data, models
from vision.data import DATASETS, DatasetError, FileSplit, RangeSplit, Source
from vision.layers import Conv2D, ConvBlock, LocalResponseNorm
from vision.models import MODELS, Network, inception_v1
from vision.models.profile import count_graph_macs
from vision.registry import Entry

ROOT = Path(__file__).resolve().parents[3]


def tiny(classes, image_size=32, normalization='unit', dtype=tf.float32, **options):
    """Two convolutions with a local response norm between them, and a classifier."""
    stages = {
        'first': Conv2D(3, 4, 3, stride=2, dtype=dtype),
        'norm': LocalResponseNorm(),
        'second': ConvBlock(4, 8, 5, dtype=dtype),
    }
    return Network(
        stages,
        8,
        image_size // 2,
        classes=classes,
        image_size=image_size,
        min_image_size=2,
        normalization=normalization,
        dtype=dtype,
        **options,
    )


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A network and a matrix that take no time."""
    monkeypatch.setitem(MODELS, 'tiny', Entry(f'{__name__}:tiny', 'Tiny.'))
    monkeypatch.setattr(workloads, 'MATRIX_SIDE', 64)


@pytest.fixture
def files(tmp_path, monkeypatch) -> None:
    """A dataset of 12 training images in files, one of them broken."""
    splits = {}
    for name, count in zip(data.SPLITS, [12, 1, 1], strict=True):
        paths = [str(tmp_path / f'{name}{index}.png') for index in range(count)]
        for path in paths:
            tf.io.write_file(path, tf.io.encode_png(tf.zeros([24, 24, 3], tf.uint8)))
        splits[name] = FileSplit(np.zeros(count, np.int32), paths, paths=paths)
    Path(splits['train'].paths[3]).write_bytes(b'not an image')
    source = Source('files', ('a', 'b'), splits, 24, fixed_size=True)
    monkeypatch.setitem(DATASETS, 'files', Entry(f'{__name__}:load_files', 'Files.'))
    monkeypatch.setattr(
        sys.modules[__name__], 'load_files', lambda *arguments: source, raising=False
    )


def measured(
    mode: str, tmp_path: Path, steps: int = 2, repeats: int = 2, **overrides
) -> dict:
    """What a mode writes as JSON, checked against the documented schema."""
    settings = Settings(
        mode=mode, steps=steps, repeats=repeats, warmup_steps=1, classes=10
    )
    config = recipes.configure(
        'default', {'batch_size': 4, 'model': 'tiny', **overrides}
    )
    result = modes.FUNCTIONS[mode](config, settings)
    report.write(
        tmp_path / 'figures.json',
        environment(load_average=(1.0, 2.0, 3.0)),
        mode,
        result,
    )
    content = json.loads((tmp_path / 'figures.json').read_text())
    check_schema(content, mode)
    for name in [*(entry['name'] for entry in content['rows']), *content['ratios']]:
        assert name in report.results(result)
    return content


def check_schema(content: dict, mode: str) -> None:
    assert list(content) == ['environment', 'mode', 'settings', 'rows', 'ratios']
    assert content['mode'] == mode
    assert content['environment']['load_average']
    assert list(content['settings']) == list(MODES[mode])
    for entry in content['rows']:
        assert list(entry) == [
            'name',
            'images_per_second',
            'gflops',
            'gflop_per_image',
            'share_of_matmul',
        ]
        rate = entry['images_per_second']
        assert (rate is None) == entry['name'].startswith('matrix')
        if rate:
            assert 0 < rate['low'] <= rate['median'] <= rate['high'] < math.inf
        for name in ('gflops', 'gflop_per_image', 'share_of_matmul'):
            assert entry[name] is None or 0 < entry[name] < math.inf
        assert (entry['share_of_matmul'] is None) == (mode != 'step')
    assert all(0 < value < math.inf for value in content['ratios'].values())


def medians(content: dict) -> dict[str, float]:
    return {
        entry['name']: entry['images_per_second']['median']
        for entry in content['rows']
        if entry['images_per_second']
    }


def test_step(tmp_path):
    content = measured('step', tmp_path, precision='bfloat16')
    product, steps = content['rows']
    assert product['name'] == 'matrix product 64^3, bfloat16'
    assert steps['name'] == 'tiny, bfloat16'
    assert product['share_of_matmul'] == 1
    assert steps['share_of_matmul'] == pytest.approx(
        steps['gflops'] / product['gflops']
    )
    assert steps['gflops'] == pytest.approx(
        steps['gflop_per_image'] * steps['images_per_second']['median']
    )
    assert content['settings']['image_size'] == 32
    assert content['settings']['classes'] == 10


def test_input_from_memory(tmp_path):
    content = measured('input', tmp_path, augment=('flip', 'pad_crop:2'))
    names = ['from memory', 'from memory, flip pad_crop:2']
    rates = medians(content)
    assert list(rates) == names
    quotient = rates[names[1]] / rates[names[0]]
    assert content['ratios'] == {f'{names[1]} / {names[0]}': pytest.approx(quotient)}
    assert 'classes' not in content['settings']


@pytest.mark.slow
def test_input_from_files_survives_a_broken_one(tmp_path, files):
    content = measured('input', tmp_path, dataset='files')
    bare = 'reading and decoding only'
    assert list(medians(content)) == ['from memory', 'from files', bare]
    assert list(content['ratios']) == [f'from files / {bare}']
    content = measured('input', tmp_path, dataset='files', cache='off')
    assert list(medians(content)) == ['from files', bare]


def test_bare_decoding_is_left_out_of_larger_files(caplog):
    parts = RangeSplit(
        np.zeros(2, np.int32),
        ['a', 'b'],
        paths=['all.bin', 'all.bin'],
        ranges=np.array([[0, 5], [5, 5]]),
    )
    places = {modes.FILES: parts}
    assert not modes._bare_decoding(places, Settings(mode='input'))
    assert caplog.messages == [
        'Left out: reading and decoding only, since the images are parts of larger '
        'files.'
    ]


@pytest.mark.parametrize(
    ('extension', 'side', 'shape'),
    [
        ('.jpg', 24, (2, 24, 24, 3)),
        ('.png', None, (2,)),
        ('.bmp', 24, (2,)),
    ],
)
def test_what_bare_decoding_decodes(tmp_path, extension, side, shape):
    path = tmp_path / f'image{extension}'
    Image.new('RGB', (24, 24)).save(path)
    paths = [str(path)] * 2
    decoded = workloads._decoding(paths, side)(tf.constant(paths))
    assert decoded.shape == shape
    if len(shape) == 1:
        assert list(decoded) == [24 * 24 * 3] * 2


def test_bare_decoding_takes_many_files_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(workloads, 'FILES_AT_ONCE', 3)
    path = str(tmp_path / 'image.png')
    tf.io.write_file(path, tf.io.encode_png(tf.zeros([8, 8, 3], tf.uint8)))
    for count, images in [(1, 1), (9, 2), (100, 3)]:
        split = FileSplit(
            np.zeros(count, np.int32), [path] * count, paths=[path] * count
        )
        bare = workloads.bare_decoding('bare', split, warmup_steps=1)
        assert bare.images == images
        assert bare.turn(40) > 0


@pytest.mark.slow
def test_input_peers(tmp_path, files, capfd):
    # A broken file ends no run: decoding to memory has excluded it.
    content = measured(
        'input_peers',
        tmp_path,
        repeats=1,
        dataset='files',
        augment=('flip', 'rotate:20'),
        image_size=16,
    )
    rates = medians(content)
    assert list(rates) == [
        'ImageDataGenerator',
        'image_dataset_from_directory',
        'reading and decoding only',
        'tapestry, from files',
        'tapestry, from memory',
        'tapestry, from memory, without augmentation',
    ]
    assert list(content['ratios']) == [
        'tapestry, from files / ImageDataGenerator',
        'tapestry, from files / image_dataset_from_directory',
        'tapestry, from memory / ImageDataGenerator',
        'tapestry, from memory / image_dataset_from_directory',
        'tapestry, from files / reading and decoding only',
    ]
    for name, value in content['ratios'].items():
        first, second = name.split(' / ')
        assert value == pytest.approx(rates[first] / rates[second])
    assert content['settings']['batch_size'] == 4
    assert 'classes' not in content['settings']
    assert 'Found' not in ''.join(capfd.readouterr())


def test_input_peers_without_memory_and_augmentation(tmp_path, files):
    paths = DATASETS.load('files')('', data.HeldOut()).splits['train'].paths
    assert paths is not None
    Path(paths[3]).write_bytes(Path(paths[0]).read_bytes())
    content = measured('input_peers', tmp_path, repeats=1, dataset='files', cache='off')
    assert list(medians(content))[2:] == [
        'reading and decoding only',
        'tapestry, from files',
    ]
    assert len(content['ratios']) == 3


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        ({'augment': ('mixup',)}, 'some of flip, .* received mixup'),
        ({'dataset': 'shapes'}, 'files of their own .* in memory'),
    ],
)
def test_input_peers_refuses(overrides, message, tmp_path, files):
    with pytest.raises(ConfigError, match=message):
        measured('input_peers', tmp_path, **{'dataset': 'files', **overrides})


@pytest.mark.slow
def test_end_to_end(tmp_path):
    content = measured('end_to_end', tmp_path, steps=4, precision='float32')
    rates = medians(content)
    assert list(rates) == ['training loop', 'steps on synthetic images']
    first, second = rates.values()
    assert list(content['ratios'].values()) == [pytest.approx(first / second)]
    assert content['settings']['steps'] == 4


def test_end_to_end_needs_two_steps(tmp_path):
    with pytest.raises(DatasetError, match='at least two training steps .* received 1'):
        measured('end_to_end', tmp_path, steps=1)
    assert not (tmp_path / 'figures.json').exists()


@pytest.mark.parametrize('mode', ['input', 'end_to_end', 'input_peers'])
def test_a_batch_must_be_filled_before_anything_is_decoded_or_built(
    mode, tmp_path, files, monkeypatch
):
    for name in ('decoded', 'matrix_product', 'synthetic_source', 'measure'):
        monkeypatch.delattr(modes, name)
    with pytest.raises(DatasetError, match='1..12, the images in the split, got 13'):
        measured(mode, tmp_path, dataset='files', batch_size=13)


@pytest.mark.slow
def test_peers(tmp_path, monkeypatch):
    for module in (
        inception_v1,
        keras_inception,
    ):  # one block and one auxiliary head do
        monkeypatch.setattr(module, 'BODY', inception_v1.BODY[:1])
        monkeypatch.setattr(module, 'AUXILIARY_AFTER', ('inception_3a',))
    content = measured(
        'peers',
        tmp_path,
        steps=1,
        model='inception_v1',
        image_size=32,
        precision='bfloat16',
    )
    keras, steps, mixed, fast = medians(content)
    assert (keras, steps) == ('Keras, float32', 'tapestry, float32')
    assert (mixed, fast) == ('Keras, mixed_bfloat16 without LRN', 'tapestry, bfloat16')
    assert list(content['ratios']) == [
        f'{steps} / {keras}',
        f'{fast} / {keras}',
        f'{fast} / {mixed}',
    ]
    assert len({entry['gflop_per_image'] for entry in content['rows']}) == 1


def test_only_some_models_are_built_in_keras():
    for name in ('inception_v1', 'inception_v1_compact'):
        keras_inception.check(name)
    with pytest.raises(ConfigError, match="_compact .* received 'googlenet'"):
        keras_inception.check('googlenet')


@pytest.mark.parametrize('name', ['inception_v1', 'inception_v1_compact'])
@pytest.mark.parametrize('short', [True, pytest.param(False, marks=pytest.mark.slow)])
def test_keras_computes_the_same(name, short, monkeypatch):
    if short:
        for module in (inception_v1, keras_inception):
            monkeypatch.setattr(module, 'BODY', short_models.BODY)
    model = models.create(
        name,
        classes=7,
        image_size=32,
        normalization='unit',
        dropout=0.0,
        aux_dropout=0.0,
    )
    baseline = keras_inception.network(name, 7, 32)
    for layer in baseline.layers:
        if layer.weights:
            layer.set_weights(weights_of(model, layer.name))
    images = np.random.default_rng(1).integers(256, size=[2, 32, 32, 3], dtype=np.uint8)
    outputs = model(images, training=True)
    expected = [tf.nn.softmax(logits) for logits in (outputs.main, *outputs.aux)]
    for output, wanted in zip(
        baseline(images / np.float32(255)), expected, strict=True
    ):
        np.testing.assert_allclose(output, wanted, atol=1e-5)


def weights_of(model: tf.Module, name: str) -> list[np.ndarray]:
    """Kernel and bias of the model's layer that corresponds to one in Keras."""
    block, _, part = name.rpartition('_head_')
    if block:
        layer = getattr(model.heads[block], part)
    elif name.startswith('inception_'):
        block, part = name[:12], name[13:]
        layer = getattr(model.stages[block], part)
    else:
        layer = model.stages.get(name, model.head.classifier)
    layer = getattr(layer, 'conv', layer)
    return [layer.kernel.numpy(), layer.bias.numpy()]


def test_flops_of_a_training_step():
    config = recipes.configure(
        'default',
        {'model': 'tiny', 'batch_size': 6, 'image_size': 32, 'precision': 'float32'},
    )
    source = workloads.synthetic_source(config, classes=10)
    steps = modes._steps(config, source, 'steps')
    # The first convolution has no gradient by the images; the others have both.
    first = 16 * 16 * 4 * (3 * 3 * 3) * 2
    second = 16 * 16 * 8 * (5 * 5 * 4) * 3
    classifier = 8 * 10 * 3
    assert steps.gflop == pytest.approx(2 * 6 * (first + second + classifier) / 1e9)
    assert steps.images == 6


@pytest.mark.parametrize(
    ('function', 'macs'),
    [
        (lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 4, 5]), 2, 'VALID'), 3 * 3 * 5 * 36),
        (
            lambda x: tf.nn.depthwise_conv2d(
                x, tf.ones([3, 3, 4, 2]), [1, 1, 1, 1], 'SAME'
            ),
            8 * 8 * 8 * 9,
        ),
        (lambda x: tf.matmul(x[0, 0], tf.ones([8, 6]), transpose_a=True), 4 * 6 * 8),
        (lambda x: tf.matmul(x[0, 0], tf.ones([6, 4]), transpose_b=True), 8 * 6 * 4),
        (lambda x: tf.nn.relu(x) + 1, 0),
    ],
)
def test_macs(function, macs):
    images = tf.TensorSpec([1, 8, 8, 4])
    assert (
        count_graph_macs(tf.function(function).get_concrete_function(images).graph)
        == macs
    )


def test_flops_of_depthwise_gradients():

    @tf.function
    def gradients(x, kernel):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], 'SAME')
        return y, tape.gradient(y, [x, kernel])

    traced = gradients.get_concrete_function(
        tf.TensorSpec([1, 8, 8, 4]), tf.TensorSpec([3, 3, 4, 2])
    )
    assert count_graph_macs(traced.graph) == 3 * (8 * 8 * 8 * 9)


def test_spread():
    assert spread([5, 1, 4, 2, 3]) == {'median': 3, 'low': 2, 'high': 4}
    assert spread([1, 2]) == {'median': 1.5, 'low': 1.25, 'high': 1.75}
    assert spread([7]) == {'median': 7, 'low': 7, 'high': 7}


def speed(name, images=None, gflops=None, gflop_per_image=None) -> dict:
    """A row of a table, of the median, the low and the high of images a second."""
    return {
        'name': name,
        'images_per_second': images and dict(zip(('median', 'low', 'high'), images)),
        'gflops': gflops,
        'gflop_per_image': gflop_per_image,
        'share_of_matmul': None,
    }


def test_row():
    full = row(Workload('a', float, images=8, gflop=16.0), [2.0, 1.0, 4.0])
    assert full == speed('a', (4.0, 3.0, 6.0), 8.0, 2.0)
    product = row(Workload('b', float, gflop=16.0), [2.0, 1.0, 4.0])
    assert product == speed('b', gflops=8.0)
    assert row(Workload('c', float, images=8), [2.0]) == speed('c', (4, 4, 4))


def test_ratios():
    rows = [speed('a', (4.0, 4.0, 4.0)), speed('b', (16.0, 1.0, 20.0)), speed('c')]
    assert ratios(rows, [('a', 'b')]) == {'a / b': 0.25}


class Recorder:
    """Workloads that write down their turns; a step takes so many seconds."""

    def __init__(self, **seconds: float):
        self.turns: list[tuple[str, int]] = []
        self.workloads = [
            Workload(name, self._turn(name, taken), images=10)
            for name, taken in seconds.items()
        ]

    def _turn(self, name: str, seconds: float):

        def turn(steps: int) -> float:
            self.turns.append((name, steps))
            return steps * seconds

        return turn


def test_workloads_take_turns():
    recorder = Recorder(a=0.5, b=0.25)
    rows = measure(recorder.workloads, Settings(repeats=3, warmup_steps=2), steps=0)
    assert recorder.turns == [
        ('a', 1),
        ('a', 2),
        ('b', 1),
        ('b', 2),  # the warm-up
        ('a', 2),
        ('b', 4),
        ('b', 4),
        ('a', 2),
        ('a', 2),
        ('b', 4),
    ]
    assert rows == [speed('a', (20, 20, 20)), speed('b', (40, 40, 40))]
    measure(recorder.workloads, Settings(repeats=1, warmup_steps=2), steps=7)
    assert recorder.turns[-2:] == [('a', 7), ('b', 7)]


@pytest.mark.parametrize(('seconds', 'steps'), [(0.1, 10), (3.0, 1), (0.0, 2_000_000)])
def test_steps_of_a_turn_follow_from_the_warm_up(seconds, steps):
    recorder = Recorder(a=seconds)
    assert warm_up(recorder.workloads[0], Settings(warmup_steps=2)) == steps


def test_stopwatch(monkeypatch):
    clock = types.SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(end_to_end, 'time', clock)
    recorder = Recorder(baseline=0.5)
    stopwatch = end_to_end.Stopwatch(2, 6, recorder.workloads[0])
    # The first call of an epoch only starts the watch: the 100 s before do not count.
    for step, now in [(2, 100), (4, 102), (6, 104), (7, 204), (12, 209)]:
        clock.now = now
        stopwatch.update(step)
    assert stopwatch.seconds == [(1.0, 0.5), (1.0, 0.5)]
    assert recorder.turns == [('baseline', 4), ('baseline', 5)]


def test_modes_have_settings_and_say_what_they_ignore():
    assert list(modes.FUNCTIONS) == list(MODES)
    given = ['mode', 'json', 'classes', 'augment', 'model']
    assert unused('step', given) == ['augment']
    assert unused('peers', given) == ['augment']
    assert unused('input', given) == ['classes', 'model']
    assert unused('end_to_end', given) == ['classes']
    assert unused('input_peers', given) == ['classes', 'model']


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (
            {'mode': 'inputs'},
            "--mode to be one of step, .*'inputs'. Did you mean input",
        ),
        ({'repeats': 0}, '--repeats to be at least 1, received 0'),
        ({'classes': 1}, '--classes to be .* received 1'),
        ({'json': '/'}, '--json to be a file .* / is a folder'),
        ({'json': '/nowhere/a.json'}, '--json to be a file .* needs a folder /nowhere'),
    ],
)
def test_settings_are_checked(values, message, tmp_path):
    Settings(mode='input', repeats=1, classes=2, json=str(tmp_path / 'a.json'))
    with pytest.raises(ConfigError, match=message):
        Settings(**values)


def environment(**changes) -> dict:
    cpu = {'model': 'A CPU', 'cores': 8, 'usable_cores': 8}
    return {
        'started': '2026-01-01',
        'tensorflow': '2',
        'keras': '3',
        'numpy': '2',
        'python': '3',
        'cpu': cpu,
        'gpus': [],
        'load_average': (1.0, 1.0, 1.0),
        **changes,
    }


def test_header():
    idle = report.header(environment(), 'step', [])
    assert 'Device    CPU\nCPU       A CPU, 8 cores\nVersions  TensorFlow 2' in idle
    assert 'Load      1.00 1.00 1.00' in idle
    assert 'Note' not in idle and 'Unused' not in idle
    busy = report.header(environment(load_average=(2.1, 1.0, 1.0)), 'step', ['augment'])
    assert 'Note      Other processes use this machine' in busy
    assert 'Unused    --augment: not used in this mode.' in busy
    gpus = report.header(
        environment(gpus=[{'name': 'A GPU'}], load_average=None), 'step', []
    )
    assert 'Device    A GPU' in gpus and 'Load      unknown' in gpus


def test_results_are_aligned():
    shown = report.results(
        {
            'settings': {'augment': ['flip', 'zoom'], 'xla': False, 'steps': 2},
            'rows': [
                speed('a', gflops=1234.0),
                speed('b', (23.44, 9.126, 100.4), 50.0),
            ],
            'ratios': {'b / c': 1.5},
        }
    )
    assert shown.split('\n') == [
        'Settings  augment flip,zoom, steps 2',
        '',
        '   images/s       quartiles  GFLOP/s',
        'a                              1,234',
        'b      23.4  9.126 .. 100.4       50',
        '',
        'b / c  1.500',
    ]


def test_writing_is_whole_or_not_at_all(tmp_path):
    result = {'settings': {}, 'rows': [speed('a', (2.0, 1.0, 3.0))], 'ratios': {}}
    path = tmp_path / 'a.json'
    report.write(path, environment(), 'step', result)
    before = path.read_bytes()
    broken = result | {'rows': [speed('a', (math.inf, 1.0, 3.0))]}
    with pytest.raises(ValueError):
        report.write(path, environment(), 'step', broken)
    with pytest.raises(OutputError, match='Expected --json to be writable'):
        report.write(tmp_path / 'nowhere' / 'a.json', environment(), 'step', result)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ['a.json']


run = functools.partial(run_here, 'benchmark')


@pytest.mark.parametrize('name', ['', 'figures.json'])
def test_command_writes_json_if_asked_for(tmp_path, monkeypatch, name):
    def step(config, settings):
        return {
            'settings': {'batch_size': config.batch_size, 'repeats': settings.repeats},
            'rows': [speed('a', (2.0, 1.0, 3.0))],
            'ratios': {'a / b': 1.5},
        }

    monkeypatch.setitem(modes.FUNCTIONS, 'step', step)
    path = tmp_path / name if name else ''
    done = run('--mode=step', '--batch_size=8', '--repeats=2', f'--json={path}')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('Device ')
    assert 'Settings  batch_size 8, repeats 2\n' in done.stdout
    assert done.stdout.endswith('\n\na / b  1.500\n')
    assert [path.name for path in tmp_path.iterdir()] == ([name] if name else [])
    if name:
        content = json.loads(path.read_text())
        assert content['environment']['load_average']
        assert content['mode'] == 'step'
        assert content['settings'] == {'batch_size': 8, 'repeats': 2}
        assert content['ratios'] == {'a / b': 1.5}


@pytest.mark.slow
def test_command(tmp_path):
    path = tmp_path / 'figures.json'
    done = run(
        '--mode=input',
        '--batch_size=8',
        '--repeats=2',
        '--steps=2',
        '--precision=float32',
        f'--json={path}',
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert 'Device ' in done.stdout and 'from memory' in done.stdout
    assert 'Unused    --precision' in done.stdout
    check_schema(json.loads(path.read_text()), 'input')


@pytest.mark.parametrize(
    ('arguments', 'code', 'message'),
    [
        (['--repeat=3'], 2, 'There is no flag --repeat. Did you mean --repeats?'),
        (['input'], 2, "Did not expect 'input'."),
        (['--mode=input', '--dataset=tiny_imagenet'], 1, 'needs a data directory'),
    ],
)
def test_command_refuses(arguments, code, message, tmp_path):
    done = run(*arguments, f'--json={tmp_path / "a.json"}')
    assert done.returncode == code
    assert message in done.stderr
    hint = ['See --data_dir.'] if code == 1 else []
    assert done.stderr.splitlines()[1:] == hint
    assert not list(tmp_path.iterdir())


def test_command_helps():
    done = run('--help')
    assert done.returncode == 0
    for name in ('--mode', '--json', '--batch_size', '--[no]xla'):
        assert f'\n  {name} ' in done.stdout
    assert '--epochs' not in done.stdout
