"""The command: help, usage errors, and whole explanations."""

import copy
import csv
import dataclasses
import functools
import gc
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from absl import flags as absl_flags
from commands import run_command, run_here
from PIL import Image

import scripts.explain.output
from scripts.common import flags
from scripts.common.images import tile
from scripts.explain import attribution, explain, images
from scripts.explain.__main__ import FIELDS, check, work
from scripts.explain.attribution import Attribution, Explanation
from scripts.explain.output import Output
from scripts.explain.overlays import overlay, shown
from scripts.explain.settings import Settings
from trainers.inference.classifier import Classifier, from_run
from trainers.settings.config import ConfigError
from vision.data import DatasetError
from vision.explain import BASELINES, METHODS
from vision.models import create
from vision.models.pretrained import PretrainedError
from vision.registry import Entry

call = functools.partial(run_here, 'explain')


@pytest.fixture(scope='module')
def classifier(trained_run) -> Classifier:
    return from_run(trained_run)


def rows(folder: Path) -> list[dict[str, str]]:
    path = folder / 'explanations.csv'
    with path.open(newline='', encoding='utf-8', errors='surrogateescape') as file:
        return list(csv.DictReader(file))


def test_help_is_short_and_needs_no_tensorflow():
    done = run_command('explain', '--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert 'absl' in done.stderr and 'tensorflow' not in done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 88
    for name in (
        'run_dir',
        'method',
        'endpoint',
        'target',
        'baseline',
        'steps',
        'samples',
        'seed',
        'output',
        'pretrained',
    ):
        assert len(re.findall(rf'^  --{name}\b', done.stdout, re.MULTILINE)) == 1


def test_choices_are_those_of_the_registries():
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    assert fields['method'].metadata['choices'] == (*METHODS, 'all')
    assert tuple(fields['baseline'].metadata['choices']) == tuple(BASELINES)
    assert Settings(method=('all',)).methods == tuple(METHODS)
    assert Settings(method=('guided', 'grad_cam')).methods == ('grad_cam', 'guided')


@pytest.mark.parametrize(
    'values, message',
    [
        (
            {'method': ('gradcam',)},
            "of grad_cam, .*, all; received 'gradcam'. Did you mean grad_cam?",
        ),
        ({'method': ()}, 'Expected --method to name at least one'),
        ({'samples': 0}, 'Expected --samples to be at least 1, received 0'),
        ({'baseline': 'white'}, 'Expected --baseline to be one of black, mean'),
    ],
)
def test_values_that_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**values)


CLASSES = SimpleNamespace(
    ids=('n1', 'n2', 'n3', 'n4'),
    classes=('tabby, tabby cat', 'crane, bird', 'crane, machine', 'Crane'),
)


@pytest.mark.parametrize(
    'word, label',
    [
        ('n2', 1),
        ('tabby, tabby cat', 0),
        ('tabby', 0),
        ('TABBY CAT', 0),
        ('Crane', 3),
        ('machine', 2),
    ],
)
def test_targets(word, label):
    assert explain.find_class(CLASSES, word) == label


@pytest.mark.parametrize(
    'word, message',
    [
        ('tably cat', "of one of 4 classes, .*'tably cat'. Did you mean tabby cat?"),
        ('cat', "received 'cat'"),
    ],
)
def test_unknown_targets(word, message):
    with pytest.raises(ConfigError, match=message):
        explain.find_class(CLASSES, word)


def test_ambiguous_target():
    two = SimpleNamespace(ids=CLASSES.ids[1:3], classes=CLASSES.classes[1:3])
    with pytest.raises(ConfigError, match="received 'crane' of 2 .* an id: n2 or n3"):
        explain.find_class(two, 'crane')


def test_overlay_is_bright_where_the_map_is_positive():
    pixels = np.full([100, 160, 3], 60, np.uint8)
    heat = np.zeros([4, 4], np.float32)
    heat[:, :2] = 1
    drawn = overlay(pixels, heat).mean(2)
    assert drawn.shape == (100, 160)
    assert drawn[:, 35:70].min() > 1.5 * drawn[:, 100:].max()
    np.testing.assert_array_equal(drawn[:, :30], drawn[0, -1])
    np.testing.assert_array_equal(overlay(pixels, 0 * heat), overlay(pixels, -heat))


