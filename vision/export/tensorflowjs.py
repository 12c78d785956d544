"""A graph model for TensorFlow.js, in a web page that classifies images with it."""

import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from vision.errors import UserError
from vision.export import browser, converter_environment, processes
from vision.export.formats import Bundle, Format
from vision.export.processes import Predictions

_log = logging.getLogger(__name__)

_HERE = Path(__file__).parent
_PAGE_IMAGES = 8  # enough to find errors in the page's preparation or display
_NODE = 18  # the oldest Node.js with the WebAssembly and `performance` used here
# The converter's command line splits paths at spaces.
_CONVERT = """
import sys
from tensorflowjs.converters import tf_saved_model_conversion_v2 as conversion
conversion.convert_tf_saved_model(*sys.argv[1:], signature_def='serving_default',
                                  use_structured_outputs_names=True)
"""


class TensorFlowJs(Format):
    """A complete folder for any static web server.

        index.html, *.js, *.css    the page
        model/                     the graph model, serving_default of the SavedModel
        description.json           `Bundle.describe`, and the probabilities of an image
                                   that the page checks the network with
        tfjs/                      TensorFlow.js and its WebAssembly backend

    It is run in Node.js, and the page in Chromium where that is installed.

    Args:
        environment: the folder of the converter, as `converter_environment.build`
            makes it.
    """

    name = 'tensorflowjs'
    path = 'web'
    reads_saved_model = True
    tolerance = 1e-4  # float32 sums in another order

    def __init__(self, environment: Path = converter_environment.DEFAULT):
        self.environment = environment

    def check_available(self) -> None:
        version = 'none'
        if shutil.which('node') is not None:
            version = subprocess.run(
                ['node', '--version'], capture_output=True, text=True, check=False
            ).stdout.strip()
        if not version.startswith('v') or int(version[1:].split('.')[0]) < _NODE:
            raise UserError(
                f'Expected Node.js {_NODE} or newer as node on the PATH, received '
                f'{version}. Install it (https://nodejs.org): the export for '
                'TensorFlow.js is run in it.'
            )
        if not converter_environment.is_built(self.environment):
            raise UserError(
                'Expected the converter to TensorFlow.js, which needs another version '
                f'of TensorFlow than this environment has, in {self.environment}. '
                'Install it once (2.7 GB, some minutes).',
                'install_converter',
            )

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        shutil.copytree(_HERE / 'web', target)
        shutil.copytree(
            self.environment / converter_environment.SCRIPTS, target / 'tfjs'
        )
        # In ASCII: names of classes can be of folders, and hold what is no text.
        text = json.dumps({**bundle.describe(), 'check': _check(bundle)}, indent=2)
        (target / 'description.json').write_text(text + '\n', 'ascii')
        processes.run(
            'the converter to TensorFlow.js to convert the network',
            [
                str((self.environment / converter_environment.PYTHON).absolute()),
                *('-I', '-c', _CONVERT),
                *(str(path.absolute()) for path in (saved_model, target / 'model')),
            ],
        )

    def run(self, target: Path, images: np.ndarray) -> Predictions:
        predictions = processes.exchange(
            'Node.js', ['node', str(_HERE / 'node_runner.js')], target, images
        )
        if predictions.backend != 'wasm':
            _log.warning('Node.js ran the export without WebAssembly, which is slow.')
        program = browser.find()
        if program is None:
            _log.info('No Chromium on the PATH: the page was not tested in a browser.')
        else:
            images = images[:_PAGE_IMAGES]
            results = browser.classify(program, target, browser.pngs(images))
            description = json.loads((target / 'description.json').read_text('ascii'))
            _compare(
                results,
                predictions.probabilities,
                description['classes'],
                self.tolerance,
            )
            _log.info('The page was tested in %s with %d images.', program, len(images))
        return predictions


def _check(bundle: Bundle) -> dict[str, Any]:
    """The probabilities of an image that programs can compute themselves."""
    side = bundle.specification.image_size
    values = np.arange(side * side * 3, dtype=np.int64) ** 2 % 251
    images = tf.constant(values.reshape(1, side, side, 3), tf.float32)
    return {
        'image': 'Value i of [image_size, image_size, 3] is i * i mod 251.',
        'probabilities': bundle.predict(images)['probabilities'].numpy()[0].tolist(),
    }


def _compare(
    results: list[browser.Result],
    predictions: np.ndarray,
    classes: list[str],
    tolerance: float,
) -> None:
    """Raises UserError unless the page shows the most likely classes, best first."""
    for number, (result, expected) in enumerate(zip(results, predictions), start=1):
        best = np.sort(expected)[::-1][: browser.TOP]
        labels, shown = list(result.top), np.array(list(result.top.values()))
        if (
            result.failure
            or len(shown) != len(best)
            or not np.allclose(shown, [best, expected[labels]], rtol=0, atol=tolerance)
        ):
            raise UserError(
                f'Expected the page to show the probabilities {best} for image '
                f'{number}, as Node.js computes them, received '
                f'{result.failure or result.top}.'
            )
        names = [classes[label] for label in labels]
        if list(result.names) != names:
            raise UserError(
                f'Expected the page to name the classes {names} for image {number}, '
                f'received {list(result.names)}.'
            )


TENSORFLOW_JS = TensorFlowJs()
