"""The command as a person meets it: help, mistakes, and whole runs."""

import contextlib
import csv
import functools
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import ROOT, run_command, run_here
from PIL import Image

from scripts.predict.settings import Settings
from trainers.inference.prediction import predict
from trainers.settings.config import ConfigError
from trainers.settings.tables import VIEWS

call = functools.partial(run_command, 'predict')


@pytest.fixture(scope='module')
def run_dir(trained_run) -> Path:
    return trained_run


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp('images')
    rng = np.random.default_rng(0)
    for name in ('b.png', 'a.jpg', 'new\nline.png', '--top.png'):
        pixels = rng.integers(0, 256, [20, 24, 3], np.uint8)
        Image.fromarray(pixels).save(root / name)
    # The decoder writes a message about this one to standard error.
    contents = (root / 'a.jpg').read_bytes()
    (root / 'warning.jpg').write_bytes(contents[:20] + b'\0\0\0' + contents[20:])
    (root / 'broken.png').write_bytes(b'no image')
    return root


def test_help_is_short_and_needs_no_tensorflow():
    done = call('--help', python=('-X', 'importtime'))
    assert done.returncode == 0
    assert 'absl' in done.stderr and 'tensorflow' not in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) < 90 and max(map(len, lines)) <= 88
    for name in (
        'run_dir',
        'pretrained',
        'top',
        'threshold',
        'views',
        'batch_size',
        'format',
        'output',
        'temperature',
    ):
        assert (
            len([line for line in lines if re.match(rf'  --{name}(\s|$)', line)]) == 1
        )


@pytest.mark.parametrize(
    'arguments, message',
    [
        ([], 'Expected images: files, folders or patterns, such as in python -m'),
        (['x', '--top=0'], 'Expected --top to be at least 1, received 0.'),
        (['x', '--tops=1'], 'There is no flag --tops. Did you mean --top?'),
    ],
)
def test_usage_error_is_reported_before_tensorflow_is_imported(arguments, message):
    done = call(*arguments, python=('-X', 'importtime'))
    assert (done.returncode, done.stdout) == (2, '')
    assert message in done.stderr and 'tensorflow' not in done.stderr


@pytest.mark.parametrize(
    'settings, message',
    [
        ({'threshold': 1.5}, '--threshold to be 0 to 1, received 1.5'),
        ({'views': 'flop'}, 'one of none, flip, crops; .* Did you mean flip?'),
        ({'format': 'json'}, 'one of table, csv, jsonl; .* Did you mean jsonl?'),
        ({'batch_size': -1}, '--batch_size to be at least 0'),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message.replace('?', r'\?')):
        Settings(**settings)


def test_there_are_as_many_views_to_choose_from_as_there_are():
    for views in VIEWS:
        Settings(views=views)
    assert Settings.__dataclass_fields__['views'].metadata['choices'] is VIEWS


@pytest.mark.parametrize(
    'settings, expected',
    [
        ({}, 'table'),
        ({'output': 'x.csv'}, 'csv'),
        ({'output': 'x.JSONL'}, 'jsonl'),
        ({'output': 'x.txt'}, 'table'),
        ({'output': 'x.csv', 'format': 'jsonl'}, 'jsonl'),
    ],
)
def test_the_format_follows_from_the_output(settings, expected):
    assert Settings(**settings).written_format == expected


def test_whole_run_in_a_table(run_dir, folder):
    # Flags may stand behind the images.
    done = call(str(folder), f'--run_dir={run_dir}', '--top=2')
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f'{run_dir}, best weights, epoch 1; probabilities not')
    assert lines[2].split() == ['file', 'class', 'probability']
    assert len(lines) == 3 + 5 * 2 + 1
    assert r'new\nline.png' in done.stdout
    # No word of the decoder's.
    assert done.stderr.splitlines() == [
        f'{folder}/broken.png: Not a JPEG, PNG, GIF, BMP or WebP file',
        '1 of 6 images could not be predicted.',
    ]
    assert done.returncode == 1


@pytest.mark.slow
def test_on_a_terminal_a_bad_image_is_named_once(run_dir, folder):
    terminal, end = pty.openpty()
    command = [
        sys.executable,
        '-m',
        'scripts.predict',
        f'--run_dir={run_dir}',
        str(folder / 'b.png'),
        str(folder / 'broken.png'),
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdin=end, stdout=end, stderr=end)
    os.close(end)
    said = b''
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 65536):
            said += part
    os.close(terminal)
    assert process.wait() == 1
    assert said.count(b'broken.png') == 1
    assert b'Not a JPEG, PNG, GIF, BMP or WebP file' in said


def test_whole_run_in_csv_is_what_python_says(run_dir, folder, tmp_path):
    output = tmp_path / 'predictions.csv'
    done = run_here(
        'predict',
        f'--run_dir={run_dir}',
        f'--output={output}',
        '--top=100',
        '--threshold=0.2',
        f'{folder}/*.png',
        '--',
        '-',
        input=(folder / 'a.jpg').read_bytes(),
    )
    assert (done.returncode, done.stdout) == (1, '')
    with output.open(newline='') as file:
        rows = list(csv.DictReader(file))
    expected = predict(
        run_dir, [f'{folder}/*.png', folder / 'a.jpg'], top=100, threshold=0.2
    )
    assert [row['file'] for row in rows[:-1]] == [e.file for e in expected[:-1]]
    assert rows[-1]['file'] == '-'
    for row, prediction in zip(rows, expected, strict=True):
        assert row['error'] == prediction.error
        if prediction.error:
            continue
        assert row['rejected'] == str(prediction.rejected).lower()
        assert row['class'] == ('' if prediction.rejected else prediction.classes[0])
        for rank, probability in enumerate(prediction.probabilities):
            name = f'probability_{rank + 1}' if rank else 'probability'
            assert np.float32(row[name]) == np.float32(probability)


def test_a_list_on_standard_input_in_json_lines(run_dir, folder):
    names = [f'{folder}/{name}' for name in ('new\nline.png', 'b.png', '--top.png')]
    done = run_here(
        'predict', f'--run_dir={run_dir}', '--format=jsonl', '-', input='\0'.join(names)
    )
    assert (done.returncode, done.stderr) == (0, '')
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row['file'] for row in rows] == names
    assert all(len(row['predictions']) == 5 for row in rows)


def test_nobody_reads_the_help():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, '-m', 'scripts.predict', '--help'],
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=300,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b'')


@pytest.mark.slow
def test_whoever_has_seen_enough(run_dir, folder):
    command = '"$0" -m scripts.predict --run_dir="$1" "$2" --format=csv | head -n 1'
    done = subprocess.run(
        ['bash', '-c', command, sys.executable, run_dir, folder],
        cwd=ROOT,
        capture_output=True,
        timeout=300,
    )
    assert done.stdout.startswith(b'file,class,probability')
    assert b'Traceback' not in done.stderr and b'Exception' not in done.stderr