@pytest.mark.parametrize(
    'size, expected',
    [
        ((32, 32), (224, 224)),
        ((100, 300), (100, 300)),
        ((1200, 3200), (600, 1600)),
    ],
)
def test_size_to_show(size, expected):
    pixels = shown(np.zeros([*size, 3], np.uint8))
    assert pixels.shape == (*expected, 3)
    assert tile(pixels, 224).shape == (224, 224, 3)


def test_endpoints_are_listed(capsys):
    explain.print_endpoints(create('cifar_cnn', classes=10, image_size=32))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ['conv1_1', '32×32×64', '1,856']
    assert 'the default is dropout3.' in lines[-1]


@pytest.mark.slow
def test_endpoints_of_a_model_without_weights():
    done = call('--model=cifar_cnn', '--list_endpoints')
    assert (done.returncode, done.stderr) == (0, '')
    assert 'the default is dropout3.' in done.stdout.splitlines()[-1]


@pytest.mark.parametrize('name, expected', [('', 'dropout3'), ('pool1', 'pool1')])
def test_chosen_endpoint(classifier, name, expected):
    assert explain.choose_endpoint(classifier.network, name) == expected


def test_unknown_endpoint(classifier):
    with pytest.raises(ConfigError, match="of conv1_1, .*pool1, .* received 'pool9'"):
        explain.choose_endpoint(classifier.network, 'pool9')


def test_images_of_the_run_by_every_method(classifier, tmp_path, capsys):
    chosen = images.from_run(classifier, samples=3, seed=0)
    explain.write(
        classifier, chosen, Settings(method=('all',), steps=2), 'pool3', None, tmp_path
    )
    table = rows(tmp_path)
    assert {row['method'] for row in table} == set(METHODS)
    assert len({row['file'] for row in table}) == 3
    for row in table:
        assert row['class'] in (row['label'], row['prediction'])
        assert 0 <= float(row['probability']) <= 1
        with Image.open(tmp_path / row['overlay']) as image:
            assert image.size == (224, 224)
    # A misclassified image is explained by its prediction and by its label.
    explained = {(row['file'], row['class']) for row in table}
    assert explained >= {(row['file'], row['label']) for row in table}
    with Image.open(tmp_path / 'sheet.png') as sheet:
        assert sheet.width > 5 * 224
    printed = capsys.readouterr().out
    for method in METHODS:
        assert re.search(rf'^{method} +\d+ ', printed, re.MULTILINE)
    assert printed.endswith(f'  {tmp_path}/sheet.png\n  {tmp_path}/explanations.csv\n')


def test_a_run_on_few_images_is_explained_on_validation_images(classifier):
    config = dataclasses.replace(classifier.run.config, overfit_batches=1)
    few = copy.copy(classifier)
    few.run = classifier.run._replace(config=config)
    chosen = images.from_run(few, samples=4, seed=0)
    assert len(chosen.split) == 4
    assert all(name.startswith('validation/') for name in chosen.split.names)


def test_images_that_have_moved(tmp_path, classifier):
    for label, name in enumerate(classifier.classes):
        for number in range(20):
            path = tmp_path / name / f'{number}.png'
            path.parent.mkdir(exist_ok=True)
            pixels = np.full([32, 32, 3], 20 * label + number, np.uint8)
            Image.fromarray(pixels).save(path)
    moved = copy.copy(classifier)
    config = dataclasses.replace(
        classifier.run.config, dataset='image_folder', data_dir=str(tmp_path / 'gone')
    )
    moved.run = classifier.run._replace(config=config)
    with pytest.raises(DatasetError, match='gone'):
        images.from_run(moved, samples=2, seed=0)
    assert len(images.from_run(moved, 2, 0, data_dir=str(tmp_path)).split) == 2


@pytest.mark.parametrize('requested', [False, True])
def test_images_are_downloaded_only_when_requested(
    trained_run, classifier, monkeypatch, requested
):
    configs = []

    def load_source(config):
        configs.append(config)
        raise DatasetError('none')

    monkeypatch.setattr(images, 'load_source', load_source)
    monkeypatch.setattr(explain.model_settings, 'load_classifier', lambda: classifier)
    monkeypatch.setattr(flags, 'FLAGS', absl_flags.FlagValues())
    flags.define(FIELDS)
    flags.FLAGS(['explain', f'--run_dir={trained_run}', *['--download'] * requested])
    with pytest.raises(DatasetError):
        work(check([]))
    assert [config.download for config in configs] == [requested]


