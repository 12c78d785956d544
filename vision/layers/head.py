"""The end of a network: from the last map to one logit for each class."""

import tensorflow as tf

from vision.layers.activations import relu
from vision.layers.dense import Dense
from vision.layers.dropout import Dropout
from vision.layers.modes import Mode
from vision.layers.options import POOLINGS

# Of the dropout of the pooled features; the other dropouts of networks have others.
_FEATURE_SALT = 3


class Head(tf.Module):
    """Pooling, dense layers with ReLU, classifier: `[B, H, W, in]` → `[B, classes]`.

    Logits are float32. 'average' and 'max' accept maps of any size, 'flatten' only the
    size that the head is made for.

    Args:
        in_channels: channels of the map.
        map_size: side of the map in pixels.
        classes: number of classes.
        pooling: one of `POOLINGS`: how the map's pixels are combined.
        dense: widths of the dense layers between pooling and classifier.
        feature_dropout: dropout rate of the pooled features; without dense layers in
            addition to `dropout`.
        dropout: dropout rate of the classifier's input.
        dtype: floating-point type of the arithmetic.

    Raises:
        ValueError: an option is out of range.
    """

    def __init__(
        self,
        in_channels: int,
        map_size: int,
        classes: int,
        *,
        pooling: str = 'average',
        dense: tuple[int, ...] = (),
        feature_dropout: float = 0.0,
        dropout: float = 0.0,
        dtype: tf.DType = tf.float32,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if pooling not in POOLINGS:
            raise ValueError(
                f'Expected a pooling of {", ".join(POOLINGS)}; received {pooling!r}.'
            )
        if any(width < 1 for width in dense):
            raise ValueError(
                f'Expected dense layers of at least 1 unit, received {tuple(dense)}.'
            )
        self.map_shape = (map_size, map_size, in_channels)
        self.pooling = pooling
        self.features = in_channels * (map_size**2 if pooling == 'flatten' else 1)
        widths = [self.features, *dense]
        self.feature_dropout = Dropout(feature_dropout, _FEATURE_SALT)
        self.dense = [
            Dense(inputs, outputs, dtype=dtype)
            for inputs, outputs in zip(widths, widths[1:])
        ]
        self.dropout = Dropout(dropout)
        self.classifier = Dense(widths[-1], classes, dtype=dtype)
        self.dtype = dtype

    def __call__(
        self, x: tf.Tensor, training: Mode = False, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        return self.classify(self.pool(x), training, seed)

    def pool(self, x: tf.Tensor) -> tf.Tensor:
        """The features of each image, `[B, features]`, the same in all modes.

        Raises:
            ValueError: the head flattens maps, and this map has another size.
        """
        if self.pooling == 'average':
            return tf.reduce_mean(x, [1, 2])
        if self.pooling == 'max':
            return tf.reduce_max(x, [1, 2])
        if not x.shape[1:].is_compatible_with(self.map_shape):
            raise ValueError(
                f'Expected a map of shape {self.map_shape} for a head that flattens '
                f'it, received {tuple(x.shape[1:])}. Resize the images, or choose '
                'pooling average or max.'
            )
        # For shapes that are unknown while tracing: without this check a reshape could
        # assign pixels to wrong images.
        x = tf.ensure_shape(x, [None, *self.map_shape])
        return tf.reshape(x, [-1, self.features])

    def classify(
        self, features: tf.Tensor, training: Mode = False, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Logits, float32 `[B, classes]`, of the features that `pool` returns."""
        x = self.feature_dropout(tf.cast(features, self.dtype), training, seed)
        for layer in self.dense:
            x = relu(layer(x, training))
        x = self.dropout(x, training, seed)
        return tf.cast(self.classifier(x, training), tf.float32)
