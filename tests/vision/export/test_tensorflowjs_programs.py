"""The export to TensorFlow.js by programs in place of its converter, Node and Chromium.

They do what those do with files and requests, and compute nothing.
"""

import json
import logging
import re
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from vision.errors import UserError
from vision.export import converter_environment
from vision.export.tensorflowjs import TensorFlowJs

CLASSES = tuple('abcdefg')
TOP = 5
NOTHING = np.zeros((0, 1, 1, 3), np.uint8)

NODE = """
[ -z "$CUDA_VISIBLE_DEVICES" ] && [ -f "$1" ] && [ -f "$3" ] || exit 1
/bin/cp "$2/../probabilities" "$4"
echo a warning; echo '{"milliseconds": 2.5, "backend": "BACKEND"}'
"""
# Fetches what the driver page fetches, and sends what that sends.
CHROMIUM = """
import http.client, json, os, sys, time
if '--version' in sys.argv:
    sys.exit()
# Chromium refuses to run as that user with its sandbox.
assert ('--no-sandbox' in sys.argv) == (os.geteuid() == 0)
place, _, name = sys.argv[-1].removeprefix('http://').partition('/')
connection = http.client.HTTPConnection(place)

def fetched(path):
    connection.request('GET', '/' + path)
    response = connection.getresponse()
    assert response.status == 200, path
    return response.read()

assert b'driver.js' in fetched(name)
answer = json.loads(fetched('page/answer.json'))
names = json.loads(fetched('images.json'))
open(FOLDER + '/shown.png', 'wb').write(fetched(f'image-{len(names) - 1}'))
assert len(names) == len(answer['results'])
for name, result in zip(names, answer['results']):
    result['name'] = name
connection.request('POST', '/answer', json.dumps(answer))
connection.getresponse()
time.sleep(600)
"""


def program(path: Path, text: str, interpreter: str = '/bin/sh') -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!{interpreter}\n{text}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """The only folder on the PATH; it has Node.js."""
    folder = tmp_path / 'path'
    program(folder / 'node', NODE.replace('BACKEND', 'wasm'))
    monkeypatch.setenv('PATH', str(folder))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0')
    return folder


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 4, 4, 3), np.uint8)


