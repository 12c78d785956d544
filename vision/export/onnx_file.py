"""ONNX, which runtimes of many vendors read."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from vision.export.formats import Bundle, Format

OPSET = 17  # of 2022: all runtimes since then read it


class Onnx(Format):
    """`images` float32 [B, S, S, 3] in 0..255 → `probabilities` float32 [B, classes].

    The metadata of the file holds `Bundle.describe`, each value as JSON.
    """

    name = 'onnx'
    path = 'model.onnx'
    runtime = 'onnx'
    packages = {name: name for name in ('onnx', 'onnxruntime', 'tf2onnx')}
    tolerance = 1e-4  # float32 sums in another order; 2e-6 of GoogLeNet

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        import onnx
        import tf2onnx

        function = bundle.signature(tf.float32, logits=False)
        with self.conversion('ONNX'):
            model, _ = tf2onnx.convert.from_function(
                function, function.input_signature, opset=OPSET
            )
            onnx.helper.set_model_props(
                model,
                {name: json.dumps(value) for name, value in bundle.describe().items()},
            )
            onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(target))


ONNX = Onnx()
