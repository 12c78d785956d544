"""A run's whole configuration: one dataclass, from which flags and files are made."""

import dataclasses
from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from trainers.settings import parsing
from trainers.settings.fields import CheckedSettings, setting
from trainers.settings.parsing import ConfigError, Freeze, Options, SizeChange
from trainers.settings.tables import OPTIMIZERS, SCHEDULES
from vision.data.augment.specs import Augmentation
from vision.data.datasets import DATASETS, TFDS_PREFIX, is_tfds
from vision.errors import suggestion
from vision.layers.options import POOLINGS
from vision.models.registry import MODELS, NORMALIZATIONS
from vision.registry import Entry

RUN = 'Run'
TRAINING = 'Training'
DATA = 'Images'
NETWORK = 'Network'
TRANSFER = 'Transfer learning'
SELECTION = 'Best epoch and early stopping'
SPEED = 'Speed and reproducibility'
LOGGING = 'Logging and checkpoints'
DEBUGGING = 'Debugging'

PRECISIONS = ('float32', 'bfloat16', 'float16')

# Recorded in place of a name where `train` is called with a Network or Source object.
CUSTOM = 'custom'


@dataclasses.dataclass(frozen=True)
class Config(CheckedSettings):
    """Everything that determines a run.

    A setting that is None has the value of the network or the dataset. A setting that
    is written as a list of strings may be given as such or as its typed value:
    `dense=['512', '64']` or `dense=(512, 64)`.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    model: str = setting(
        'inception_v1',
        RUN,
        'Network to train; see --list_models.',
        choices=ChainMap({CUSTOM: Entry('', 'A Network object.')}, MODELS),
    )
    dataset: str = setting('shapes', RUN, 'Dataset to train on; see --list_datasets.')
    data_dir: str = setting('', RUN, 'Folder of the dataset.', affects_results=False)
    recipe: str | None = setting(
        None,
        RUN,
        'Named settings, which other flags override; see --list_recipes. By default '
        "the dataset's own, if it has one.",
    )
    run_dir: str = setting(
        '',
        RUN,
        'Folder of the run; by default runs/<model>-<dataset>, followed by the recipe '
        "unless it is the dataset's own.",
        affects_results=False,
    )
    resume: str = setting(
        'auto',
        RUN,
        'Resume the run that the folder holds, if any (auto); fail if it holds none '
        '(must), or if it holds one (never).',
        choices=('auto', 'must', 'never'),
        affects_results=False,
    )
    download: bool = setting(
        False,
        RUN,
        'Download the dataset into --data_dir, and the weights of '
        '--pretrained=imagenet, if they are missing.',
        affects_results=False,
    )

    epochs: int = setting(6, TRAINING, 'Passes over the training split.', minimum=1)
    batch_size: int = setting(32, TRAINING, 'Images per training step.', minimum=1)
    learning_rate: float = setting(5e-4, TRAINING, 'Peak learning rate.', minimum=0)
    optimizer: str = setting(
        'adam',
        TRAINING,
        'Optimizer; sgd uses Nesterov momentum.',
        choices=OPTIMIZERS,
    )
    schedule: str = setting(
        'cosine',
        TRAINING,
        'Learning rate schedule over the run, or over each of its phases.',
        choices=SCHEDULES,
    )
    warmup_epochs: float = setting(
        0.25,
        TRAINING,
        'Epochs over which the learning rate first rises from 0.',
        minimum=0,
    )
    weight_decay: float = setting(
        0.0,
        TRAINING,
        'Weight decay of all kernels: decoupled for adamw; for the others the term '
        'decay / 2 · Σw² of the loss.',
        minimum=0,
    )
    label_smoothing: float = setting(
        0.0,
        TRAINING,
        'Share of each label that is spread evenly over all classes.',
        minimum=0,
        maximum=0.99,
    )
    ema: float = setting(
        0.0,
        TRAINING,
        'Decay of a moving average of the weights, which is evaluated as well; 0: no '
        'average.',
        minimum=0,
        maximum=0.99999,
    )
    momentum: float = setting(
        0.9, TRAINING, 'Momentum of sgd and rmsprop.', minimum=0, maximum=0.9999
    )
    clip_norm: float = setting(
        0.0,
        TRAINING,
        'Upper bound of the global norm of the gradients; 0: no clipping.',
        minimum=0,
    )
    decay_rate: float = setting(
        0.96,
        TRAINING,
        'Factor of the learning rate per --decay_epochs in the exponential and step '
        'schedules.',
        minimum=0,
        maximum=1,
    )
    decay_epochs: float = setting(
        1.0, TRAINING, 'Epochs per factor of --decay_rate.', minimum=0.001
    )
    precise_bn: int = setting(
        0,
        TRAINING,
        'Training images, not augmented, from which the statistics of batch norms are '
        'estimated before each evaluation, instead of moving averages; whole batches, '
        'at most an epoch; 0: off.',
        minimum=0,
    )

    image_size: int | None = setting(
        None, DATA, "Side of the images in pixels; by default the dataset's.", minimum=1
    )
    augment: tuple[Augmentation, ...] = setting(
        (),
        DATA,
        'Augmentations in order, each NAME or NAME:NUMBER, such as pad_crop:4,flip; '
        'see --list_augmentations.',
        form=parsing.AUGMENT,
    )
    image_size_schedule: tuple[SizeChange, ...] = setting(
        (),
        DATA,
        'Size of the training images by epoch, as SIZE@EPOCH,...: 32@0,48@10 trains '
        'at 32 pixels from the start and at 48 from epoch 10.',
        form=parsing.SIZE_SCHEDULE,
    )
    normalization: str | None = setting(
        None,
        DATA,
        "Normalization of the pixels; by default the network's.",
        choices=NORMALIZATIONS,
    )
    class_weights: str = setting(
        'none',
        DATA,
        'Weight of each class in the training loss: 1 (none), or inversely '
        'proportional to its number of images (balanced).',
        choices=('none', 'balanced'),
    )
    validation_fraction: float = setting(
        0.1,
        DATA,
        'Share of the training images held out if the dataset has no validation split.',
        minimum=0.001,
        maximum=0.9,
    )
    test_fraction: float = setting(
        0.1,
        DATA,
        'Share held out before that if it has no test split either.',
        minimum=0.001,
        maximum=0.9,
    )
    split_seed: int = setting(4321, DATA, 'Seed of these splits.', minimum=0)
    cache: str = setting(
        'auto',
        DATA,
        'Where decoded images are kept: in memory (ram), in a file that later runs '
        'reuse (disk), nowhere (off), or in memory if they fit into a quarter of what '
        'is free (auto).',
        choices=('auto', 'ram', 'disk', 'off'),
        affects_results=False,
    )
    cache_dir: str = setting(
        '',
        DATA,
        'Folder of --cache=disk and --features=cached; by default .tapestry next to '
        'the images.',
        affects_results=False,
    )
    max_bad_fraction: float = setting(
        0.01,
        DATA,
        'Share of the images that may fail to decode before the run stops.',
        minimum=0,
        maximum=1,
        affects_results=False,
    )

    dropout: float | None = setting(
        None,
        NETWORK,
        "Dropout rate in front of the classifier; by default the network's.",
        minimum=0,
        maximum=0.99,
    )
    feature_dropout: float | None = setting(
        None,
        NETWORK,
        'Dropout rate of the features, in front of the dense layers; by default the '
        "network's.",
        minimum=0,
        maximum=0.99,
    )
    aux_dropout: float | None = setting(
        None,
        NETWORK,
        "Dropout rate of the auxiliary heads; by default the network's.",
        minimum=0,
        maximum=0.99,
    )
    aux_weight: float = setting(
        0.3, NETWORK, 'Weight of the loss of each auxiliary head.', minimum=0
    )
    pooling: str | None = setting(
        None,
        NETWORK,
        'How the last feature map becomes the features of an image; by default the '
        "network's.",
        choices=POOLINGS,
    )
    dense: tuple[int, ...] | None = setting(
        None,
        NETWORK,
        'Widths of the dense layers between features and classifier, such as 512,64, '
        "or none; by default the network's.",
        form=parsing.DENSE,
    )
    model_options: Options = setting(
        (),
        NETWORK,
        'Options of this network, each NAME:VALUE, such as alpha:0.35 of mobilenet_v2 '
        'or filters:32-64 of small_cnn; see --list_models.',
        form=parsing.MODEL_OPTIONS,
    )

    pretrained: str = setting(
        '',
        TRANSFER,
        'Initial weights: published ones (imagenet), a file (.weights.h5, .h5 or '
        '.npz), or the folder of a run.',
    )
    freeze: Freeze = setting(
        Freeze(),
        TRANSFER,
        'Parts that are not trained: backbone, last:N (all stages but the last N), bn '
        '(batch norms), none, or last:N,bn. Frozen parts run in inference mode; a '
        'frozen backbone has no auxiliary heads.',
        form=parsing.FREEZE,
    )
    features: str = setting(
        'live',
        TRANSFER,
        'Compute the features of a frozen backbone for every batch (live), or once, '
        'into a file (cached).',
        choices=('live', 'cached'),
    )
    finetune_epochs: int = setting(
        0,
        TRANSFER,
        'Epochs of a second phase, which starts from the best weights of the first; '
        '0: no second phase.',
        minimum=0,
    )
    finetune_freeze: Freeze = setting(
        Freeze(batch_norms=True),
        TRANSFER,
        'Parts that are not trained in the second phase.',
        form=parsing.FREEZE,
    )
    finetune_learning_rate: float = setting(
        1e-5, TRANSFER, 'Peak learning rate of the second phase.', minimum=0
    )
    layer_decay: float = setting(
        1.0,
        TRANSFER,
        'Factor of the learning rate from each stage to the one before, starting at '
        'the head.',
        minimum=0,
        maximum=1,
    )
    weights_dir: str = setting(
        '',
        TRANSFER,
        'Folder of published weights; by default .tapestry next to the images.',
        affects_results=False,
    )

    monitor: str = setting(
        'top1',
        SELECTION,
        'Validation metric by which epochs are compared.',
        choices=('top1', 'loss'),
    )
    early_stopping: int = setting(
        0,
        SELECTION,
        'Epochs without improvement after which the run, or its first phase, ends; '
        '0: off.',
        minimum=0,
    )
    plateau_patience: int = setting(
        0,
        SELECTION,
        'Epochs without a lower validation loss after which the learning rate is '
        'reduced; 0: off.',
        minimum=0,
    )
    plateau_factor: float = setting(
        0.5, SELECTION, 'Factor of that reduction.', minimum=0, maximum=1
    )

    precision: str = setting(
        'auto',
        SPEED,
        'Floating-point type of the computation; auto: the fastest one with hardware '
        'support that keeps accuracy.',
        choices=('auto', *PRECISIONS),
    )
    xla: bool = setting(False, SPEED, 'Compile the steps with XLA.')
    seed: int = setting(
        0,
        SPEED,
        'Seed of weights, order, augmentation and dropout.',
        minimum=0,
        maximum=2**31 - 1,
    )
    deterministic: bool = setting(
        False,
        SPEED,
        'Allow only operations that give the same bits in every run (slower on GPUs; '
        'CPUs always do).',
    )

    log_every: int = setting(
        50,
        LOGGING,
        'Training steps between two log entries.',
        minimum=1,
        affects_results=False,
    )
    checkpoint_minutes: float = setting(
        10.0,
        LOGGING,
        'Minutes between two checkpoints within an epoch. An epoch ends with one, too, '
        'unless the last is at most 5 seconds old; a phase always does.',
        minimum=0,
        affects_results=False,
    )
    histograms: bool = setting(
        False,
        LOGGING,
        'Write histograms of all weights to TensorBoard every epoch.',
        affects_results=False,
    )

    dry_run: bool = setting(
        False,
        DEBUGGING,
        'Run one step of everything in a temporary folder, and exit.',
        affects_results=False,
    )
    limit_train_batches: int = setting(
        0, DEBUGGING, 'Training steps per epoch; 0: no limit.', minimum=0
    )
    limit_eval_batches: int = setting(
        0, DEBUGGING, 'Batches per evaluation; 0: no limit.', minimum=0
    )
    overfit_batches: int = setting(
        0,
        DEBUGGING,
        'Train and validate on this number of training batches, without augmentation '
        'and regularization: the loss must approach 0; 0: off.',
        minimum=0,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.dataset not in (*DATASETS, CUSTOM) and not is_tfds(self.dataset):
            raise ConfigError(
                f'Expected --dataset to be one of {", ".join(DATASETS)} and '
                f'{TFDS_PREFIX}<name>; received {self.dataset!r}.'
                f'{suggestion(self.dataset, DATASETS)}'
            )
        if self.features == 'cached':
            _check_cached(self)

    def phases(self) -> list['Config']:
        """The settings of consecutive epochs with one optimizer each, in order."""
        if not self.finetune_epochs:
            return [self]
        second = dataclasses.replace(
            self,
            epochs=self.finetune_epochs,
            freeze=self.finetune_freeze,
            learning_rate=self.finetune_learning_rate,
            features='live',  # Those of a backbone that changes cannot be kept.
        )
        return [self, second]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> 'Config':
        """The configuration of values as `to_dict` returns them; others are defaults.

        Raises:
            ConfigError: a setting is unknown or has a value that is not allowed.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(
                    f'There is no setting {name!r}.{suggestion(name, known)}'
                )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The settings in JSON values; lists of strings as a person types them."""
        return {
            field.name: as_json(field, getattr(self, field.name))
            for field in dataclasses.fields(self)
        }

    def results_dict(self) -> dict[str, Any]:
        """The settings that can change a run's results, in JSON values."""
        return {
            field.name: as_json(field, getattr(self, field.name))
            for field in dataclasses.fields(self)
            if field.metadata['affects_results']
        }


def as_json(field: dataclasses.Field, value: Any) -> Any:
    """The value of a setting as JSON holds it."""
    if field.metadata['form']:
        return field.metadata['form'].write(value)
    return list(value) if isinstance(value, tuple) else value


def _check_cached(config: Config) -> None:
    """Raises ConfigError if features would not be the same in every epoch."""
    values = config.to_dict()
    if config.freeze.trainable_stages != 0:
        raise ConfigError(
            'Expected --freeze=backbone with --features=cached, since only the '
            'features of a frozen backbone can be cached; received --freeze='
            f'{",".join(values["freeze"]) or "none"}.'
        )
    if config.augment:
        raise ConfigError(
            'Expected no --augment with --features=cached, since features are computed '
            'once and augmented images differ in every epoch; received --augment='
            f'{",".join(values["augment"])}. Pass --augment= or --features=live.'
        )
    if config.image_size_schedule:
        raise ConfigError(
            'Expected no --image_size_schedule with --features=cached, since features '
            'are computed once, at --image_size. Pass --image_size_schedule= or '
            '--features=live.'
        )