@pytest.mark.slow
def test_the_flag_of_images_that_have_moved(trained_run, tmp_path):
    done = call(f'--run_dir={trained_run}', f'--data_dir={tmp_path}')
    assert done.returncode == 1
    assert f"got data_dir='{tmp_path}'" in done.stderr


@pytest.mark.parametrize('place', ['weights_dir', 'data_dir'])
def test_published_weights_are_found_where_their_error_says(
    place, tmp_path, monkeypatch
):
    network = ['explain', '--model=mobilenet_v2', '--pretrained=imagenet']
    monkeypatch.setattr(flags, 'FLAGS', absl_flags.FlagValues())
    flags.define(FIELDS)
    flags.FLAGS(network)
    with pytest.raises(ConfigError) as error:
        work(check(['photo.jpg']))
    assert place in error.value.parameters
    flags.FLAGS([*network, f'--{place}={tmp_path}'])
    with pytest.raises(PretrainedError, match=f'in {tmp_path}/.* which is missing'):
        work(check(['photo.jpg']))


def speckled(network, images, classes, endpoint, **options):
    """Single positive pixels among evidence against the class."""
    maps = np.full(images.shape[:3], -1, np.float32)
    maps[:, 5, 7] = 1
    maps[0, :16] = 1
    return tf.constant(maps)


def test_a_map_that_highlights_nothing_has_no_deletion_test(
    classifier, monkeypatch, tmp_path
):
    """Single positive pixels among evidence against the class delete nothing."""
    entry = Entry(f'{__name__}:speckled', 'Speckled.')
    monkeypatch.setitem(METHODS, 'integrated_gradients', entry)
    chosen = images.from_run(classifier, samples=2, seed=0)
    settings = Settings(method=('integrated_gradients',))
    [explanations] = attribution.explain(
        classifier, chosen, settings, 'pool3', target=0
    )
    first, second = (
        explanation.attributions['integrated_gradients'] for explanation in explanations
    )
    assert 0 <= first.highlighted <= 1 and 0 <= first.random <= 1
    assert np.isnan(second.highlighted) and np.isnan(second.random)
    written = Output(tmp_path, classifier)
    for explanation in explanations:
        written.add(explanation, PIXELS)
    assert written.deletion_test()[1].split()[1] == '1'


def explanation(
    position: int, before: float = 0.9, highlighted: float = 0.2, random: float = 0.8
) -> Explanation:
    heat = np.eye(4, dtype=np.float32)
    tested = {'grad_cam': Attribution('pool1', heat, highlighted, random)}
    return Explanation(position, f'{position}.png', None, 0, before, 0, before, tested)


PIXELS = np.full([32, 32, 3], 60, np.uint8)


@pytest.fixture
def output(tmp_path, monkeypatch) -> Callable[[], Output]:
    """Creates outputs into one folder, with two rows on a sheet."""
    monkeypatch.setattr(scripts.explain.output, '_ROWS', 2)
    return lambda: Output(tmp_path, CLASSES)


def sheets(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob('sheet*.png'))


def test_sheets_are_written_when_they_are_full(output, tmp_path):
    first = output()
    for place in range(5):
        first.add(explanation(place), PIXELS)
        assert len(sheets(tmp_path)) == (place + 1) // 2
    first.write_table()
    assert len(rows(tmp_path)) == 5
    written = [path.name for path in first.finish()]
    assert written == ['sheet.png', 'sheet2.png', 'sheet3.png', 'explanations.csv']
    with Image.open(tmp_path / 'sheet.png') as full:
        with Image.open(tmp_path / 'sheet3.png') as half:
            assert full.height > 1.8 * half.height


def test_images_and_maps_are_not_kept(output):
    written, alive = output(), []
    for place in range(3):
        pixels, explained = PIXELS.copy(), explanation(place)
        alive += [
            weakref.ref(pixels),
            weakref.ref(explained.attributions['grad_cam'].map),
        ]
        written.add(explained, pixels)
    del pixels, explained
    gc.collect()
    assert all(reference() is None for reference in alive)


