"""The command: help, usage errors, and one whole run."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from absl import flags as absl_flags
from commands import run_command, run_here
from PIL import Image

from scripts.common import flags
from scripts.explore import __main__ as explore
from scripts.explore import augmentation
from vision import data
from vision.data.augment import Augmentation

call = functools.partial(run_here, 'explore')


def test_help_is_short_and_needs_no_tensorflow():
    done = run_command('explore', '--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert 'absl' in done.stderr and 'tensorflow' not in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) < 60 and max(map(len, lines)) <= 88
    for name in (
        'dataset',
        'data_dir',
        'validation_fraction',
        'test_fraction',
        'split_seed',
        'output',
        'max_images',
        'seed',
    ):
        assert len(re.findall(rf'^  --{name}\b', done.stdout, re.MULTILINE)) == 1


@pytest.mark.parametrize(
    'mistake, message',
    [
        (
            '--max_image=3',
            'There is no flag --max_image. Did you mean --max_images?',
        ),
        ('--max_images=-1', 'Expected --max_images to be at least 0, received -1.'),
        (
            '--test_fraction=2',
            'Expected --test_fraction to be 0.001 to 0.9, received 2',
        ),
    ],
)
def test_usage_errors_are_explained_in_a_line(mistake, message):
    done = call(mistake)
    assert (done.returncode, done.stdout) == (2, '')
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_missing_data_is_explained(tmp_path):
    done = call(
        '--dataset=tiny_imagenet',
        f'--data_dir={tmp_path}/none',
        f'--output={tmp_path}/out',
    )
    assert (done.returncode, done.stdout) == (1, '')
    assert 'Traceback' not in done.stderr and f'{tmp_path}/none' in done.stderr
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_whole_run_on_a_folder_of_images(tmp_path):
    rng = np.random.default_rng(0)
    for label in ('<b>cat', 'dog'):
        (tmp_path / 'data' / label).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 256, [20, 24, 3], np.uint8)
            Image.fromarray(pixels).save(tmp_path / f'data/{label}/{i}.png')
    # The decoder reports this one on the standard error of the process.
    jpeg = tmp_path / 'data/dog/reported.jpg'
    Image.fromarray(pixels).save(jpeg, quality=90)
    contents = jpeg.read_bytes()
    jpeg.write_bytes(contents[:20] + b'\0\0\0' + contents[20:])
    (tmp_path / 'data/dog/broken.png').write_bytes(b'no image')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/notes.txt').write_text('kept')
    done = run_command(
        'explore',
        '--dataset=image_folder',
        f'--data_dir={tmp_path}/data',
        f'--output={tmp_path}/out',
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert 'image_folder: 26 images, 2 classes' in done.stdout
    assert re.search(r'^ +1  undecodable: ', done.stdout, re.MULTILINE)
    files = done.stdout.partition('Written:\n')[2].split()
    assert files[0] == f'{tmp_path}/out/index.html'
    assert {Path(name).name for name in files} | {'notes.txt'} == {
        path.name for path in (tmp_path / 'out').iterdir()
    }
    assert '&lt;b&gt;cat' in (tmp_path / 'out/index.html').read_text(encoding='utf-8')
    numbers = json.loads((tmp_path / 'out/summary.json').read_text(encoding='utf-8'))
    assert sum(numbers['images'].values()) == 26
    assert numbers['problems']['undecodable']['count'] == 1


def test_all_augmentations_are_shown_one_at_a_time(monkeypatch):
    monkeypatch.setattr(flags, 'FLAGS', absl_flags.FlagValues())
    flags.define(explore.FIELDS)
    flags.parse(['explore', '--augment=all'], 'Explores.', explore.FIELDS)
    config, _ = explore.check([])
    assert config.augment == augmentation.ALL
    source = data.load('shapes')
    two = (Augmentation('flip'), Augmentation('vertical_flip'))
    (both,) = augmentation.examples(source, two, 16, samples=1, seed=0)
    assert both.augment == 'flip,vertical_flip'
    monkeypatch.setattr(augmentation, 'ALL', two)
    examples = augmentation.examples(source, two, 16, samples=1, seed=0)
    assert [example.augment for example in examples] == ['flip', 'vertical_flip']
