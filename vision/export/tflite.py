"""TensorFlow Lite, for telephones and small computers, in four precisions."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from vision.errors import UserError
from vision.export import processes
from vision.export.failures import explained
from vision.export.formats import Answers, Bundle, Format
from vision.export.graphs import probabilities

# All that is not a convolution, a matrix product, pooling, or a sum of two paths.
_FLOAT32 = (
    'DIV',
    'MAXIMUM',
    'MEAN',
    'MUL',
    'POW',
    'RSQRT',
    'SOFTMAX',
    'SQRT',
    'SQUARE',
    'SQUARED_DIFFERENCE',
    'SUB',
)


class _TfLite(Format):
    """What the four have in common."""

    def check_available(self) -> None:
        if importlib.util.find_spec('ai_edge_litert') is None:
            raise UserError(
                f'Expected ai-edge-litert to run {self.name} with, but it is not '
                "installed: pip install 'ai-edge-litert>=2.1,<3'"
            )

    def run(self, target: Path, images: np.ndarray) -> Answers:
        return processes.ask('tflite', target, images)

    def _write(self, converter: tf.lite.TFLiteConverter, target: Path) -> None:
        with explained('TensorFlow Lite', self.name):
            model = converter.convert()
        target.write_bytes(model)


class Float32(_TfLite):
    """The network as it is."""

    name = 'tflite_float32'
    path = 'model_float32.tflite'
    tolerance = 1e-4  # float32 sums in another order; 4e-6 of GoogLeNet
    agreement = 1.0

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        del saved_model, sample
        self._write(_converter(bundle), target)


class Float16(_TfLite):
    """Weights of half the size, arithmetic as it was."""

    name = 'tflite_float16'
    path = 'model_float16.tflite'
    tolerance = 0.05  # a trained MobileNetV2 had 0.02, our other networks 0.006
    agreement = 0.98

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        del saved_model, sample
        converter = _converter(bundle)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        self._write(converter, target)


class Dynamic(_TfLite):
    """Weights of 8 bits; activations are cut to 8 bits by their range in each image."""

    name = 'tflite_dynamic'
    path = 'model_dynamic.tflite'
    tolerance = 0.25  # 0.08 to 0.12 of trained networks, of images on the edge
    agreement = 0.95

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        del saved_model, sample
        converter = _converter(bundle)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        self._write(converter, target)


class Int8(_TfLite):
    """Weights and activations of 8 bits, from uint8 images to float32 probabilities.

    Ranges of activations are measured on a sample of images. What prepares pixels,
    local response norm and the softmax stay float32: they take little time, and
    8 bits do not hold the range of a square, nor a thousand probabilities.
    """

    name = 'tflite_int8'
    path = 'model_int8.tflite'
    tolerance = 0.3  # 0.07 to 0.12 of trained networks, more of small samples
    agreement = 0.9
    measures = True

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        del saved_model
        converter = _converter(bundle, tf.uint8)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _one_by_one(sample)
        # Only the debugger can leave operations out, the converter alone cannot.
        with explained('TensorFlow Lite', self.name):
            debugger = tf.lite.experimental.QuantizationDebugger(
                converter=converter, debug_options=_left_out([])
            )
            debugger.options = _left_out(_neighbours(debugger.calibrated_model))
            model = debugger.get_nondebug_quantized_model()
        target.write_bytes(model)


def _converter(bundle: Bundle, dtype: tf.DType = tf.float32) -> tf.lite.TFLiteConverter:
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [probabilities(bundle, dtype).get_concrete_function()], bundle.network
    )


def _one_by_one(sample: np.ndarray) -> Iterator[list[np.ndarray]]:
    sample = sample.copy()
    # With both ends of the range among the pixels, each value has a step of its own.
    sample[0, 0, 0] = 0
    sample[0, -1, -1] = 255
    for image in sample:
        yield [image[np.newaxis]]


def _left_out(tensors: list[str]) -> tf.lite.experimental.QuantizationDebugOptions:
    return tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=list(_FLOAT32), denylisted_nodes=tensors
    )


def _neighbours(model: bytes) -> list[str]:
    """The tensors of sums over channels in local response norm, convolutions too."""
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_content=model).get_tensor_details()
    return [each['name'] for each in details if 'neighbours' in each['name']]
