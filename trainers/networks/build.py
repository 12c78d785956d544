"""Networks with their initial weights, made from a configuration."""

from typing import Any

import tensorflow as tf

from trainers.networks import pretrained
from trainers.settings.config import CUSTOM, Config, ConfigError
from trainers.settings.parsing import MODEL_OPTIONS, written
from vision import models
from vision.errors import suggestion
from vision.models import Network
from vision.models.specification import Specification

DROPOUT = ('dropout', 'feature_dropout', 'aux_dropout')
# Settings of the head of a network that is made from a name.
_HEAD = ('pooling', 'dense', *DROPOUT)
# Options of models that have a setting of their own or follow from other settings.
_SETTINGS = {'classes', 'image_size', 'normalization', 'auxiliary', 'dtype', *_HEAD}


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
        ConfigError: the network has no such option, the pretrained weights belong to
            another normalization, or a setting contradicts the object.
        UserError: there is no such network, or no such run to take weights from.
    """
    if network is not None:
        return _specify_object(config, classes, network)
    options = model_options(config)
    if 'auxiliary' in models.option_names(config.model):
        # No loss of an auxiliary head would reach a stage that is trained.
        options['auxiliary'] = config.freeze.trainable_stages != 0
    head = {'pooling': config.pooling, 'dense': config.dense}
    options |= {name: value for name, value in head.items() if value is not None}
    return Specification(
        model=config.model,
        classes=classes,
        image_size=config.image_size or image_size,
        normalization=pretrained.normalization(config)
        or models.defaults(config.model)['normalization'],
        options=options,
    )


def _specify_object(
    config: Config, classes: tuple[str, ...], network: Network
) -> Specification:
    """What is stored with the weights of a `Network` object."""
    if network.classes != len(classes):
        raise ConfigError(
            f'Expected a network of {len(classes)} classes, those of the dataset; '
            f'received one of {network.classes}.'
        )
    own_values = {
        **{name: getattr(Config, name) for name in ('model_options', *_HEAD)},
        **network.dropout_rates,
        'image_size': network.image_size,
        'normalization': network.normalization,
        'precision': network.dtype.name,
    }
    for name, value in own_values.items():
        if getattr(config, name) not in (getattr(Config, name), value):
            raise ConfigError(
                f'Expected no {name} with a Network object, which has its own; '
                f'received {getattr(config, name)!r}. Build the network with it.'
            )
    return Specification(CUSTOM, classes, network.image_size, network.normalization)


def check_network(
    recorded: Specification, network: Network | None, origin: object
) -> None:
    """Compares the network that a run recorded with the object that is given.

    Args:
        recorded: the specification stored with the weights.
        network: the object, or None.
        origin: the run, for messages.

    Raises:
        ConfigError: an object is missing, is not expected, or has another
            specification.
    """
    if network is None:
        if recorded.model == CUSTOM:
            raise ConfigError(
                f'{origin} was trained with a Network object, which is not stored: '
                "build the same network in Python, and pass it as load('...', "
                'network=...) or train(..., network=...).'
            )
        return
    if recorded.model != CUSTOM:
        raise ConfigError(
            f'{origin} was trained with the model {recorded.model}: expected no '
            'Network object.'
        )
    given = (network.classes, network.image_size, network.normalization)
    expected = (len(recorded.classes), recorded.image_size, recorded.normalization)
    if given != expected:
        raise ConfigError(
            f'{origin} was trained with a Network object of (classes, image_size, '
            f'normalization) = {expected}; received one of {given}.'
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
            dropout = {
                name: getattr(config, name)
                for name in DROPOUT
                if getattr(config, name) is not None
                and name in models.option_names(specification.model)
            }
            network = specification.build(dtype=tf.as_dtype(dtype), **dropout)
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
    step = tf.function(
        lambda images: network(images, True, tf.constant([0, 0])), autograph=False
    )
    step.get_concrete_function(tf.TensorSpec([1, size, size, 3], tf.uint8))


def option_defaults(model: str) -> dict[str, Any]:
    """The options of a model that have no setting of their own, with their defaults.

    Raises:
        UserError: there is no such model.
    """
    return {
        name: default
        for name, default in models.defaults(model).items()
        if name not in _SETTINGS
    }


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
