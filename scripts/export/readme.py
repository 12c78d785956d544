"""The README.md of an export: what is in it, how good it is, and how to load it."""

from collections.abc import Sequence

from scripts.common.formatting import printable
from scripts.export import results
from scripts.export.results import Result
from vision.export.checking import TIE
from vision.export.formats import Bundle

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

# By format: the language, and lines that take `images` and give `probabilities`.
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
    'saved_model': 'Needs `tensorflow`. Besides `uint8` there are the signatures '
    '`serving_default`, which takes float32 in 0..255; `encoded`, which takes '
    "whole files (`files=tf.constant([open('image.jpg', 'rb').read()])`) "
    'and prepares them exactly as in training; and `classes`, which gives names '
    'and ids. All but the last give `logits`, too.',
    'tflite_float32': 'Needs `ai-edge-litert`.',
    'tflite_float16': 'Needs `ai-edge-litert`. Weights are float16.',
    'tflite_dynamic': 'Needs `ai-edge-litert`. Weights are int8.',
    'tflite_int8': 'Needs `ai-edge-litert`. Weights and activations are int8; it takes '
    'uint8 pixels as they are. Preparation, local response norm and the softmax '
    'stay float32.',
    'onnx': 'Needs `onnxruntime`. Classes and preparation are in its metadata.',
    'tensorflowjs': 'A page for any static server: `python -m http.server -d web`, and '
    'open <http://localhost:8000>. The graph model is `web/model`.',
}


def write(bundle: Bundle, origin: str, compared: str, found: Sequence[Result]) -> str:
    """The text.

    Args:
        bundle: what is exported.
        origin: where the weights come from, in words.
        compared: what was compared on, in words.
        found: what the comparison found.
    """
    specification = bundle.specification
    lines = [
        f'# {specification.model}, {len(specification.classes)} classes',
        '',
        f'From {printable(origin)}. Every format takes images `images` of '
        f'{specification.image_size}×{specification.image_size} pixels, RGB in 0..255, '
        'channels last, any number at a time, and gives `probabilities`, which add up '
        f'to 1. Normalization ({specification.normalization}), temperature '
        f'({bundle.temperature:g}) and softmax are inside. `labels.txt` names the '
        'classes in the order of the probabilities, one a line; `model.json` says all '
        'of that for programs.',
        '',
        f'Compared with the model on {compared}:',
        '',
        *_markdown(results.rows(found)),
        '',
        'Difference: the largest of any probability of any image. Same top-1: the '
        f'share of images with the same most likely class, or one that the model '
        f'finds as likely up to {TIE:g}. Time: the median of an image by itself, on '
        'the processor.',
        '',
        '## Use',
        '',
        'An image becomes `images` nearly as in training with',
        '',
        '```python',
        _PILLOW.format(side=specification.image_size).rstrip(),
        '```',
    ]
    for result in found:
        name = result.form.name
        lines += ['', f'### {name}', '', _NOTES[name]]
        if name in USAGE:
            lines += ['', '```python', USAGE[name].rstrip(), '```']
    return '\n'.join(lines) + '\n'


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f'| {" | ".join(row)} |' for row in rows]
    return [lines[0], f'| --- |{" ---: |" * (len(rows[0]) - 2)} --- |', *lines[1:]]
