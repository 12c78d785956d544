"""The weights that a run starts from, where those are not random."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trainers.reporting.downloading import Bars
from trainers.settings.config import Config, ConfigError
from trainers.storage.checkpoints import find, read_variables
from trainers.storage.run_directory import RunDirectory
from vision import data
from vision.errors import suggestion
from vision.models import Network
from vision.models import pretrained as weights
from vision.models.specification import Specification

PUBLISHED = 'imagenet'


def normalization(config: Config) -> str:
    """The normalization to use: the one asked for, or that of the pretrained weights.

    Empty where neither says.

    Raises:
        ConfigError: they differ.
        UserError: the folder holds no run.
    """
    theirs = _normalization_of_weights(config)
    if theirs and config.normalization not in ('', theirs):
        raise ConfigError(
            f'Expected --normalization={theirs}, which the weights of --pretrained='
            f'{config.pretrained} were trained with, received --normalization='
            f'{config.normalization}. Pass --normalization={theirs}.'
        )
    return theirs or config.normalization


def initialize(network: Network, config: Config, classes: Sequence[str]) -> list[str]:
    """Gives a network the weights that `pretrained` names, where it names any.

    Args:
        network: what is to have them.
        config: the run's settings.
        classes: names of the classes in the order of the logits.

    Returns:
        Sentences about what a person might not expect.

    Raises:
        UserError: they cannot be had, or are not of this network.
    """
    if config.pretrained:
        return list(load(network, config, classes).notes)
    if not set(config.freeze) - {'bn', 'none'}:
        return []
    return [
        f'--freeze={",".join(config.freeze)} without --pretrained keeps random '
        'numbers as they are: pass --pretrained=imagenet, a file, or the folder '
        'of a run.'
    ]


def load(
    network: Network, config: Config, classes: Sequence[str] = ()
) -> weights.Loaded:
    """Gives a network the weights that `pretrained` names; says what became of them.

    Args:
        network: what is to have them.
        config: the run's settings.
        classes: names of the classes, where a run's classifier is to be taken for those
            only.

    Raises:
        UserError: they cannot be had, or are not of this network.
    """
    path = Path(config.pretrained)
    if config.pretrained == PUBLISHED:
        return weights.load(network, _published(network, config))
    if path.is_dir():
        arrays, state = read_variables(_checkpoints_of(path), 'model')
        trained = Specification.from_dict(state['specification'])
        if trained.model != config.model:
            raise ConfigError(
                f'Expected --pretrained to be a run of {config.model}, '
                f'received {path}, a run of {trained.model}. Pass '
                f'--model={trained.model}, or another folder.'
            )
        return _load_run(network, arrays, trained.classes, classes, path)
    if path.exists():
        return weights.load(network, path)
    raise ConfigError(
        'Expected --pretrained to be imagenet, a file of weights or the folder of '
        f'a run; there is nothing at {path}.'
        f'{suggestion(config.pretrained, [PUBLISHED])}'
    )


def _load_run(
    network: Network,
    arrays: Mapping[str, np.ndarray],
    theirs: Sequence[str],
    ours: Sequence[str],
    path: Path,
) -> weights.Loaded:
    """Loads the weights of a run, its classifier only for the classes that it knows."""
    differ = [(a, b) for a, b in zip(theirs, ours) if a != b]
    if not differ or len(theirs) != len(ours):
        return weights.load(network, arrays)
    loaded = weights.load(network, arrays, heads=False)
    note = (
        f'The classifier in {path} is of other classes ({differ[0][0]} where '
        f'{differ[0][1]} is here) and replaced by a fresh one.'
    )
    return loaded._replace(notes=(*loaded.notes, note))


def _normalization_of_weights(config: Config) -> str:
    path = Path(config.pretrained)
    if not config.pretrained:
        return ''
    if config.pretrained != PUBLISHED and path.is_dir():
        _, state = find(_checkpoints_of(path))
        return Specification.from_dict(state['specification']).normalization
    if path.suffix == '.npz' and config.normalization:
        return ''  # `load` knows whether they are somebody else's or a network's own
    return weights.normalization_of(config.model) or ''


def _checkpoints_of(path: Path) -> Path:
    """The folder of a run's best weights, or the folder itself if it is one."""
    best = RunDirectory(path).checkpoints_best
    folder = best if best.is_dir() else path
    if not any(folder.glob('*step-*')) and not folder.match('step-*'):
        raise ConfigError(
            'Expected --pretrained to be the folder of a run, or of one '
            f'of its checkpoints; there is no checkpoint in {folder}.'
        )
    return folder


def _published(network: Network, config: Config) -> Path:
    """The file of published weights, fetched first where that was asked for."""
    wanted = weights.published(network)
    if not config.weights_dir and not config.data_dir:
        raise ConfigError(
            'Expected a folder of published weights with --pretrained='
            'imagenet: pass --weights_dir, or --data_dir, below which '
            'they are by default; and --download to fetch them.'
        )
    folder = Path(config.weights_dir or data.cache_folder(config.data_dir))
    file = folder / wanted.file
    if file.exists():
        try:
            weights.check_published(wanted, file)
        except OSError as error:
            raise weights.PretrainedError(f'{file} cannot be read: {error}') from error
    else:
        if not config.download:
            raise weights.PretrainedError(
                f'Expected the published weights of {config.model} in {file}, which is '
                'not there. Pass --download to fetch them, or put the file there; '
                '--weights_dir names another folder.'
            )
        with Bars() as bars:
            weights.fetch_published(
                network,
                folder,
                lambda done, total: bars(f'Downloading {file.name}', done, total),
            )
    return file
