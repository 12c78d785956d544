"""From a configuration to a network with its first weights."""

import inspect
import math
import re
from typing import Any

import tensorflow as tf

from trainers.networks import pretrained
from trainers.settings.config import Config, ConfigError, parse_size_schedule
from vision import models
from vision.errors import suggestion
from vision.models import Network
from vision.models.specification import Specification

# Options of models that have a setting of their own or follow from others.
_SETTINGS = {
    'classes',
    'image_size',
    'normalization',
    'auxiliary',
    'aux_dropout',
    'dtype',
    'pooling',
    'dense',
    'feature_dropout',
    'dropout',
}


def specify(config: Config, classes: tuple[str, ...], image_size: int) -> Specification:
    """What is stored with the weights, and how images are prepared from now on.

    Args:
        config: the run's settings.
        classes: names of the classes in the order of the logits.
        image_size: side in pixels of the images where the settings leave it open.

    Raises:
        ConfigError: the network has no such option, a width of a dense layer is none,
            or the pretrained weights belong to another normalization.
        UserError: there is no such network, or no such run to take weights from.
    """
    options = parse_options(config.model, config.model_options)
    if 'auxiliary' in models.option_names(config.model):
        # Behind stages that are all frozen they would learn for themselves alone.
        options['auxiliary'] = 'backbone' not in config.freeze
    if config.pooling:
        options['pooling'] = config.pooling
    if config.dense:
        options['dense'] = parse_dense(config.dense)
    return Specification(
        model=config.model,
        classes=classes,
        image_size=config.image_size or image_size,
        normalization=pretrained.normalization(config)
        or models.default_normalization(config.model),
        options=options,
    )


def build(
    config: Config, specification: Specification, dtype: str, resumed: bool = False
) -> tuple[Network, list[str]]:
    """The network with its first weights: random ones, and pretrained ones over them.

    Args:
        config: the run's settings; `seed` decides the random weights.
        specification: what `specify` returned.
        dtype: type of the arithmetic.
        resumed: whether a checkpoint will replace all weights, so that none are read.

    Returns:
        The network, and what a person should know about its weights.

    Raises:
        ConfigError: the network does not take one of the settings.
        UserError: the pretrained weights cannot be had, or are not of this network.
    """
    tf.random.set_seed(config.seed)
    dropout = {
        name: getattr(config, name)
        for name in ('dropout', 'feature_dropout', 'aux_dropout')
        if name in models.option_names(specification.model)
    }
    try:
        network = specification.build(dtype=tf.as_dtype(dtype), **dropout)
        for _, size in parse_size_schedule(config.image_size_schedule):
            _try_size(network, size)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except tf.errors.ResourceExhaustedError as error:
        raise ConfigError(
            f'The network does not fit into memory: {error.message} '
            'Choose a smaller --dense or --model_options.'
        ) from error
    if config.precise_bn and not network.batch_norms():
        raise ConfigError(
            f'Expected a network with batch norms for --precise_bn='
            f'{config.precise_bn}, received --model={config.model} '
            'without. Pass --precise_bn=0.'
        )
    learns = False
    for flag in ('finetune_freeze', 'freeze'):  # left as the first phase has it
        try:
            network.freeze(*parse_freeze(getattr(config, flag)))
        except ValueError as error:
            raise ConfigError(f'--{flag}: {error}') from error
        if flag == 'freeze' or config.finetune_epochs:
            learns |= any(not norm.frozen for norm in network.batch_norms())
    notes = _notes_of_idle_settings(config, learns)
    if resumed:
        return network, notes
    return network, notes + pretrained.initialize(
        network, config, specification.classes
    )


def _notes_of_idle_settings(config: Config, batch_norms_learn: bool) -> list[str]:
    """A sentence about each setting that changes nothing beside the others."""
    notes = []
    if config.precise_bn and not batch_norms_learn:
        notes.append(
            f'--precise_bn={config.precise_bn} measures nothing: every batch '
            'norm is frozen.'
        )
    if not config.finetune_epochs:
        default = Config()
        notes += [
            f'--{name} changes nothing without --finetune_epochs.'
            for name in ('finetune_freeze', 'finetune_learning_rate')
            if getattr(config, name) != getattr(default, name)
        ]
    return notes


def _try_size(network: Network, size: int) -> None:
    """Raises ValueError where the network cannot be trained on images of a size.

    Traced only: it shows here, not hours later when the epoch of that size comes.
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


def own_options(model: str) -> dict[str, inspect.Parameter]:
    """The options that only some models have, by name."""
    names = set(models.option_names(model)) - _SETTINGS
    own = inspect.signature(models.MODELS.load(model)).parameters
    return {name: parameter for name, parameter in own.items() if name in names}


def parse_options(model: str, texts: tuple[str, ...]) -> dict[str, Any]:
    """`('alpha:0.35',)` → `{'alpha': 0.35}`, by the type that each option has.

    Raises:
        ConfigError: the model has no such option, or it takes another kind of value.
        UserError: there is no such model.
    """
    own = own_options(model)
    parsed = {}
    for text in texts:
        name, separator, value = text.partition(':')
        if name not in own or not separator:
            known = ', '.join(f'{n}:{written(p.default)}' for n, p in own.items())
            raise ConfigError(
                f'Expected --model_options of {model} as NAME:VALUE of '
                f'{known or "none, since it has no options of its own"}; received '
                f'{text!r}.{suggestion(name, own)}'
            )
        parsed[name] = _read(text, value, own[name].default)
    return parsed


def parse_freeze(texts: tuple[str, ...]) -> tuple[int | None, bool]:
    """`('last:2', 'bn')` → `(2, True)`, the arguments of `Network.freeze`.

    Raises:
        ValueError: a text is none of these, or two contradict each other.
    """
    for text in texts:
        if not re.fullmatch(r'backbone|last:0*[1-9]\d*|bn|none', text):
            raise ValueError(
                f'Expected to freeze backbone, last:N, bn or none; received {text!r}.'
            )
    parts = set(texts) - {'bn'}
    if len(parts) > 1 or {'none', 'bn'} <= set(texts):
        raise ValueError(
            'Expected to freeze one of backbone, last:N and none, or '
            f'last:N and bn; received {",".join(texts)}.'
        )
    for part in parts - {'none'}:
        return int(part.partition(':')[2] or 0), 'bn' in texts
    return None, 'bn' in texts


def parse_dense(texts: tuple[str, ...]) -> tuple[int, ...]:
    """`('512', '64')` → `(512, 64)`; `('none',)` → `()`.

    Raises:
        ConfigError: a width is not a whole number above 0.
    """
    if texts == ('none',):
        return ()
    for text in texts:
        if not text.isdecimal() or int(text) < 1:
            raise ConfigError(
                'Expected --dense as widths above 0, such as 512,64, or '
                f'none; received {text!r}.'
            )
    return tuple(map(int, texts))


def _read(text: str, value: str, default: Any) -> Any:
    try:
        if isinstance(default, tuple):
            return tuple(int(part) for part in value.split('-'))
        number = type(default)(value)
        if math.isfinite(number):
            return number
    except (ValueError, OverflowError):
        pass
    raise ConfigError(
        f'Expected --model_options such as {text.split(":")[0]}:'
        f'{written(default)}; received {text!r}.'
    )


def written(value: Any) -> str:
    """A value as `parse_options` reads it."""
    return '-'.join(map(str, value)) if isinstance(value, tuple) else f'{value:g}'
