"""A `Network` object in the place of the name of a model."""

from collections.abc import Mapping

from trainers.settings.config import CUSTOM, Config, ConfigError
from vision.models import Network
from vision.models.specification import Specification

# Settings that shape a network which is made from a name.
_SETTINGS = (
    'model_options',
    'pooling',
    'dense',
    'dropout',
    'feature_dropout',
    'aux_dropout',
)


def specify(
    config: Config,
    network: Network,
    classes: tuple[str, ...],
    dropout_rates: Mapping[str, float],
) -> Specification:
    """What is stored with the weights of a `Network` object.

    Args:
        config: the run's settings.
        network: the object.
        classes: names of the classes in the order of the logits.
        dropout_rates: those of the network, by the names of settings.

    Raises:
        ConfigError: a setting contradicts the network, or the number of classes does.
    """
    if network.classes != len(classes):
        raise ConfigError(
            f'Expected a network of {len(classes)} classes, those of the dataset; '
            f'received one of {network.classes}.'
        )
    own_values = {
        **{name: getattr(Config, name) for name in _SETTINGS},
        **dropout_rates,
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


def check(recorded: Specification, network: Network | None, origin: object) -> None:
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
