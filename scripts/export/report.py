"""Results of the comparison with the model as a table, as JSON and as a README.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts.common import markdown
from scripts.common.formatting import printable
from vision.export.checking import TIE, Comparison
from vision.export.formats import Bundle, Format

_PILLOW = """\
import numpy as np
from PIL import Image, ImageOps
image = ImageOps.exif_transpose(Image.open('image.jpg')).convert('RGB')
image = ImageOps.fit(image, ({side}, {side}), Image.Resampling.BILINEAR)
images = np.asarray(image)[np.newaxis]
"""

_TFLITE = """\
from ai_edge_litert.interpreter import Interpreter
model = Interpreter('{path}').get_signature_runner()
probabilities = model(images=images.astype('{dtype}'))['probabilities']
"""

# By format: Python code that takes `images` and gives `probabilities`.
USAGE = {
    'saved_model': """\
import tensorflow as tf
model = tf.saved_model.load('saved_model').signatures['uint8']
probabilities = model(images=tf.constant(images))['probabilities'].numpy()
""",
    'tflite_float32': _TFLITE.format(path='model_float32.tflite', dtype='float32'),
    'tflite_float16': _TFLITE.format(path='model_float16.tflite', dtype='float32'),
    'tflite_dynamic': _TFLITE.format(path='model_dynamic.tflite', dtype='float32'),
    'tflite_int8': _TFLITE.format(path='model_int8.tflite', dtype='uint8'),
    'onnx': """\
import onnxruntime
model = onnxruntime.InferenceSession('model.onnx')
probabilities = model.run(['probabilities'], {'images': images.astype('float32')})[0]
""",
}

_NOTES = {
    'saved_model': 'Needs `tensorflow`. Further signatures: `serving_default` takes '
    'float32 in 0..255; `encoded` takes image files '
    "(`files=tf.constant([open('image.jpg', 'rb').read()])`) and prepares them exactly "
    'as in training; `classes` returns names and ids. All but `classes` return '
    '`logits`, too.',
    'tflite_float32': 'Needs `ai-edge-litert`.',
    'tflite_float16': 'Needs `ai-edge-litert`. The weights are float16.',
    'tflite_dynamic': 'Needs `ai-edge-litert`. The weights are int8.',
    'tflite_int8': 'Needs `ai-edge-litert`. Weights and activations are int8; the '
    'input is uint8 pixels. Preprocessing, local response normalization and softmax '
    'are float32.',
    'onnx': 'Needs `onnxruntime`. The metadata holds classes and preprocessing.',
    'tensorflowjs': 'A page for any static web server: run '
    '`python -m http.server -d web` and open <http://localhost:8000>. The graph model '
    'is `web/model`.',
}


class Result(NamedTuple):
    """An export and its comparison with the model.

    Attributes:
        form: the format.
        size: bytes of its files.
        milliseconds: median time for a single image.
        comparison: differences from the model.
    """

    form: Format
    size: int
    milliseconds: float
    comparison: Comparison


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    inside = (path, *path.rglob('*'))
    return sum(file.stat().st_size for file in inside if file.is_file())


def rows(results: Sequence[Result]) -> list[list[str]]:
    """The cells of the table, its heading first."""
    return [
        [
            'Format',
            'MB',
            'ms per image',
            'Largest difference',
            'Allowed',
            'Same top-1',
            'Required',
            'Result',
        ],
        *(
            [
                form.name,
                f'{size / 1e6:.2f}',
                f'{milliseconds:.1f}',
                f'{comparison.difference:.1e}',
                f'{form.tolerance:g}',
                f'{100 * comparison.agreement:.1f} %',
                f'{100 * form.agreement:g} %',
                'failed' if comparison.failures else 'passed',
            ]
            for form, size, milliseconds, comparison in results
        ),
    ]


def to_dict(result: Result) -> dict[str, Any]:
    """A result in JSON values."""
    form, comparison = result.form, result.comparison
    return {
        'format': form.name,
        'path': form.path,
        'bytes': result.size,
        'milliseconds': result.milliseconds,
        'largest_difference': comparison.difference,
        'tolerance': form.tolerance,
        'mean_difference': comparison.error,
        'mean_variation_of_the_model': comparison.spread,
        'top1_agreement': comparison.agreement,
        'required_agreement': form.agreement,
        'sum_farthest_from_1': comparison.total,
    }


def readme(
    bundle: Bundle, origin: str, compared: str, results: Sequence[Result]
) -> str:
    """The README.md of an export: its formats, the comparison, and how to load each.

    Args:
        bundle: what is exported.
        origin: where the weights are from, in words.
        compared: the images of the comparison, in words.
        results: of the comparison.
    """
    specification = bundle.specification
    side = specification.image_size
    parts = [
        f'# {specification.model}, {len(specification.classes)} classes',
        f'Weights: {printable(origin)}. Every format takes a batch `images` of '
        f'{side}×{side} pixels, RGB in 0..255, channels last, and returns '
        f'`probabilities`. Normalization ({specification.normalization}), temperature '
        f'({bundle.temperature:g}) and softmax are included. `labels.txt` names the '
        'classes in the order of the probabilities, one per line; `model.json` holds '
        'the same information for programs.',
        f'Comparison with the model on {compared}:',
        markdown.table(rows(results)),
        'Largest difference: of any probability of any image. Same top-1: the share of '
        'images with the same most likely class, or one whose probability by the model '
        f'is lower by at most {TIE:g}. ms per image: median time for a single image, '
        'on the CPU.',
        '## Use',
        'Preprocessing, almost as in training:',
        markdown.code(_PILLOW.format(side=side).rstrip(), 'python'),
    ]
    for result in results:
        name = result.form.name
        parts += [f'### {name}', _NOTES[name]]
        if name in USAGE:
            parts.append(markdown.code(USAGE[name].rstrip(), 'python'))
    return '\n\n'.join(parts)
