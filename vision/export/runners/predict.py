"""Runs an export in its own runtime; imports that and NumPy, and nothing of Tapestry.

    python predict.py RUNTIME EXPORT IMAGES PREDICTIONS

IMAGES is a .npy file, uint8 [N, S, S, 3]. The probabilities, float32 [N, classes], are
written to PREDICTIONS, in the machine's byte order and without a header. The median
milliseconds of a batch of one image are printed as JSON. Where an export has several
signatures, all of them have to return the same probabilities.
"""

import functools
import json
import os
import sys
import time
from collections.abc import Callable

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 [B, S, S, 3] -> [B, classes]

BATCH = 8
SAME = 1e-5  # the same operations, which may only be put in another order
WARM_UP, TIMED = 5, 30


def saved_model(path: str) -> dict[str, Predict]:
    import tensorflow as tf

    signatures = tf.saved_model.load(path).signatures
    inputs: dict[str, Callable] = {
        'uint8': lambda images: {'images': tf.constant(images)},
        'serving_default': lambda images: {'images': tf.constant(images, tf.float32)},
        'encoded': lambda images: {
            'files': tf.stack([tf.io.encode_png(image) for image in images])
        },
    }

    def predict(name: str, images: np.ndarray) -> np.ndarray:
        return signatures[name](**inputs[name](images))['probabilities'].numpy()

    return {name: functools.partial(predict, name) for name in inputs}


def tflite(path: str) -> dict[str, Predict]:
    from ai_edge_litert.interpreter import Interpreter

    model = Interpreter(path, num_threads=os.cpu_count()).get_signature_runner()
    dtype = model.get_input_details()['images']['dtype']

    def predict(images: np.ndarray) -> np.ndarray:
        return model(images=images.astype(dtype))['probabilities']

    return {'images': predict}


def onnx(path: str) -> dict[str, Predict]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def predict(images: np.ndarray) -> np.ndarray:
        return session.run(['probabilities'], {'images': images.astype(np.float32)})[0]

    return {'images': predict}


# Functions by signature; the first of an export is compared with the model and timed.
RUNTIMES: dict[str, Callable[[str], dict[str, Predict]]] = {
    'saved_model': saved_model,
    'tflite': tflite,
    'onnx': onnx,
}


def time_one(predict: Predict, images: np.ndarray) -> float:
    """Median milliseconds of a batch of one image."""
    times = []
    for i in range(WARM_UP + TIMED):
        image = images[i % len(images)][np.newaxis]
        start = time.perf_counter()
        predict(image)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[WARM_UP:]))


def check_same(signatures: dict[str, Predict], images: np.ndarray) -> None:
    """Ends the process unless all signatures return the same probabilities."""
    predictions = {name: predict(images) for name, predict in signatures.items()}
    first = next(iter(predictions))
    for name, probabilities in predictions.items():
        difference = np.abs(probabilities - predictions[first]).max()
        if not difference <= SAME:
            sys.exit(
                f'{name} and {first} differ by {difference}, at most {SAME} is allowed.'
            )


def main(runtime: str, path: str, input_file: str, output_file: str) -> None:
    signatures = RUNTIMES[runtime](path)
    images = np.load(input_file)
    check_same(signatures, images[:BATCH])
    predict = next(iter(signatures.values()))
    batches = np.split(images, range(BATCH, len(images), BATCH))
    np.concatenate(list(map(predict, batches))).astype(np.float32).tofile(output_file)
    print(json.dumps({'milliseconds': time_one(predict, images)}))


if __name__ == '__main__':
    main(*sys.argv[1:])
