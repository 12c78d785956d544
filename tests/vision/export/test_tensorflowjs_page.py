"""The page: no external resources, and images resized as in TensorFlow."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vision.data.decoding import decode
from vision.export import tensorflowjs

PAGE = Path(tensorflowjs.__file__).parent / 'web'

# Reads RGBA pixels of a square, and writes what the page makes of them.
RESIZE = """
const fs = require('fs');
const vm = require('vm');
const [script, from, side, size, to] = process.argv.slice(1);
vm.runInThisContext(fs.readFileSync(script, 'utf8'));
fs.writeFileSync(to, resize(fs.readFileSync(from), Number(side), Number(size)));
"""


@pytest.fixture(scope='module')
def node() -> str:
    node_program = shutil.which('node')
    if node_program is None:
        pytest.skip('there is no Node.js (node) on the PATH')
    return node_program


def resized(node: str, folder: Path, pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 `[S, S, 3]`, resized by the script of the page."""
    side = len(pixels)
    rgba = np.dstack([pixels, np.full((side, side), 255, np.uint8)])
    (folder / 'from').write_bytes(rgba.tobytes())
    subprocess.run(
        [
            node,
            '-e',
            RESIZE,
            str(PAGE / 'image.js'),
            str(folder / 'from'),
            str(side),
            str(size),
            str(folder / 'to'),
        ],
        check=True,
    )
    return np.fromfile(folder / 'to', np.uint8).reshape(size, size, 3)


@pytest.mark.parametrize(
    'side, size',
    [
        (24, 24),
        (1, 32),
        (5, 32),
        (31, 32),
        (37, 32),
        (64, 32),
        (65, 32),
        (96, 32),
        (375, 224),
        (499, 224),
        (1023, 96),
    ],
)
def test_the_page_resizes_as_the_pipeline_does(node, tmp_path, side, size):
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    expected = decode.fit(tf.constant(pixels), size).numpy()
    difference = np.abs(resized(node, tmp_path, pixels, size) - expected.astype(int))
    assert difference.max() <= 1
    # Where float32 and float64 fall on two sides of a half.
    assert (difference > 0).mean() < 2e-3


def test_halves_are_rounded_to_even_numbers(node, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    sums = pixels.reshape(32, 2, 32, 2, 3).sum((1, 3))
    assert (sums % 4 == 2).any()
    np.testing.assert_array_equal(
        resized(node, tmp_path, pixels, 32), np.round(sums / 4).astype(np.uint8)
    )


def test_the_page_loads_nothing_from_elsewhere():
    for path in PAGE.iterdir():
        text = path.read_text('utf-8')
        assert not re.findall(r'https?:|//[a-z0-9-]+\.[a-z]|url\(|@import', text), path


def test_the_page_refers_to_files_that_the_export_has():
    text = (PAGE / 'index.html').read_text('utf-8')
    named = re.findall(r'(?:src|href)="([^"]*)"', text)
    pages = {name for name in named if not name.startswith(('tfjs/', 'data:'))}
    assert pages == {path.name for path in PAGE.iterdir()} - {'index.html'}


def test_the_policy_allows_no_other_host_and_no_inline_script():
    text = (PAGE / 'index.html').read_text('utf-8')
    policy = dict(
        directive.strip().partition(' ')[::2]
        for directive in re.search(r'Content-Security-Policy" content="([^"]*)"', text)[
            1
        ].split(';')
    )
    assert policy == {
        'default-src': "'none'",
        'script-src': "'self' 'wasm-unsafe-eval'",
        'style-src': "'self'",
        'connect-src': "'self'",
        'img-src': 'data:',
        'base-uri': "'none'",
        'form-action': "'none'",
    }
    assert not re.search(r'<script(?![^>]*src=)|<style| style=| on[a-z]+=', text)


def test_names_go_into_the_page_as_text():
    for path in PAGE.glob('*.js'):
        text = path.read_text('utf-8')
        assert not re.search(
            r'innerHTML|outerHTML|insertAdjacentHTML|document\.write', text
        ), path


def test_the_lock_file_has_a_digest_of_every_package():
    pins = PAGE.with_name('converter')
    lock = json.loads((pins / 'package-lock.json').read_text('utf-8'))
    asked = json.loads((pins / 'package.json').read_text('utf-8'))['dependencies']
    packages = lock['packages']
    assert packages.pop('')['dependencies'] == asked
    assert packages
    for name, package in packages.items():
        assert package['integrity'].startswith('sha512-'), name


def test_every_requirement_is_pinned():
    lines = (PAGE.with_name('converter') / 'requirements.txt').read_text().split('\n')
    for line in filter(None, lines):
        assert re.fullmatch(r'[\w-]+==[\w.]+', line), line
