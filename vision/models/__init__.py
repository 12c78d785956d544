"""The networks, by name."""

import inspect
from collections.abc import Callable
from typing import Any

from vision.errors import UserError, suggestion
from vision.layers import Head
from vision.models import cifar_cnn, inception_v1, mobilenet_v2, small_cnn, xception
from vision.models.network import Network
from vision.models.outputs import Outputs

MODELS: dict[str, Callable[..., Network]] = {
    'inception_v1': inception_v1.inception_v1,
    'inception_v1_compact': inception_v1.inception_v1_compact,
    'inception_v1_bn': inception_v1.inception_v1_bn,
    'googlenet': inception_v1.googlenet,
    'small_cnn': small_cnn.small_cnn,
    'cifar_cnn': cifar_cnn.cifar_cnn,
    'mobilenet_v2': mobilenet_v2.mobilenet_v2,
    'xception': xception.xception,
}


def create(name: str, **options) -> Network:
    """Makes the model called `name` with fresh weights.

    The weights are drawn from TensorFlow's global generator: call `tf.random.set_seed`
    first for the same ones again.

    Args:
        name: a key of `MODELS`.
        **options: arguments of that model, those that `option_names` lists.

    Raises:
        UserError: there is no model of that name.
        ValueError: the model does not take an option, or its value.
    """
    make, accepted = _find(name), option_names(name)
    for option in options:
        if option not in accepted:
            raise ValueError(
                f'Expected options of {name}, {", ".join(accepted)}; received {option}.'
            )
    return make(name=name, **options)


def option_names(name: str) -> list[str]:
    """What the model called `name` can be told: its own, and those of every model.

    Raises:
        UserError: there is no model of that name.
    """
    own = inspect.signature(_find(name)).parameters.values()
    named = [p.name for p in own if p.kind is not p.VAR_KEYWORD]
    head = inspect.signature(Head).parameters.values()
    shared = [p.name for p in head if p.kind is p.KEYWORD_ONLY and p.name != 'name']
    return list(
        dict.fromkeys(['classes', 'image_size', 'normalization', *named, *shared])
    )


def default_normalization(name: str) -> str:
    """The normalization that the model called `name` has unless told otherwise.

    Raises:
        UserError: there is no model of that name.
    """
    return _default(name, 'normalization')


def default_image_size(name: str) -> int:
    """The side in pixels that the model called `name` has unless told otherwise.

    Raises:
        UserError: there is no model of that name.
    """
    return _default(name, 'image_size')


def _default(name: str, option: str) -> Any:
    return inspect.signature(_find(name)).parameters[option].default


def _find(name: str) -> Callable[..., Network]:
    if name not in MODELS:
        raise UserError(
            f'Expected a model of {", ".join(MODELS)}; received {name!r}.'
            f'{suggestion(name, MODELS)}'
        )
    return MODELS[name]


__all__ = [
    'MODELS',
    'Network',
    'Outputs',
    'create',
    'default_image_size',
    'default_normalization',
    'option_names',
]
