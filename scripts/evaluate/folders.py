"""Where reports go if no folder is named, and short names of runs."""

from collections.abc import Sequence
from pathlib import Path

from scripts.common.model_settings import Trained
from scripts.evaluate.settings import Settings, same_data
from trainers.inference.classifier import Classifier
from trainers.settings.config import Config


def of_evaluation(
    classifier: Classifier, config: Config, settings: Settings, trained: Trained
) -> Path:
    """The folder of the report of one network.

    Args:
        classifier: what is evaluated.
        config: the settings that name its images.
        settings: how it is evaluated.
        trained: the flags that name the network.
    """
    run = classifier.run
    name = _split(settings)
    if run is None or not same_data(run.config, config):
        name = f'{_data_name(config)}-{name}'
    if run is None:
        return Path(f'evaluation/{classifier.specification.model}-{name}')
    if trained.weights == 'last' or Path(trained.run_dir) != run.directory.path:
        name += f'-step-{run.step}'
    return run.directory.evaluation / name


def of_comparison(
    names: Sequence[str], config: Config, settings: Settings, other_data: bool
) -> Path:
    """The folder of the report of a comparison.

    Args:
        names: of the runs.
        config: the settings that name the images of the first.
        settings: how they are evaluated.
        other_data: whether flags name other images than those of the runs.
    """
    listed = '-'.join(name.strip('/').replace('/', '-') for name in names[:3])
    if len(names) > 3:
        listed += f'-and-{len(names) - 3}-more'
    if other_data:
        listed += f'-{_data_name(config)}'
    return Path(f'evaluation/compare-{listed}-{_split(settings)}')


def run_names(folders: Sequence[str]) -> list[str]:
    """The last parts of the folders, or all of them where those are not unique."""
    names = [Path(folder).absolute().name for folder in folders]
    return names if len(set(names)) == len(names) else list(folders)


def _split(settings: Settings) -> str:
    """'test', or 'test-flip'."""
    suffix = '' if settings.views == 'none' else f'-{settings.views}'
    return settings.split + suffix


def _data_name(config: Config) -> str:
    """'image_folder-holidays', as part of a folder's name."""
    dataset = config.dataset.replace('/', '-').replace(':', '-')
    if not config.data_dir:
        return dataset
    return f'{dataset}-{Path(config.data_dir).absolute().name}'