@pytest.fixture
def probabilities(images) -> np.ndarray:
    drawn = np.random.default_rng(1).uniform(0, 1, (len(images), len(CLASSES)))
    return (drawn / drawn.sum(-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def target(tmp_path, probabilities) -> Path:
    """An export that Node.js computes the probabilities of."""
    folder = tmp_path / 'web'
    folder.mkdir()
    (folder / 'description.json').write_text(json.dumps({'classes': CLASSES}))
    probabilities.tofile(tmp_path / 'probabilities')
    return folder


@pytest.fixture
def shown(path, tmp_path, target, probabilities):
    """Makes a browser that shows the probabilities of 8 images, after a change."""

    def show(change=lambda results: None, failure=''):
        program(
            path / 'chromium',
            CHROMIUM.replace('FOLDER', repr(str(tmp_path))),
            f'{sys.executable} -IS',
        )
        results = []
        for row in probabilities[:8]:
            labels = np.argsort(-row)[:TOP].tolist()
            results.append(
                {
                    'top': [[label, str(row[label])] for label in labels],
                    'names': [CLASSES[label] for label in labels],
                    'failure': '',
                }
            )
        change(results)
        answer = {'results': results, 'failure': failure}
        (target / 'answer.json').write_text(json.dumps(answer))

    return show


@pytest.fixture
def environment(tmp_path) -> Path:
    """The folder of a converter that writes its arguments."""
    folder = tmp_path / 'environment'
    program(
        folder / converter_environment.PYTHON,
        '[ "$1 $2" = "-I -c" ] || exit 1\n'
        '[ -d "$4" ] || { echo no model >&2; printf "\\377" >&2; exit 4; }\n'
        '/bin/mkdir "$5"; echo "$4" > "$5/model.json"',
    )
    (folder / converter_environment.SCRIPTS).mkdir()
    (folder / converter_environment.SCRIPTS / 'tf.js').touch()
    return folder


def test_the_folder_has_the_page_the_model_and_the_description(
    environment, tmp_path, monkeypatch, make_bundle, expected_of
):
    bundle = make_bundle(filters=(4, 8), temperature=0.7)
    (tmp_path / 'saved model').mkdir()
    monkeypatch.chdir(tmp_path)
    form = TensorFlowJs(Path('environment'))
    form.convert(bundle, Path('saved model'), Path('web'), NOTHING)
    folder = tmp_path / 'web'
    assert (folder / 'index.html').is_file() and (folder / 'tfjs' / 'tf.js').is_file()
    given = (folder / 'model' / 'model.json').read_text()
    assert given == f'{tmp_path / "saved model"}\n'
    described = json.loads((folder / 'description.json').read_text('ascii'))
    check = described.pop('check')
    assert described == bundle.describe()
    assert check['image'] == 'Value i of [image_size, image_size, 3] is i * i mod 251.'
    values = [[i * i % 251 for i in range(32 * 32 * 3)]]
    image = np.reshape(values, [1, 32, 32, 3]).astype(np.float32)
    np.testing.assert_allclose(
        check['probabilities'], expected_of(bundle, image)[0], rtol=0, atol=1e-5
    )


def test_a_converter_that_fails_shows_its_last_lines(
    environment, tmp_path, make_bundle
):
    bundle = make_bundle(filters=(4, 8))
    with pytest.raises(UserError) as error:
        TensorFlowJs(environment).convert(
            bundle, tmp_path / 'nothing', tmp_path / 'web', NOTHING
        )
    assert str(error.value) == (
        'Expected the converter to TensorFlow.js to convert the network, but it failed '
        'with exit code 4:\nno model\n\ufffd'
    )


def test_the_predictions_are_those_of_node_and_the_page_is_tested_with_8_images(
    target, shown, images, probabilities, caplog, tmp_path
):
    caplog.set_level(logging.INFO)
    shown()
    predictions = TensorFlowJs().run(target, images)
    np.testing.assert_array_equal(predictions.probabilities, probabilities)
    assert predictions[1:] == (2.5, 'wasm')
    last = tf.io.decode_png((tmp_path / 'shown.png').read_bytes())
    np.testing.assert_array_equal(last, images[7])
    assert [record.getMessage() for record in caplog.records] == [
        f'The page was tested in {tmp_path / "path" / "chromium"} with 8 images.'
    ]


def test_without_a_browser_or_webassembly_that_is_said(path, target, images, caplog):
    caplog.set_level(logging.INFO)
    program(path / 'node', NODE.replace('BACKEND', 'cpu'))
    assert TensorFlowJs().run(target, images).backend == 'cpu'
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ('WARNING', 'Node.js ran the export without WebAssembly, which is slow.'),
        ('INFO', 'No Chromium on the PATH: the page was not tested in a browser.'),
    ]


def test_a_node_that_fails_is_reported_with_its_code(path, target, images):
    program(path / 'node', 'echo printed; echo wrong >&2; exit 5')
    with pytest.raises(UserError) as error:
        TensorFlowJs().run(target, images)
    assert str(error.value) == (
        'Expected Node.js to run web, but it failed with exit code 5:\nwrong'
    )


def _swap_labels(results):
    top = results[7]['top']
    top[0][0], top[1][0] = top[1][0], top[0][0]


def _shorten(results):
    results[7]['top'].pop()


def _rename(results):
    results[7]['names'][4] = 'z'


def _fail(results):
    results[7].update(top=[], names=[], failure='The browser cannot read this file.')


@pytest.mark.parametrize(
    'change, message',
    [
        (_swap_labels, r'show the probabilities \[.*as Node.js computes them'),
        (_shorten, r'show the probabilities \[.*as Node.js computes them'),
        (_rename, r"name the classes \[.*\] for image 8, received \[.*, 'z'\]\.$"),
        (_fail, r'for image 8, .* received The browser cannot read this file\.\.$'),
    ],
)
def test_a_page_that_shows_something_else_is_refused(
    target, shown, images, change, message
):
    shown(change)
    with pytest.raises(UserError, match='Expected the page to') as error:
        TensorFlowJs().run(target, images)
    assert 'for image 8' in str(error.value)
    assert re.search(message, str(error.value), re.DOTALL)


def test_a_page_that_does_not_load_is_refused(path, target, shown, images):
    shown(failure='The network cannot be loaded')
    with pytest.raises(
        UserError,
        match='Expected the page to run in .*/chromium, but it failed: '
        'The network cannot be loaded',
    ):
        TensorFlowJs().run(target, images)
