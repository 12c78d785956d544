"""ONNX, which runtimes of many makers read."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from vision.errors import UserError
from vision.export import processes
from vision.export.description import describe
from vision.export.failures import explained
from vision.export.formats import Answers, Bundle, Format
from vision.export.graphs import images_spec, probabilities

OPSET = 17  # of 2022: every runtime since then reads it


class Onnx(Format):
    """`images` float32 [B, S, S, 3] in 0..255 → `probabilities` float32 [B, classes].

    Names and ids of the classes and what else `describe` says are in its metadata, as
    JSON.
    """

    name = 'onnx'
    path = 'model.onnx'
    tolerance = 1e-4  # float32 sums in another order; 2e-6 of GoogLeNet
    agreement = 1.0

    def check_available(self) -> None:
        missing = [
            name
            for name in ('onnx', 'onnxruntime', 'tf2onnx')
            if importlib.util.find_spec(name) is None
        ]
        if missing:
            raise UserError(
                f'Expected {", ".join(missing)} to make and run {self.path} with, but '
                f'not all of that is installed: pip install {" ".join(missing)}'
            )

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        del saved_model, sample
        import onnx
        import tf2onnx

        with explained('ONNX', self.name):
            model, _ = tf2onnx.convert.from_function(
                probabilities(bundle), [images_spec(bundle, tf.float32)], opset=OPSET
            )
            onnx.helper.set_model_props(
                model,
                {name: json.dumps(value) for name, value in describe(bundle).items()},
            )
            onnx.checker.check_model(model, full_check=True)
        onnx.save(model, str(target))

    def run(self, target: Path, images: np.ndarray) -> Answers:
        return processes.ask('onnx', target, images)
