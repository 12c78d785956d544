"""The format of TensorFlow: a graph with its weights and four signatures."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from vision.data.decoding import decode
from vision.export.formats import Bundle, Format, Function, Named


class SavedModel(Format):
    """A folder for `tf.saved_model.load`, TensorFlow Serving and further converters.

    Its signatures, each with any number B of images:

        serving_default  images float32 [B, S, S, 3] in 0..255 → probabilities, logits
        uint8            images uint8 [B, S, S, 3] → the same
        encoded          files string [B], the bytes of image files → the same
        classes          nothing → names and ids, string [classes]
    """

    name = 'saved_model'
    path = 'saved_model'
    runtime = 'saved_model'
    tolerance = 1e-5  # the same operations, which may only be put in another order

    def convert(
        self, bundle: Bundle, saved_model: Path, target: Path, sample: np.ndarray
    ) -> None:
        predict = bundle.signature(tf.float32)  # traced once, for all three
        side = bundle.specification.image_size
        functions = {
            'serving_default': predict,
            'uint8': _of_bytes(predict, side),
            'encoded': _of_files(predict, side),
            'classes': _classes(bundle),
        }
        graphs = {
            name: function.get_concrete_function()
            for name, function in functions.items()
        }
        module = tf.Module()
        # Not the network itself: its auxiliary heads would be saved too.
        module.weights = list(graphs['serving_default'].graph.variables)
        try:
            tf.saved_model.save(module, str(target), graphs)
        except tf.errors.OpError as error:
            raise OSError(f'{target}: {error.message}') from error


def _of_bytes(predict: Function, side: int) -> Function:

    def of_bytes(images: tf.Tensor) -> Named:
        return predict(tf.cast(images, tf.float32))

    spec = tf.TensorSpec([None, side, side, 3], tf.uint8, name='images')
    return tf.function(of_bytes, [spec], autograph=False)


def _of_files(predict: Function, side: int) -> Function:
    """From the bytes of files, decoded as for evaluation and prediction."""

    def image(contents: tf.Tensor) -> tf.Tensor:
        return decode.fit(decode.decode(contents, at_least=side), side)

    def of_files(files: tf.Tensor) -> Named:
        spec = tf.TensorSpec([side, side, 3], tf.uint8)
        images = tf.map_fn(image, files, fn_output_signature=spec)
        return predict(tf.cast(images, tf.float32))

    return tf.function(
        of_files, [tf.TensorSpec([None], tf.string, name='files')], autograph=False
    )


def _classes(bundle: Bundle) -> Function:

    def classes() -> Named:
        return {
            'names': tf.constant(_text(bundle.specification.classes)),
            'ids': tf.constant(_text(bundle.ids)),
        }

    return tf.function(classes, [], autograph=False)


def _text(names: tuple[str, ...]) -> list[bytes]:
    # Classes can have names of folders, which may hold any bytes.
    return [name.encode('utf-8', 'surrogateescape') for name in names]


SAVED_MODEL = SavedModel()
