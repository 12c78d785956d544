"""The weights that a run starts from, if they are not random."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from trainers.reporting.progress import DownloadBars
from trainers.settings.config import CUSTOM, Config, ConfigError
from trainers.settings.parsing import FREEZE
from trainers.storage.checkpoints import find, read_variables
from trainers.storage.run_directory import RunDirectory
from vision import data
from vision.errors import suggestion
from vision.models import Network
from vision.models import pretrained as weights
from vision.models.specification import Specification

PUBLISHED = 'imagenet'


def normalization(config: Config) -> str | None:
    """The normalization of the pretrained weights, or else the one of the settings.

    Raises:
        ConfigError: they differ.
        UserError: the folder holds no run.
    """
    required = _normalization_of_weights(config)
    if required and config.normalization not in (None, required):
        raise ConfigError(
            f'Expected --normalization={required}, which the weights of --pretrained='
            f'{config.pretrained} were trained with, received --normalization='
            f'{config.normalization}. Pass --normalization={required}.'
        )
    return required or config.normalization


def initialize(network: Network, config: Config, classes: Sequence[str]) -> list[str]:
    """Loads the weights that `pretrained` names, if any, into a network.

    Args:
        network: the network.
        config: the run's settings.
        classes: names of the classes in the order of the logits.

    Returns:
        Notes on weights that were not loaded or stay random.

    Raises:
        UserError: they are missing or belong to another network.
    """
    if config.pretrained:
        return list(load(network, config, classes).notes)
    if config.freeze.trainable_stages is None or config.model == CUSTOM:
        return []
    return [
        f'--freeze={",".join(FREEZE.write(config.freeze))} without --pretrained '
        'freezes random weights: pass --pretrained=imagenet, a file, or the folder of '
        'a run.'
    ]


def load(
    network: Network, config: Config, classes: Sequence[str] = ()
) -> weights.Loaded:
    """Loads the weights that `pretrained` names into a network.

    Args:
        network: the network.
        config: the run's settings.
        classes: names of the classes; the classifier of a run is loaded only if it
            has these. Without them it is loaded in any case.

    Returns:
        What was loaded and what was not.

    Raises:
        UserError: they are missing or belong to another network.
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
    trained_classes: Sequence[str],
    classes: Sequence[str],
    path: Path,
) -> weights.Loaded:
    """Loads the weights of a run; its classifier only if it has the same classes."""
    differ = [(a, b) for a, b in zip(trained_classes, classes) if a != b]
    if not differ or len(trained_classes) != len(classes):
        return weights.load(network, arrays)
    loaded = weights.load(network, arrays, heads=False)
    note = (
        f'The classifier in {path} has other classes ({differ[0][0]} instead of '
        f'{differ[0][1]}) and is replaced by one with random weights.'
    )
    return loaded._replace(notes=(*loaded.notes, note))


def _normalization_of_weights(config: Config) -> str | None:
    if not config.pretrained:
        return None
    path = Path(config.pretrained)
    if config.pretrained != PUBLISHED and path.is_dir():
        _, state = find(_checkpoints_of(path))
        return Specification.from_dict(state['specification']).normalization
    if path.suffix == '.npz' and config.normalization:
        return None  # `load` distinguishes published weights from saved ones.
    return weights.normalization_of(config.model)


def _checkpoints_of(path: Path) -> Path:
    """The folder of a run's best checkpoints, or the folder itself."""
    best = RunDirectory(path).checkpoints_best
    folder = best if best.is_dir() else path
    if not any(folder.glob('*step-*')) and not folder.match('step-*'):
        raise ConfigError(
            'Expected --pretrained to be the folder of a run, or of one '
            f'of its checkpoints; there is no checkpoint in {folder}.'
        )
    return folder


def _published(network: Network, config: Config) -> Path:
    """The file of published weights, downloaded if `download` allows that."""
    published = weights.published(network)
    if not config.weights_dir and not config.data_dir:
        raise ConfigError(
            f'Expected a folder with the published weights of {config.model}: name it, '
            'or the folder of the dataset, in which they are by default, and allow the '
            'download of weights that are missing.',
            'weights_dir',
            'data_dir',
            'download',
        )
    folder = Path(config.weights_dir or data.cache_folder(config.data_dir))
    file = folder / published.file
    if file.exists():
        try:
            weights.check_published(published, file)
        except OSError as error:
            raise weights.PretrainedError(f'{file} cannot be read: {error}') from error
    else:
        if not config.download:
            raise weights.PretrainedError(
                f'Expected the published weights of {config.model} in {file}, which is '
                'missing. Pass --download to download them, copy the file there, or '
                'pass another --weights_dir.'
            )
        with DownloadBars() as bars:
            weights.fetch_published(
                network,
                folder,
                lambda done, total: bars(f'Downloading {file.name}', done, total),
            )
    return file
