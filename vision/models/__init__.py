"""Networks: one file a family, `Network`, and the weights that others trained."""

import inspect
from typing import TYPE_CHECKING, Any

from vision.models.registry import MODELS, NORMALIZATIONS
from vision.registry import lazy_attributes

if TYPE_CHECKING:
    from vision.models.network import Network, Outputs

__all__ = [
    'MODELS',
    'NORMALIZATIONS',
    'Network',
    'Outputs',
    'create',
    'defaults',
    'option_names',
]

__getattr__ = lazy_attributes(__name__, __all__, 'network')


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

    shared = [o for o in inspect.getfullargspec(Head).kwonlyargs if o != 'name']
    return list(dict.fromkeys(['classes', *defaults(name), *shared]))


def defaults(name: str) -> dict[str, Any]:
    """The options that the model called `name` has a default for, with that value.

    They include the `image_size` in pixels and the `normalization`.

    Raises:
        UserError: there is no model of that name.
    """
    parameters = inspect.signature(MODELS.load(name)).parameters
    return {o: p.default for o, p in parameters.items() if p.default is not p.empty}
