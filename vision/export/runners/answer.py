"""Asks an export in its own runtime; imports that and NumPy, and nothing of ours.

    python answer.py RUNTIME EXPORT IMAGES.npy ANSWERS.npz

IMAGES are uint8 [N, S, S, 3]. ANSWERS will hold the float32 [N, classes] probabilities,
and the median milliseconds of a picture by itself.
"""

import os
import sys
import time
from collections.abc import Callable

import numpy as np

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 [B, S, S, 3] -> [B, classes]

BATCH = 8
WARM_UP, TIMED = 5, 30


def saved_model(path: str) -> Predict:
    import tensorflow as tf
    loaded = tf.saved_model.load(path)
    serve = loaded.signatures['serving_default']

    def predict(images: np.ndarray) -> np.ndarray:
        return serve(images=tf.constant(images, tf.float32))['probabilities'].numpy()

    return predict


def tflite(path: str) -> Predict:
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(path, num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    taken, = interpreter.get_input_details()
    given, = interpreter.get_output_details()
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

    return predict


def onnx(path: str) -> Predict:
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def predict(images: np.ndarray) -> np.ndarray:
        images = images.astype(np.float32)
        return session.run(['probabilities'], {'images': images})[0]

    return predict


RUNTIMES: dict[str, Callable[[str], Predict]] = {
    'saved_model': saved_model,
    'tflite': tflite,
    'onnx': onnx,
}


def time_one(predict: Predict, images: np.ndarray) -> float:
    """Median milliseconds of one picture by itself."""
    times = []
    for i in range(WARM_UP + TIMED):
        image = images[i % len(images)][np.newaxis]
        start = time.perf_counter()
        predict(image)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[WARM_UP:]))


def main(runtime: str, path: str, pictures: str, answers: str) -> None:
    predict = RUNTIMES[runtime](path)
    images = np.load(pictures)
    starts = range(0, len(images), BATCH)
    found = [predict(images[start:start + BATCH]) for start in starts]
    milliseconds = time_one(predict, images)
    np.savez(answers, probabilities=np.concatenate(found), milliseconds=milliseconds)


if __name__ == '__main__':
    main(*sys.argv[1:])
