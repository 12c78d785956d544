"""Asks an export in its own runtime; imports that and NumPy, and nothing of ours.

    python answer.py RUNTIME EXPORT IMAGES.npy ANSWERS.npz

IMAGES are uint8 [N, S, S, 3]. ANSWERS will hold the float32 [N, classes] probabilities,
and the median milliseconds of an image by itself. What an export has several ways to
ask for has to be the same in all of them.
"""

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

    def of_bytes(images: np.ndarray) -> np.ndarray:
        return signatures['uint8'](images=tf.constant(images))['probabilities'].numpy()

    def of_floats(images: np.ndarray) -> np.ndarray:
        floats = tf.constant(images, tf.float32)
        return signatures['serving_default'](images=floats)['probabilities'].numpy()

    def of_files(images: np.ndarray) -> np.ndarray:
        files = tf.stack([tf.io.encode_png(image) for image in images])
        return signatures['encoded'](files=files)['probabilities'].numpy()

    return {'uint8': of_bytes, 'serving_default': of_floats, 'encoded': of_files}


def tflite(path: str) -> dict[str, Predict]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    (taken,) = interpreter.get_input_details()
    (given,) = interpreter.get_output_details()
    shape = tuple(taken['shape'])

    def predict(images: np.ndarray) -> np.ndarray:
        nonlocal shape
        if images.shape != shape:
            shape = images.shape
            interpreter.resize_tensor_input(taken['index'], shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(taken['index'], images.astype(taken['dtype']))
        interpreter.invoke()
        return interpreter.get_tensor(given['index'])

    return {'images': predict}


def onnx(path: str) -> dict[str, Predict]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def predict(images: np.ndarray) -> np.ndarray:
        images = images.astype(np.float32)
        return session.run(['probabilities'], {'images': images})[0]

    return {'images': predict}


# By what they are called in the export, the first one to be compared and timed.
RUNTIMES: dict[str, Callable[[str], dict[str, Predict]]] = {
    'saved_model': saved_model,
    'tflite': tflite,
    'onnx': onnx,
}


def time_one(predict: Predict, images: np.ndarray) -> float:
    """Median milliseconds of one image by itself."""
    times = []
    for i in range(WARM_UP + TIMED):
        image = images[i % len(images)][np.newaxis]
        start = time.perf_counter()
        predict(image)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[WARM_UP:]))


def check_same(ways: dict[str, Predict], images: np.ndarray) -> None:
    """Ends the process unless all ways to ask get the same probabilities."""
    (first, expected), *others = ((way, ask(images)) for way, ask in ways.items())
    for way, found in others:
        difference = np.abs(found - expected).max()
        if not difference <= SAME:
            sys.exit(
                f'{way} and {first} differ by {difference}, at most {SAME} is allowed.'
            )


def main(runtime: str, path: str, input_file: str, answers: str) -> None:
    ways = RUNTIMES[runtime](path)
    images = np.load(input_file)
    check_same(ways, images[:BATCH])
    predict = next(iter(ways.values()))
    starts = range(0, len(images), BATCH)
    found = [predict(images[start : start + BATCH]) for start in starts]
    milliseconds = time_one(predict, images)
    np.savez(answers, probabilities=np.concatenate(found), milliseconds=milliseconds)


if __name__ == '__main__':
    main(*sys.argv[1:])
