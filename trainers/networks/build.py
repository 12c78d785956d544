"""Networks with their initial weights, made from a configuration."""

import inspect
from typing import Any

import tensorflow as tf

from trainers.networks import custom, pretrained
from trainers.settings.config import Config, ConfigError
from trainers.settings.parsing import MODEL_OPTIONS, written
from vision import models
from vision.errors import suggestion
from vision.models import Network
from vision.models.specification import Specification

_DROPOUT = ('dropout', 'feature_dropout', 'aux_dropout')
# Options of models that have a setting of their own or follow from other settings.
_SETTINGS = {
    'classes',
    'image_size',
    'normalization',
    'auxiliary',
    'dtype',
    'pooling',
    'dense',
    *_DROPOUT,
}


def specify(
    config: Config,
    classes: tuple[str, ...],
    image_size: int,
    network: Network | None = None,
) -> Specification:
    """Resolves the settings that are stored with the weights.

    Args:
        config: the run's settings.
        classes: names of the classes in the order of the logits.
        image_size: side of the images in pixels, where the settings name none.
        network: the object in place of a model's name.

    Raises:
        ConfigError: the network has no such option, or the pretrained weights belong
            to another normalization.
        UserError: there is no such network, or no such run to take weights from.
    """
    if network is not None:
        return custom.specify(config, network, classes, dropout_rates(network))
    options = model_options(config)
    if 'auxiliary' in models.option_names(config.model):
        # No loss of an auxiliary head would reach a stage that is trained.
        options['auxiliary'] = config.freeze.trainable_stages != 0
    for name in ('pooling', 'dense'):
        if getattr(config, name) is not None:
            options[name] = getattr(config, name)
    return Specification(
        model=config.model,
        classes=classes,
        image_size=config.image_size or image_size,
        normalization=pretrained.normalization(config)
        or models.default_normalization(config.model),
        options=options,
    )


def build(
    config: Config,
    specification: Specification,
    dtype: str,
    resumed: bool = False,
    network: Network | None = None,
) -> tuple[Network, list[str]]:
    """Makes the network with its first weights: pretrained ones, others random.

    Args:
        config: the run's settings; `seed` decides the random weights.
        specification: what `specify` returned.
        dtype: type of the arithmetic.
        resumed: whether a checkpoint replaces all weights, so that none are read.
        network: the object in place of a model's name.

    Returns:
        The network, and notes on its weights and on settings without effect.

    Raises:
        ConfigError: the network does not take one of the settings.
        UserError: the pretrained weights are missing or belong to another network.
    """
    tf.random.set_seed(config.seed)
    try:
        if network is None:
            network = _create(config, specification, dtype)
        for change in config.image_size_schedule:
            _check_size(network, change.size)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except tf.errors.ResourceExhaustedError as error:
        raise ConfigError(
            f'The network does not fit into memory: {error.message} '
            'Choose a smaller --dense or --model_options.'
        ) from error
    if config.precise_bn and not network.batch_norms():
        raise ConfigError(
            'Expected a network with batch norms for --precise_bn='
            f'{config.precise_bn}; received --model={config.model}, which has none. '
            'Pass --precise_bn=0.'
        )
    notes = _notes_on_unused_settings(config, _updates_batch_norms(config, network))
    if not resumed:
        notes += pretrained.initialize(network, config, specification.classes)
    return network, notes


def _create(config: Config, specification: Specification, dtype: str) -> Network:
    dropout = {
        name: getattr(config, name)
        for name in _DROPOUT
        if getattr(config, name) is not None
        and name in models.option_names(specification.model)
    }
    return specification.build(dtype=tf.as_dtype(dtype), **dropout)


def dropout_rates(network: Network) -> dict[str, float]:
    """The dropout rates of the heads, by the settings that change them."""
    rates = {
        'dropout': network.head.dropout.rate,
        'feature_dropout': network.head.feature_dropout.rate,
    }
    for head in network.heads.values():
        rates['aux_dropout'] = head.dropout.rate
    return rates


def _updates_batch_norms(config: Config, network: Network) -> bool:
    """Whether batch norms are trained in a phase; leaves the first phase's freeze.

    Raises:
        ConfigError: the network has fewer stages than `freeze` names.
    """
    updates = False
    for name in ('finetune_freeze', 'freeze'):
        try:
            network.freeze(*getattr(config, name))
        except ValueError as error:
            raise ConfigError(f'--{name}: {error}') from error
        if name == 'freeze' or config.finetune_epochs:
            updates |= not all(norm.frozen for norm in network.batch_norms())
    return updates


def _notes_on_unused_settings(config: Config, updates_batch_norms: bool) -> list[str]:
    """A sentence about each setting that has no effect in combination with others."""
    notes = []
    if config.precise_bn and not updates_batch_norms:
        notes.append(
            f'--precise_bn={config.precise_bn} has no effect: all batch norms are '
            'frozen.'
        )
    if not config.finetune_epochs:
        notes += [
            f'--{name} has no effect without --finetune_epochs.'
            for name in ('finetune_freeze', 'finetune_learning_rate')
            if getattr(config, name) != getattr(Config, name)
        ]
    return notes


def _check_size(network: Network, size: int) -> None:
    """Raises ValueError if the network cannot be trained on images of a size.

    The training step is only traced. Otherwise the error would occur hours later, in
    the epoch in which that size begins.
    """
    if size < network.min_image_size:
        raise ValueError(
            f'Expected images of at least {network.min_image_size} '
            f'pixels for {network.name}, received {size} in '
            '--image_size_schedule.'
        )
    seed = tf.constant([0, 0])
    step = tf.function(lambda images: network(images, True, seed), autograph=False)
    step.get_concrete_function(tf.TensorSpec([1, size, size, 3], tf.uint8))


def option_defaults(model: str) -> dict[str, Any]:
    """The options of a model that have no setting of their own, with their defaults.

    Raises:
        UserError: there is no such model.
    """
    names = set(models.option_names(model)) - _SETTINGS
    parameters = inspect.signature(models.MODELS.load(model)).parameters
    return {name: p.default for name, p in parameters.items() if name in names}


def model_options(config: Config) -> dict[str, Any]:
    """The values of `model_options`, of the types that the model's options have.

    Raises:
        ConfigError: the model has no such option, or it takes another kind of value.
        UserError: there is no such model.
    """
    defaults = option_defaults(config.model)
    options = {}
    for name, value in config.model_options:
        (text,) = MODEL_OPTIONS.write([(name, value)])
        if name not in defaults:
            expected = ', '.join(MODEL_OPTIONS.write(defaults))
            raise ConfigError(
                f'Expected --model_options of {config.model} as NAME:VALUE of '
                f'{expected or "none, since it has no options of its own"}; received '
                f'{text!r}.{suggestion(name, defaults)}'
            )
        kind = type(defaults[name])
        if kind is tuple and isinstance(value, int):
            value = (value,)
        elif kind is float and isinstance(value, int):
            value = float(value)
        if type(value) is not kind:
            raise ConfigError(
                f'Expected --model_options such as {name}:{written(defaults[name])}; '
                f'received {text!r}.'
            )
        options[name] = value
    return options
