"""The command as a person meets it: help, mistakes, and whole explanations."""

import csv
import io
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from scripts.explanation import settings, targets
from scripts.explanation.overlays import overlay, shown, tile
from scripts.explanation.settings import Settings
from trainers.config import Config, ConfigError
from trainers.progress import ConsoleHandler
from trainers.train import train
from vision.explain import BASELINES, METHODS

ROOT = Path(__file__).resolve().parents[2]


def call(
    *arguments: str | bytes, python: tuple[str,
                                           ...] = ()) -> subprocess.CompletedProcess:
    command = [sys.executable, *python, '-m', 'scripts.explain', *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          timeout=300)


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory) -> Path:
    """A run that has learned next to nothing."""
    folder = tmp_path_factory.mktemp('runs') / 'short'
    config = Config(dataset='shapes', model='cifar_cnn',
                    model_options=('filters:4-8', 'block_dropout:0'), dense=('8',),
                    epochs=1, batch_size=8, limit_train_batches=3, limit_eval_batches=2,
                    precision='float32', warmup_epochs=0.0, run_dir=str(folder))
    train(config, ConsoleHandler(io.StringIO()))
    return folder


def rows(folder: Path) -> list[dict[str, str]]:
    path = folder / 'explanations.csv'
    with path.open(newline='', encoding='utf-8', errors='surrogateescape') as file:
        return list(csv.DictReader(file))


