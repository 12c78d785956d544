"""TensorFlow Lite, for phones and small computers, in four precisions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from vision.export.formats import Bundle, Format
from vision.layers.normalization import CHANNEL_SUM_SCOPE

# All operations but convolutions, matrix products, pooling and sums of two branches.
_FLOAT32 = [
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
]


class _TfLite(Format):
    """What the four formats have in common.

    Args:
        precision: ends the name of the format, and that of its file.
        tolerance: as of every format.
        agreement: as of every format.
        optimizations: of the converter.
        types: of the weights, where the optimizations are to use others than int8.

    Attributes:
        dtype: type of the images that the export takes.
    """

    runtime = 'tflite'
    packages = {'ai_edge_litert': "'ai-edge-litert>=2.1,<3'"}
    dtype = tf.float32

    def __init__(
        self,
        precision: str,
        tolerance: float,
        agreement: float = 1.0,
        optimizations: Sequence[tf.lite.Optimize] = (tf.lite.Optimize.DEFAULT,),
        types: Sequence[tf.DType] = (),
    ):
        self.name = f'tflite_{precision}'
        self.path = f'model_{precision}.tflite'
        self.tolerance = tolerance
        self.agreement = agreement
        self._optimizations = optimizations
        self._types = types

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        graph = bundle.signature(self.dtype, logits=False).get_concrete_function()
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [graph], bundle.network
        )
        converter.optimizations = list(self._optimizations)
        converter.target_spec.supported_types = list(self._types)
        with self.conversion('TensorFlow Lite'):
            model = self.converted(converter, sample)
        target.write_bytes(model)

    def converted(
        self, converter: tf.lite.TFLiteConverter, sample: np.ndarray
    ) -> bytes:
        """The contents of the export."""
        return converter.convert()


class _Int8(_TfLite):
    """Weights and activations of 8 bits, from uint8 images to float32 probabilities.

    Ranges of activations are computed from a sample of images. The normalization,
    local response norm and the softmax stay float32: they take little time, and
    8 bits do not hold the range of a square, nor a thousand probabilities.
    """

    dtype = tf.uint8
    calibrates = True

    def converted(
        self, converter: tf.lite.TFLiteConverter, sample: np.ndarray
    ) -> bytes:
        from ai_edge_litert.interpreter import Interpreter

        converter.representative_dataset = lambda: _one_by_one(sample)
        # The converter has no option that excludes operations; its debugger has.
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_options=_excluding([])
        )
        calibrated = Interpreter(model_content=debugger.calibrated_model)
        names = [tensor['name'] for tensor in calibrated.get_tensor_details()]
        # The sums over channels in local response norm are convolutions too.
        sums = [name for name in names if CHANNEL_SUM_SCOPE in name]
        if sums:  # Other options quantize anew.
            debugger.options = _excluding(sums)
        return debugger.get_nondebug_quantized_model()


def _one_by_one(sample: np.ndarray) -> Iterator[list[np.ndarray]]:
    sample = sample.copy()
    # With both ends of the range in the pixels, each value has a step of its own.
    sample[0, 0, 0] = 0
    sample[0, -1, -1] = 255
    for image in sample:
        yield [image[np.newaxis]]


def _excluding(tensors: list[str]) -> tf.lite.experimental.QuantizationDebugOptions:
    return tf.lite.experimental.QuantizationDebugOptions(
        denylisted_ops=_FLOAT32, denylisted_nodes=tensors
    )


FLOAT32 = _TfLite(
    'float32',
    tolerance=1e-4,  # float32 sums in another order; 4e-6 of GoogLeNet
    optimizations=(),
)
# Weights of half the size, arithmetic in float32.
FLOAT16 = _TfLite(
    'float16',
    tolerance=0.05,  # a trained MobileNetV2 had 0.02, the other networks 0.006
    agreement=0.98,
    types=(tf.float16,),
)
# Weights of 8 bits; activations are quantized by their range in each image.
DYNAMIC = _TfLite(
    'dynamic',
    tolerance=0.25,  # 0.08 to 0.12 of trained networks, near a decision boundary
    agreement=0.95,
)
INT8 = _Int8(
    'int8',
    tolerance=0.3,  # 0.07 to 0.12 of trained networks, more of small samples
    agreement=0.9,
)
