"""Exports of a trained network: files that other programs run without this project."""

from vision.registry import Entry, Registry

FORMATS = Registry(
    'a format',
    {
        'saved_model': Entry(
            'vision.export.saved_model:SAVED_MODEL',
            'SavedModel of TensorFlow, also for TensorFlow Serving.',
        ),
        'tflite_float32': Entry(
            'vision.export.tflite:FLOAT32', 'TensorFlow Lite in float32.'
        ),
        'tflite_float16': Entry(
            'vision.export.tflite:FLOAT16', 'TensorFlow Lite with float16 weights.'
        ),
        'tflite_dynamic': Entry(
            'vision.export.tflite:DYNAMIC',
            'TensorFlow Lite with 8-bit weights and activations quantized per image.',
        ),
        'tflite_int8': Entry(
            'vision.export.tflite:INT8',
            'TensorFlow Lite with 8-bit weights and activations.',
        ),
        'onnx': Entry('vision.export.onnx_file:ONNX', 'ONNX in float32.'),
        'tensorflowjs': Entry(
            'vision.export.tensorflowjs:TENSORFLOW_JS',
            'TensorFlow.js with a web page that classifies images in the browser.',
        ),
    },
)