def test_help_is_short_and_needs_no_tensorflow():
    done = call('--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert 'absl' in done.stderr and 'tensorflow' not in done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 88
    for name in ('run_dir', 'method', 'endpoint', 'target', 'baseline', 'steps',
                 'samples', 'seed', 'output', 'pretrained'):
        assert len(re.findall(rf'^  --{name}\b', done.stdout, re.MULTILINE)) == 1


def test_settings_name_all_there_is():
    assert settings.METHODS == tuple(METHODS)
    assert settings.BASELINES == tuple(BASELINES)
    assert Settings(method=('all',)).methods == tuple(METHODS)
    assert Settings(method=('guided', 'grad_cam')).methods == ('grad_cam', 'guided')


@pytest.mark.parametrize('values, message', [
    ({
        'method': ('gradcam',)
    }, "of grad_cam, .*, all; received 'gradcam'. Did you mean grad_cam?"),
    ({
        'method': ()
    }, 'Expected --method to name at least one'),
    ({
        'samples': 0
    }, 'Expected --samples to be at least 1, received 0'),
    ({
        'baseline': 'white'
    }, 'Expected --baseline to be one of black, mean'),
])
def test_values_that_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        Settings(**values)


CLASSES = SimpleNamespace(
    ids=('n1', 'n2', 'n3', 'n4'),
    classes=('tabby, tabby cat', 'crane, bird', 'crane, machine', 'Crane'))


@pytest.mark.parametrize('word, label', [
    ('n2', 1),
    ('tabby, tabby cat', 0),
    ('tabby', 0),
    ('TABBY CAT', 0),
    ('Crane', 3),
    ('machine', 2),
])
def test_targets(word, label):
    assert targets.find(CLASSES, word) == label


@pytest.mark.parametrize('word, message', [
    ('tably cat', "of one of 4 classes, .*'tably cat'. Did you mean tabby cat?"),
    ('cat', "received 'cat'"),
])
def test_targets_that_are_none(word, message):
    with pytest.raises(ConfigError, match=message):
        targets.find(CLASSES, word)


def test_a_target_that_means_several():
    two = SimpleNamespace(ids=CLASSES.ids[1:3], classes=CLASSES.classes[1:3])
    with pytest.raises(ConfigError, match="received 'crane' of 2. .* id, n2 or n3"):
        targets.find(two, 'crane')


def test_an_overlay_is_lit_where_the_map_is_and_the_network_looks():
    pixels = np.full([100, 160, 3], 60, np.uint8)
    heat = np.zeros([4, 4], np.float32)
    heat[:, :2] = 1
    drawn = overlay(pixels, heat).mean(2)
    assert drawn.shape == (100, 160)
    assert drawn[:, 35:70].min() > 1.5 * drawn[:, 100:].max()
    np.testing.assert_array_equal(drawn[:, :30], drawn[0, -1])
    np.testing.assert_array_equal(overlay(pixels, 0 * heat), overlay(pixels, -heat))


@pytest.mark.parametrize('size, expected', [
    ((32, 32), (224, 224)),
    ((100, 300), (100, 300)),
    ((1200, 3200), (600, 1600)),
])
def test_size_to_show(size, expected):
    pixels = shown(np.zeros([*size, 3], np.uint8))
    assert pixels.shape == (*expected, 3)
    assert tile(pixels).shape == (224, 224, 3)


def test_endpoints_of_a_model_without_weights():
    done = call('--model=cifar_cnn', '--list_endpoints')
    assert (done.returncode, done.stderr) == (0, '')
    lines = done.stdout.splitlines()
    assert lines[1].split() == ['conv1_1', '32×32×64', '1,856']
    assert 'the default is dropout3.' in lines[-1]


def test_pictures_of_the_run_by_every_method(run_dir):
    done = call(f'--run_dir={run_dir}', '--samples=3', '--method=all', '--steps=4')
    assert (done.returncode, done.stderr) == (0, '')
    found = rows(run_dir / 'explanations')
    assert {row['method'] for row in found} == set(METHODS)
    assert len({row['file'] for row in found}) == 3
    for row in found:
        assert row['class'] in (row['label'], row['prediction'])
        assert 0 <= float(row['probability']) <= 1
        with Image.open(run_dir / 'explanations' / row['overlay']) as image:
            assert image.size == (224, 224)
    # A mistake is explained by what it was taken for and by what it is.
    jobs = {(row['file'], row['class']) for row in found
           } | {(row['file'], row['label']) for row in found}
    assert {(row['file'], row['class']) for row in found} == jobs
    with Image.open(run_dir / 'explanations/sheet.png') as sheet:
        assert sheet.width > 5 * 224
    for method in METHODS:
        assert re.search(rf'^{method} +\d+ ', done.stdout, re.MULTILINE)


def test_given_pictures_some_of_them_bad(run_dir, tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a/same.png', 'b/same.png', 'b/Same.jpg'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, [40, 60, 3],
                                     np.uint8)).save(tmp_path / name)
    odd = bytes(tmp_path) + b'/b/odd\xff.png'
    Path(odd.decode(errors='surrogateescape')).write_bytes(
        (tmp_path / 'a/same.png').read_bytes())
    (tmp_path / 'b/bad\n.png').write_bytes(b'no picture')
    out = tmp_path / 'out'
    done = call(f'--run_dir={run_dir}', f'--output={out}', '--target=circle',
                f'{tmp_path}/a', f'{tmp_path}/b', f'{tmp_path}/none.png')
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert 'bad\\n.png: Not a JPEG' in done.stderr
    assert 'none.png: No such file' in done.stderr
    assert done.stderr.splitlines()[-1] == '2 of 6 pictures could not be explained.'
    found = rows(out)
    assert len(found) == 4 and {row['class'] for row in found} == {'circle'}
    overlays = {row['overlay'] for row in found}
    assert {'same-grad_cam.png', 'Same-2-grad_cam.png',
            'same-3-grad_cam.png'} < overlays
    assert overlays == {path.name for path in out.iterdir()
                       } - {'sheet.png', 'explanations.csv'}


@pytest.mark.parametrize('arguments, message', [
    (['--target=circel'], "received 'circel'. Did you mean circle?"),
    (['--endpoint=conv3_1'], 'Expected --endpoint to be of conv1_1, pool1, '),
])
def test_mistakes_are_explained_in_a_line(run_dir, arguments, message):
    done = call(f'--run_dir={run_dir}', *arguments)
    assert (done.returncode, done.stdout) == (2, '')
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
