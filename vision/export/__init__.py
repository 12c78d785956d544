"""A trained network for other programs: files that need nothing of this project."""

from vision.export.checking import TIE, Comparison, compare
from vision.export.formats import Answers, Bundle, Format
from vision.export.onnx_file import Onnx
from vision.export.saved_model import SavedModel
from vision.export.tensorflowjs import TensorFlowJs
from vision.export.tflite import Dynamic, Float16, Float32, Int8

FORMATS: dict[str, Format] = {
    form.name: form
    for form in (
        SavedModel(),
        Float32(),
        Float16(),
        Dynamic(),
        Int8(),
        Onnx(),
        TensorFlowJs(),
    )
}

__all__ = ['Answers', 'Bundle', 'Comparison', 'FORMATS', 'Format', 'TIE', 'compare']
