"""A graph model for TensorFlow.js, in a small web page that shows what it says."""

import json
import logging
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vision.errors import UserError
from vision.export import browser, converter_environment
from vision.export.description import describe
from vision.export.formats import Answers, Bundle, Format
from vision.export.graphs import probabilities

_log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_PAGE_IMAGES = 8  # enough to find a page that prepares or shows anything wrong
_NODE = 18  # the oldest Node.js whose WebAssembly and `performance` serve
# The command of its own splits paths at blanks.
_CONVERT = """
import sys
from tensorflowjs.converters import tf_saved_model_conversion_v2 as conversion
conversion.convert_tf_saved_model(*sys.argv[1:], signature_def='serving_default',
                                  use_structured_outputs_names=True)
"""


class TensorFlowJs(Format):
    """A folder that any static server can serve, complete in itself.

        index.html, *.js, *.css    the page
        model/                     the graph model, serving_default of the SavedModel
        description.json           classes, how images are prepared, and what the
                                   network says of an image, to check it with
        tfjs/                      TensorFlow.js and its WebAssembly backend

    It is run in Node.js, and the page in Chromium where there is one.

    Args:
        environment: the folder of the converter, as `converter_environment.build`
            makes it.
    """

    name = 'tensorflowjs'
    path = 'web'
    tolerance = 1e-4  # float32 sums in another order
    agreement = 1.0

    def __init__(self, environment: Path = converter_environment.DEFAULT):
        self.environment = environment

    def check_available(self) -> None:
        _check_node()
        if not converter_environment.is_built(self.environment):
            raise UserError(
                'Expected the converter to TensorFlow.js, which cannot share an '
                f'environment with this TensorFlow, in {self.environment}. Build it '
                'once (2.7 GB, some minutes) with python -m scripts.export '
                '--install_converter.'
            )

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        del sample
        shutil.copytree(_HERE / 'web', target)
        shutil.copytree(
            converter_environment.scripts(self.environment), target / 'tfjs'
        )
        # In ASCII: names of classes can be of folders, and hold what is no text.
        text = json.dumps({**describe(bundle), 'check': _check(bundle)}, indent=2)
        (target / 'description.json').write_text(text + '\n', 'ascii')
        quiet = {'CUDA_VISIBLE_DEVICES': '', 'TF_CPP_MIN_LOG_LEVEL': '3'}
        interpreter = converter_environment.python(self.environment)
        _run(
            'the converter to TensorFlow.js',
            [
                str(interpreter.absolute()),
                '-I',
                '-c',
                _CONVERT,
                str(saved_model.absolute()),
                str(target.absolute() / 'model'),
            ],
            {**os.environ, **quiet},
        )

    def run(self, target: Path, images: np.ndarray) -> Answers:
        answers = _ask_node(target, images)
        program = browser.find()
        if program is None:
            _log.info('No Chromium on the PATH: the page itself was not opened.')
        else:
            shown = browser.look(program, target, browser.pngs(images[:_PAGE_IMAGES]))
            description = json.loads((target / 'description.json').read_text('ascii'))
            _compare(
                shown, answers.probabilities, description['classes'], self.tolerance
            )
            _log.info(
                'The page was opened in %s and shown %d images.', program, len(shown)
            )
        return answers


def _check(bundle: Bundle) -> dict[str, Any]:
    """What the network says of an image that programs can draw by themselves."""
    side = bundle.specification.image_size
    values = np.arange(side * side * 3, dtype=np.int64) ** 2 % 251
    images = tf.constant(values.reshape(1, side, side, 3), tf.float32)
    found = probabilities(bundle)(images)['probabilities']
    return {
        'image': 'Value i of [image_size, image_size, 3] is i * i mod 251.',
        'probabilities': found.numpy()[0].tolist(),
    }


def _check_node() -> None:
    node = shutil.which('node')
    version = (
        ''
        if node is None
        else subprocess.run(
            [node, '--version'], capture_output=True, text=True, check=False
        ).stdout.strip()
    )
    if not version.startswith('v') or int(version[1:].split('.')[0]) < _NODE:
        raise UserError(
            f'Expected Node.js {_NODE} or newer as node on the PATH, got '
            f'{version or "none"}. Install it (https://nodejs.org): the '
            'export for TensorFlow.js is run in it.'
        )


def _ask_node(target: Path, images: np.ndarray) -> Answers:
    with tempfile.TemporaryDirectory(prefix='tapestry-export-') as folder:
        input_file, answers = Path(folder, 'images'), Path(folder, 'answers')
        input_file.write_bytes(images.tobytes())
        printed = _run(
            'Node.js',
            [
                'node',
                str(_HERE / 'node_runner.js'),
                str(target.absolute()),
                str(input_file),
                str(answers),
            ],
            dict(os.environ),
        )
        found = np.fromfile(answers, np.float32).reshape(len(images), -1)
    told = json.loads(printed.splitlines()[-1])
    if told['backend'] != 'wasm':
        _log.warning('Node.js ran the export without WebAssembly, which is slow.')
    return Answers(found, told['milliseconds'])


def _run(what: str, command: list[str], environment: dict[str, str]) -> str:
    """What a process prints; raises UserError where it fails."""
    process = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors='replace',
        check=False,
    )
    if process.returncode:
        tail = '\n'.join(process.stderr.strip().splitlines()[-15:])
        raise UserError(
            f'Expected {what} to take the network, but it failed with '
            f'{process.returncode}:\n{tail}'
        )
    return process.stdout


def _compare(
    shown: list[browser.Shown],
    answers: np.ndarray,
    classes: list[str],
    tolerance: float,
) -> None:
    """Raises UserError unless the page shows the most likely classes, best first."""
    for number, (image, expected) in enumerate(zip(shown, answers), start=1):
        best = np.sort(expected)[::-1][: browser.TOP]
        labels, found = list(image.top), np.array(list(image.top.values()))
        if (
            image.failure
            or len(found) != len(best)
            or not all(
                np.allclose(found, each, rtol=0, atol=tolerance)
                for each in (best, expected[labels])
            )
        ):
            raise UserError(
                f'Expected the page to show the probabilities {best} for image '
                f'{number}, as Node.js does, got '
                f'{image.failure or image.top}.'
            )
        names = [classes[label] for label in labels]
        if list(image.words) != names:
            raise UserError(
                f'Expected the page to name the classes {names} for image '
                f'{number}, got {list(image.words)}.'
            )
