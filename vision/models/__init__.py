"""The networks, by name."""

import inspect
from typing import Any, Callable

import tensorflow as tf

from vision.errors import suggestion, UserError
from vision.models import inception_v1
from vision.models.outputs import Outputs

MODELS: dict[str, Callable[..., tf.Module]] = {
    'inception_v1': inception_v1.inception_v1,
    'inception_v1_compact': inception_v1.inception_v1_compact,
    'inception_v1_bn': inception_v1.inception_v1_bn,
    'googlenet': inception_v1.googlenet,
}


def create(name: str, **options) -> tf.Module:
    """Makes the model called `name` with fresh weights.

    The weights are drawn from TensorFlow's global generator: call `tf.random.set_seed`
    first for the same ones again.

    Args:
        name: a key of `MODELS`.
        **options: arguments of that model: `classes`, `image_size`, `normalization`,
            `dropout`, `aux_dropout`, `dtype`.

    Raises:
        UserError: there is no model of that name.
        ValueError: the model does not take an option's value.
    """
    return _find(name)(name=name, **options)


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


def _find(name: str) -> Callable[..., tf.Module]:
    if name not in MODELS:
        raise UserError(f'Expected a model of {", ".join(MODELS)}; received {name!r}.'
                        f'{suggestion(name, MODELS)}')
    return MODELS[name]


__all__ = ['MODELS', 'Outputs', 'create', 'default_image_size', 'default_normalization']