def test_a_smaller_command_leaves_no_sheet_of_a_larger_one(output, tmp_path):
    other = tmp_path / 'sheets.png'
    other.touch()
    for count in (5, 1):
        last = output()
        for place in range(count):
            last.add(explanation(place), PIXELS)
        last.finish()
    assert sheets(tmp_path) == ['sheet.png', 'sheets.png']
    assert len(rows(tmp_path)) == 1
    assert output().finish() == [] and sheets(tmp_path) == ['sheet.png', 'sheets.png']


def test_an_interruption_keeps_the_results_so_far(classifier, tmp_path, monkeypatch):
    chosen = images.from_run(classifier, samples=3, seed=0)

    def stopped(*arguments):
        yield [explanation(0), explanation(1)]
        # A killed process leaves what has been written.
        assert len(rows(tmp_path)) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(attribution, 'explain', stopped)
    with pytest.raises(KeyboardInterrupt):
        explain.write(classifier, chosen, Settings(), 'pool3', None, tmp_path)
    assert len(rows(tmp_path)) == 2 and sheets(tmp_path) == ['sheet.png']


@pytest.mark.parametrize(
    'after, random, row, verdict',
    [
        (0.2, 0.8, '70.0  10.0', False),
        (0.5, 0.5, '40.0  40.0', True),
        (0.95, 0.8, '-5.0  10.0', True),
        (np.nan, np.nan, '–  –', False),
    ],
)
def test_methods_that_fail_the_deletion_test_are_reported(
    output, after, random, row, verdict
):
    written = output()
    written.add(explanation(0, 0.9, after, random), PIXELS)
    head, means, *verdicts = written.deletion_test()
    assert head.split()[-2:] == ['highlighted', 'random']
    assert means.split()[-2:] == row.split()
    assert [line.rpartition(':')[0] for line in verdicts] == verdict * [
        'grad_cam: the maps fail the deletion test'
    ]


def test_named_images_of_which_some_are_bad(trained_run, tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a/same.png', 'b/same.png', 'b/Same.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, [40, 60, 3], np.uint8)).save(
            tmp_path / name
        )
    odd = bytes(tmp_path) + b'/b/odd\xff.png'
    Path(odd.decode(errors='surrogateescape')).write_bytes(
        (tmp_path / 'a/same.png').read_bytes()
    )
    (tmp_path / 'b/bad\n.png').write_bytes(b'no image')
    out = tmp_path / 'out'
    done = call(
        f'--run_dir={trained_run}',
        f'--output={out}',
        '--target=circle',
        f'{tmp_path}/a',
        f'{tmp_path}/b',
        f'{tmp_path}/none.png',
    )
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'bad\\n.png: Not a JPEG' in done.stderr
    assert 'none.png: No such file' in done.stderr
    assert done.stderr.splitlines()[-1] == '2 of 6 images could not be explained.'
    table = rows(out)
    assert len(table) == 4 and {row['class'] for row in table} == {'circle'}
    overlays = {row['overlay'] for row in table}
    assert {
        'same-grad_cam.png',
        'Same-2-grad_cam.png',
        'same-3-grad_cam.png',
    } < overlays
    assert overlays == {path.name for path in out.iterdir()} - {
        'sheet.png',
        'explanations.csv',
    }


def test_named_images_of_which_all_are_bad(trained_run, tmp_path):
    (tmp_path / 'bad.png').write_bytes(b'no image')
    missing, out = tmp_path / 'none.png', tmp_path / 'out'
    command = [f'--run_dir={trained_run}', f'--output={out}']
    done = call(*command, str(missing))
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr.splitlines() == [
        f'{missing}: No such file or directory',
        '1 of 1 image could not be explained.',
    ]
    done = call(*command, str(missing), str(tmp_path / 'bad.png'))
    assert (done.returncode, done.stdout) == (1, '')
    assert 'bad.png: Not a JPEG' in done.stderr
    assert done.stderr.splitlines()[-1] == '2 of 2 images could not be explained.'
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--method=gradcam'], "received 'gradcam'. Did you mean grad_cam?"),
        (['--data_dir=x', 'y.jpg'], 'received both --data_dir and y.jpg. Leave one of'),
    ],
)
def test_usage_errors_are_reported_before_tensorflow_is_imported(arguments, message):
    done = run_command(
        'explain', '--run_dir=none', *arguments, python=('-X', 'importtime')
    )
    assert (done.returncode, done.stdout) == (2, '')
    assert message in done.stderr.splitlines()[-1] and 'tensorflow' not in done.stderr
