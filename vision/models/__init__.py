"""Networks: one file a family, `Network`, and the weights that others trained."""

import inspect
from typing import TYPE_CHECKING, Any

from vision.models.registry import MODELS, NORMALIZATIONS
from vision.registry import lazy_attributes

if TYPE_CHECKING:
    from vision.models.network import Network
    from vision.models.outputs import Outputs

__all__ = [
    'MODELS',
    'NORMALIZATIONS',
    'Network',
    'Outputs',
    'create',
    'default_image_size',
    'default_normalization',
    'option_names',
]

__getattr__ = lazy_attributes(__name__, __all__, 'network', 'outputs')


def create(name: str, **options) -> 'Network':
    """Makes the model called `name` with random weights.

    The weights are drawn from TensorFlow's global generator: call `tf.random.set_seed`
    first for the same ones again.

    Args:
        name: a key of `MODELS`.
        **options: arguments of that model, those that `option_names` lists.

    Raises:
        UserError: there is no model of that name.
        ValueError: the model does not take an option, or its value.
    """
    make, accepted = MODELS.load(name), option_names(name)
    for option in options:
        if option not in accepted:
            raise ValueError(
                f'Expected options of {name}, {", ".join(accepted)}; received {option}.'
            )
    return make(name=name, **options)


def option_names(name: str) -> list[str]:
    """The options of the model called `name` and those that all models have.

    Raises:
        UserError: there is no model of that name.
    """
    from vision.layers import Head

    parameters = inspect.signature(MODELS.load(name)).parameters.values()
    named = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
    head = inspect.signature(Head).parameters.values()
    shared = [p.name for p in head if p.kind is p.KEYWORD_ONLY and p.name != 'name']
    return list(
        dict.fromkeys(['classes', 'image_size', 'normalization', *named, *shared])
    )


def default_normalization(name: str) -> str:
    """The normalization of the model called `name` by default.

    Raises:
        UserError: there is no model of that name.
    """
    return _default(name, 'normalization')


def default_image_size(name: str) -> int:
    """The side in pixels of the images of the model called `name` by default.

    Raises:
        UserError: there is no model of that name.
    """
    return _default(name, 'image_size')


def _default(name: str, option: str) -> Any:
    return inspect.signature(MODELS.load(name)).parameters[option].default
