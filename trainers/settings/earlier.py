"""What earlier versions called the settings of a run and what they meant by them.

Every reader of an existing run takes its files through this module, so a run goes on by
what it recorded: no default, name or meaning that changes later changes or refuses it.
A version that changes one of these adds an entry to `CHANGES`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import vision
from trainers.settings.config import Config, ConfigError

# Version 0.1 wrote the settings alone, without the version.
_FIRST = '0.1.0'

# The defaults of version 0.1, as it recorded them.
_VERSION_0_1 = {
    'model': 'inception_v1',
    'dataset': 'shapes',
    'data_dir': '',
    'recipe': 'default',
    'run_dir': '',
    'resume': 'auto',
    'image_size': 0,
    'image_size_schedule': [],
    'augment': [],
    'normalization': '',
    'validation_fraction': 0.1,
    'test_fraction': 0.1,
    'split_seed': 4321,
    'cache': 'auto',
    'cache_dir': '',
    'download': False,
    'class_weights': 'none',
    'max_bad_fraction': 0.01,
    'model_options': [],
    'pooling': '',
    'dense': [],
    'feature_dropout': 0.0,
    'dropout': 0.1,
    'aux_dropout': 0.1,
    'aux_weight': 0.3,
    'pretrained': '',
    'weights_dir': '',
    'freeze': [],
    'features': 'live',
    'finetune_epochs': 0,
    'finetune_freeze': ['bn'],
    'finetune_learning_rate': 1e-5,
    'layer_decay': 1.0,
    'epochs': 6,
    'batch_size': 32,
    'optimizer': 'adam',
    'learning_rate': 5e-4,
    'momentum': 0.9,
    'schedule': 'cosine',
    'decay_rate': 0.96,
    'decay_epochs': 1.0,
    'warmup_epochs': 0.25,
    'weight_decay': 0.0,
    'clip_norm': 0.0,
    'label_smoothing': 0.0,
    'ema': 0.0,
    'precise_bn': 0,
    'monitor': 'top1',
    'early_stopping': 0,
    'plateau_patience': 0,
    'plateau_factor': 0.5,
    'precision': 'auto',
    'xla': False,
    'seed': 0,
    'deterministic': False,
    'log_every': 50,
    'checkpoint_minutes': 10.0,
    'histograms': False,
    'dry_run': False,
    'limit_train_batches': 0,
    'limit_eval_batches': 0,
    'overfit_batches': 0,
}


class Change(NamedTuple):
    """What a version changed about the files that runs of earlier versions hold.

    Attributes:
        missing: the value that an earlier version meant where config.json has no such
            setting, by the former names: its default, or what it always did.
        renamed: present name of a setting by its former one.
        converted: function from the former value of a setting to the present one, by
            the present name.
        calibration: present name of an entry of calibration.json by its former one.
    """

    missing: Mapping[str, Any] = {}
    renamed: Mapping[str, str] = {}
    converted: Mapping[str, Callable[[Any], Any]] = {}
    calibration: Mapping[str, str] = {}


# By the version that changed it, in the order of the versions.
CHANGES = {
    '0.2.0': Change(
        missing=_VERSION_0_1,
        # An empty setting is None instead of '' or 0.
        converted=dict.fromkeys(
            ('image_size', 'normalization', 'pooling'), lambda value: value or None
        ),
        calibration={'pictures': 'images'},
    ),
}


class Settings(NamedTuple):
    """What config.json holds.

    Attributes:
        config: every setting of the run.
        given: the settings that differed from those of the recipe when the run was
            started; None of a run of version 0.1, which did not record them.
        version: the version of this package that wrote the file.
    """

    config: Config
    given: dict[str, Any] | None
    version: str


def read_settings(content: Mapping[str, Any]) -> Settings:
    """The settings in the content of a config.json of any version.

    Raises:
        ConfigError: a setting is unknown or has a value that is not allowed.
    """
    version = str(content.get('version', _FIRST))
    values = content.get('settings') if 'version' in content else content
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"Expected an object of settings under 'settings', received {values!r}. "
            'Restore the file.'
        )
    for since, change in CHANGES.items():
        if _numbers(version) < _numbers(since):
            values = {
                change.renamed.get(name, name): value
                for name, value in {**change.missing, **values}.items()
            }
            for name, convert in change.converted.items():
                values[name] = convert(values[name])
    try:
        return Settings(Config.from_dict(values), content.get('given'), version)
    except ConfigError as error:
        if _numbers(version) <= _numbers(vision.__version__):
            raise
        raise ConfigError(
            f'{error} Version {version} wrote these settings, and this is version '
            f'{vision.__version__}: use that version or a later one.'
        ) from error


def written_settings(config: Config, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The content of a config.json that `read_settings` reads."""
    return {
        'version': vision.__version__,
        'given': given,
        'settings': config.to_dict(),
    }


def read_calibration(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a calibration.json of any version by its present names."""
    renamed = {
        former: present
        for change in CHANGES.values()
        for former, present in change.calibration.items()
    }
    return {renamed.get(name, name): value for name, value in content.items()}


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of the release: (0, 3, 0) of '0.3.0.dev1'."""
    return tuple(map(int, re.findall(r'\d+', version)[:3]))
