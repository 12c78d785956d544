"""Inception v1 as a Keras model, as a baseline.

It is built from the tables of `vision.models.inception_v1` and, with the same weights,
returns the same probabilities.
"""

import functools

import keras
import tensorflow as tf
from keras import layers

from scripts.benchmark.timing import Workload, timed
from scripts.benchmark.workloads import device_batch
from trainers.networks import build as networks
from trainers.settings.config import Config, ConfigError
from vision.data import Source
from vision.layers.inception import Widths
from vision.models.inception_v1 import (
    AUXILIARY_AFTER,
    BODY,
    COMPACT_STEM,
    SMALL_IMAGE_STEM,
    Conv,
    Norm,
    Pool,
    Stem,
)
from vision.models.registry import NORMALIZATIONS

STEMS: dict[str, Stem] = {
    'inception_v1': SMALL_IMAGE_STEM,
    'inception_v1_compact': COMPACT_STEM,
}


def check(model: str) -> None:
    """Raises a ConfigError unless the model can be built in Keras here."""
    if model not in STEMS:
        raise ConfigError(
            f'Expected --model to be one of {", ".join(STEMS)} in '
            '--mode=peers, since only these are built in Keras; received '
            f'{model!r}.'
        )


def training_steps(
    config: Config, source: Source, gflop: float, policy: str = 'float32'
) -> Workload:
    """`train_on_batch` on one normalized batch in the memory of the device.

    Args:
        config: model, learning rate and weights of the auxiliary losses.
        source: its training split is the batch.
        gflop: floating-point operations of a step / 10⁹.
        policy: a Keras dtype policy, float32 or a mixed one.
    """
    specification = networks.specify(config, source.classes, source.image_size)
    peer, _ = networks.build(config, specification, 'float32')
    rates = peer.dropout_rates
    model = network(
        config.model,
        len(source.classes),
        source.image_size,
        policy,
        rates['dropout'],
        rates['aux_dropout'],
    )
    heads = len(model.outputs)
    has_norm = any(isinstance(row, Norm) for row in STEMS[config.model])
    model.compile(
        keras.optimizers.Adam(config.learning_rate),
        loss=['sparse_categorical_crossentropy'] * heads,
        loss_weights=[1.0] + [config.aux_weight] * (heads - 1),
        metrics=[['accuracy']] * heads,
        jit_compile=False if has_norm and policy == 'float32' else 'auto',
    )
    batch = device_batch(source)
    images = NORMALIZATIONS.load(specification.normalization)(
        tf.cast(batch.images, tf.float32)
    )
    labels = [batch.labels] * heads

    def work(steps: int) -> None:
        for _ in range(steps):
            model.train_on_batch(images, labels)  # waits for the device

    lacking = ' without LRN' if has_norm and policy != 'float32' else ''
    return Workload(f'Keras, {policy}{lacking}', timed(work), len(batch.labels), gflop)


def network(
    model: str,
    classes: int,
    image_size: int,
    policy: str = 'float32',
    dropout: float = 0.0,
    aux_dropout: float = 0.0,
) -> keras.Model:
    """A network from normalized images to probabilities of the main and other heads.

    Under a mixed policy, local response norms are left out, since TensorFlow's kernel,
    which Keras calls, is float32 only.
    """
    x = images = keras.Input([image_size, image_size, 3])
    for layer in STEMS[model]:
        x = _stem_layer(x, layer, policy)
    auxiliary = []
    for row in BODY:
        if isinstance(row, Pool):
            x = _pool(x, row.stride, policy)
        else:
            block, widths = row
            x = _inception(x, block, widths, policy)
            if block in AUXILIARY_AFTER:
                auxiliary.append(_auxiliary(x, block, classes, aux_dropout, policy))
    x = layers.GlobalAveragePooling2D(dtype=policy)(x)
    main = _classifier(x, 'classifier', classes, dropout, policy)
    return keras.Model(images, [main, *auxiliary])


def _stem_layer(
    x: keras.KerasTensor, row: Conv | Pool | Norm, policy: str
) -> keras.KerasTensor:
    if isinstance(row, Pool):
        return _pool(x, row.stride, policy)
    if isinstance(row, Conv):
        return _conv(
            x,
            row.name,
            row.channels,
            row.kernel_size,
            policy,
            'relu' if row.relu else None,
        )
    if policy != 'float32':
        return x
    return layers.Lambda(
        functools.partial(
            tf.nn.local_response_normalization,
            depth_radius=row.radius,
            alpha=row.alpha,
            beta=row.beta,
        )
    )(x)


def _inception(
    x: keras.KerasTensor, block: str, widths: Widths, policy: str
) -> keras.KerasTensor:

    def conv(
        x: keras.KerasTensor, name: str, channels: int, kernel_size: int = 1
    ) -> keras.KerasTensor:
        return _conv(x, f'{block}_{name}', channels, kernel_size, policy)

    return layers.Concatenate(dtype=policy)(
        [
            conv(x, 'conv1', widths.conv1),
            conv(conv(x, 'reduce3', widths.reduce3), 'conv3', widths.conv3, 3),
            conv(conv(x, 'reduce5', widths.reduce5), 'conv5', widths.conv5, 5),
            conv(_pool(x, 1, policy), 'project', widths.pool),
        ]
    )


def _auxiliary(
    x: keras.KerasTensor, block: str, classes: int, dropout: float, policy: str
) -> keras.KerasTensor:
    x = layers.AveragePooling2D(min(5, x.shape[1]), 3, dtype=policy)(x)
    x = _conv(x, f'{block}_head_conv', 128, 1, policy)
    x = layers.Flatten(dtype=policy)(x)
    x = layers.Dense(1024, 'relu', dtype=policy, name=f'{block}_head_dense')(x)
    return _classifier(x, f'{block}_head_classifier', classes, dropout, policy)


def _classifier(
    x: keras.KerasTensor, name: str, classes: int, dropout: float, policy: str
) -> keras.KerasTensor:
    x = layers.Dropout(dropout, dtype=policy)(x)
    x = layers.Dense(classes, dtype=policy, name=name)(x)
    return layers.Softmax(dtype='float32')(x)


def _conv(
    x: keras.KerasTensor,
    name: str,
    channels: int,
    kernel_size: int,
    policy: str,
    activation: str | None = 'relu',
) -> keras.KerasTensor:
    return layers.Conv2D(
        channels,
        kernel_size,
        padding='same',
        activation=activation,
        dtype=policy,
        name=name,
    )(x)


def _pool(x: keras.KerasTensor, stride: int, policy: str) -> keras.KerasTensor:
    return layers.MaxPooling2D(3, stride, 'same', dtype=policy)(x)
