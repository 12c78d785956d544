"""A run's whole configuration: one dataclass that flags and files are made of."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from vision.errors import UserError, suggestion


class ConfigError(UserError):
    """A setting has a value that no run can have."""


def setting(
    default: Any,
    group: str,
    text: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float = -math.inf,
    maximum: float = math.inf,
    affects_results: bool = True,
) -> Any:
    """A field of Config.

    Args:
        default: the value where neither the recipe nor a flag says otherwise.
        group: the heading under which `--help` lists the flag.
        text: the flag's help text.
        choices: the values allowed, for strings.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
        affects_results: whether the value can change the weights that come out; a run
            resumes only with the same values of all such settings.
    """
    return dataclasses.field(
        default=default,
        metadata={
            'group': group,
            'help': text,
            'choices': choices,
            'minimum': minimum,
            'maximum': maximum,
            'affects_results': affects_results,
        },
    )


RUN = 'The run'
DATA = 'Images'
NETWORK = 'Network'
TRANSFER = 'Transfer learning'
OPTIMIZATION = 'Optimization'
STOPPING = 'Choosing and stopping'
SPEED = 'Speed and reproducibility'
WATCHING = 'Watching'
TRYING = 'Trying out'


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that determines a run.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    model: str = setting('inception_v1', RUN, 'Network to train; see --list_models.')
    dataset: str = setting('shapes', RUN, 'Dataset; see --list_datasets.')
    data_dir: str = setting(
        '', RUN, 'Folder that holds the dataset.', affects_results=False
    )
    recipe: str = setting(
        'default', RUN, 'Named settings to start from; see --list_recipes.'
    )
    run_dir: str = setting(
        '',
        RUN,
        'Folder of the run; by default runs/<model>-<dataset>, with '
        'the recipe behind it unless it is the default.',
        affects_results=False,
    )
    resume: str = setting(
        'auto',
        RUN,
        'What to do where the folder holds a run already: continue it '
        '(auto), demand one (must) or refuse (never).',
        choices=('auto', 'must', 'never'),
        affects_results=False,
    )

    image_size: int = setting(
        0, DATA, "Side of the images in pixels; 0: the dataset's own.", minimum=0
    )
    image_size_schedule: tuple[str, ...] = setting(
        (),
        DATA,
        'Smaller training images at first, as SIZE@EPOCH,...: 32@0,48@10 '
        'trains at 32 pixels from the start and at 48 from epoch 10.',
    )
    augment: tuple[str, ...] = setting(
        (),
        DATA,
        'Augmentations in order, each NAME or NAME:NUMBER, such as '
        'pad_crop:4,flip; see --list_augmentations.',
    )
    normalization: str = setting(
        '',
        DATA,
        "How pixels enter the network; empty: the model's own.",
        choices=('', 'raw', 'unit', 'symmetric', 'center', 'standardize', 'caffe'),
    )
    validation_fraction: float = setting(
        0.1,
        DATA,
        'Share of the training images held out where the dataset has no '
        'validation split.',
        minimum=0.001,
        maximum=0.9,
    )
    test_fraction: float = setting(
        0.1,
        DATA,
        'Share held out before that where it has no test split either.',
        minimum=0.001,
        maximum=0.9,
    )
    split_seed: int = setting(4321, DATA, 'Seed of these splits.', minimum=0)
    cache: str = setting(
        'auto',
        DATA,
        'Decode all images once into memory (ram), into a file that '
        'later runs use again (disk), never (off), or into memory where they fit a '
        'quarter of what is free (auto).',
        choices=('auto', 'ram', 'disk', 'off'),
        affects_results=False,
    )
    cache_dir: str = setting(
        '',
        DATA,
        'Folder of --cache=disk and --features=cached; by default .tapestry '
        'beside the images.',
        affects_results=False,
    )
    download: bool = setting(
        False,
        DATA,
        'First fetch what is not there and has a public address: the '
        'dataset, into --data_dir, and the weights of --pretrained=imagenet.',
        affects_results=False,
    )
    class_weights: str = setting(
        'none',
        DATA,
        'Weight of each class in the training loss: the same for all '
        '(none), or as if each had as many images (balanced).',
        choices=('none', 'balanced'),
    )
    max_bad_fraction: float = setting(
        0.01,
        DATA,
        'Share of images that may fail to decode before the run stops.',
        minimum=0,
        maximum=1,
        affects_results=False,
    )

    model_options: tuple[str, ...] = setting(
        (),
        NETWORK,
        "The network's own options, each NAME:VALUE, such as alpha:0.35 "
        'of mobilenet_v2 or filters:32-64 of small_cnn; see --list_models.',
    )
    pooling: str = setting(
        '',
        NETWORK,
        'How the last map becomes the features of an image; empty: as '
        'the network has it.',
        choices=('', 'average', 'max', 'flatten'),
    )
    dense: tuple[str, ...] = setting(
        (),
        NETWORK,
        'Widths of dense layers between them and the classifier, or none; '
        'empty: as the network has them.',
    )
    feature_dropout: float = setting(
        0.0,
        NETWORK,
        'Share of the features dropped before the dense layers.',
        minimum=0,
        maximum=0.99,
    )
    dropout: float = setting(
        0.1,
        NETWORK,
        'Share of what enters the classifier dropped.',
        minimum=0,
        maximum=0.99,
    )
    aux_dropout: float = setting(
        0.1, NETWORK, 'The same in the auxiliary heads.', minimum=0, maximum=0.99
    )
    aux_weight: float = setting(
        0.3, NETWORK, "Weight of each auxiliary head's loss.", minimum=0
    )

    pretrained: str = setting(
        '',
        TRANSFER,
        'Weights to start from: published ones (imagenet), a file '
        '(.weights.h5, .h5 or .npz), or the folder of a run.',
    )
    weights_dir: str = setting(
        '',
        TRANSFER,
        'Folder of published weights; by default .tapestry beside the images.',
        affects_results=False,
    )
    freeze: tuple[str, ...] = setting(
        (),
        TRANSFER,
        'What stays as it is: backbone, last:N (all stages but the last '
        'N), bn (batch norms), none, or last:N,bn. Frozen parts run in inference mode; '
        'with backbone there are no auxiliary heads.',
    )
    features: str = setting(
        'live',
        TRANSFER,
        'Compute what a frozen backbone says of each image anew '
        'every time (live), or once, into a file (cached).',
        choices=('live', 'cached'),
    )
    finetune_epochs: int = setting(
        0,
        TRANSFER,
        'Epochs of a second phase, which starts from the best weights of '
        'the first; 0: none.',
        minimum=0,
    )
    finetune_freeze: tuple[str, ...] = setting(
        ('bn',), TRANSFER, 'What stays as it is in the second phase.'
    )
    finetune_learning_rate: float = setting(
        1e-5, TRANSFER, 'Learning rate of the second phase, at its highest.', minimum=0
    )
    layer_decay: float = setting(
        1.0,
        TRANSFER,
        'Factor of the learning rate from stage to stage, from the head to the first.',
        minimum=0,
        maximum=1,
    )

    epochs: int = setting(6, OPTIMIZATION, 'Passes over the training split.', minimum=1)
    batch_size: int = setting(32, OPTIMIZATION, 'Images in one step.', minimum=1)
    optimizer: str = setting(
        'adam',
        OPTIMIZATION,
        'Optimizer; sgd has Nesterov momentum.',
        choices=('sgd', 'adam', 'adamw', 'rmsprop'),
    )
    learning_rate: float = setting(
        5e-4, OPTIMIZATION, 'Learning rate, at its highest.', minimum=0
    )
    momentum: float = setting(
        0.9, OPTIMIZATION, 'Momentum of sgd and rmsprop.', minimum=0, maximum=0.9999
    )
    schedule: str = setting(
        'cosine',
        OPTIMIZATION,
        'Course of the learning rate over the run, or over each phase of two.',
        choices=('constant', 'exponential', 'step', 'cosine', 'one_cycle'),
    )
    decay_rate: float = setting(
        0.96,
        OPTIMIZATION,
        'Factor of the exponential and step schedules, once every --decay_epochs.',
        minimum=0,
        maximum=1,
    )
    decay_epochs: float = setting(
        1.0, OPTIMIZATION, 'Epochs between two such factors.', minimum=0.001
    )
    warmup_epochs: float = setting(
        0.25, OPTIMIZATION, 'Epochs over which the rate first rises from 0.', minimum=0
    )
    weight_decay: float = setting(
        0.0,
        OPTIMIZATION,
        'Decay of all kernels: decoupled for adamw, a term '
        'decay / 2 · Σw² of the loss for the others.',
        minimum=0,
    )
    clip_norm: float = setting(
        0.0,
        OPTIMIZATION,
        "Upper bound of the gradient's global norm; 0: none.",
        minimum=0,
    )
    label_smoothing: float = setting(
        0.0,
        OPTIMIZATION,
        'Share of each label spread over all classes.',
        minimum=0,
        maximum=0.99,
    )
    ema: float = setting(
        0.0,
        OPTIMIZATION,
        'Decay of a moving average of the weights, evaluated beside them; 0: none.',
        minimum=0,
        maximum=0.99999,
    )
    precise_bn: int = setting(
        0,
        OPTIMIZATION,
        'Training images, not augmented, whose statistics take the '
        'place of the averages of batch norms before each evaluation, in whole batches '
        'and at most an epoch of them; 0: none.',
        minimum=0,
    )

    monitor: str = setting(
        'top1',
        STOPPING,
        'Validation figure that decides which epoch is best.',
        choices=('top1', 'loss'),
    )
    early_stopping: int = setting(
        0,
        STOPPING,
        'Epochs without a better one after which the run, or its first phase, '
        'ends; 0: never.',
        minimum=0,
    )
    plateau_patience: int = setting(
        0,
        STOPPING,
        'Epochs without a lower validation loss after which the learning '
        'rate drops; 0: never.',
        minimum=0,
    )
    plateau_factor: float = setting(
        0.5, STOPPING, 'Factor of that drop.', minimum=0, maximum=1
    )

    precision: str = setting(
        'auto',
        SPEED,
        'Type of the arithmetic; auto takes the fastest that this machine has '
        'in hardware and keeps accuracy.',
        choices=('auto', 'float32', 'bfloat16', 'float16'),
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
        'Allow only operations that give the same bits on every run '
        '(slower on GPUs; CPUs do so anyway).',
    )

    log_every: int = setting(
        50,
        WATCHING,
        'Steps between two readings of the training metrics.',
        minimum=1,
        affects_results=False,
    )
    checkpoint_minutes: float = setting(
        10.0,
        WATCHING,
        'Minutes between two saves within an epoch; epochs end with one too, unless '
        'the last is 5 seconds old or less, and every phase does.',
        minimum=0,
        affects_results=False,
    )
    histograms: bool = setting(
        False,
        WATCHING,
        'Write histograms of all weights every epoch.',
        affects_results=False,
    )

    dry_run: bool = setting(
        False, TRYING, 'One step of everything in a temporary folder, then leave.'
    )
    limit_train_batches: int = setting(
        0, TRYING, 'Training steps in an epoch; 0: all.', minimum=0
    )
    limit_eval_batches: int = setting(
        0, TRYING, 'Batches in an evaluation; 0: all.', minimum=0
    )
    overfit_batches: int = setting(
        0,
        TRYING,
        'Train and validate on only so many batches of the training split, '
        'unaugmented: the loss must go to 0.',
        minimum=0,
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))
        parse_size_schedule(self.image_size_schedule)
        _check_features(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> 'Config':
        """The configuration that `to_dict` wrote.

        Raises:
            ConfigError: a setting is unknown or has a value that is not allowed.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ConfigError(
                    f'There is no setting {name!r}.{suggestion(name, known)}'
                )
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**settings)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    def results_dict(self) -> dict[str, Any]:
        """The settings that can change a run's results, as JSON has them."""
        values = self.to_dict()
        return {
            field.name: values[field.name]
            for field in dataclasses.fields(self)
            if field.metadata['affects_results']
        }


def parse_size_schedule(schedule: tuple[str, ...]) -> list[tuple[int, int]]:
    """`('32@0', '48@10')` → `[(0, 32), (10, 48)]`: from that epoch, that size.

    Raises:
        ConfigError: an entry is not SIZE@EPOCH, or the epochs do not start at 0 and
            rise.
    """
    phases = []
    for entry in schedule:
        size, separator, epoch = entry.partition('@')
        if not (separator and size.isdecimal() and epoch.isdecimal()):
            raise ConfigError(
                'Expected --image_size_schedule as SIZE@EPOCH,... such as '
                f'32@0,48@10; received {entry!r}.'
            )
        phases.append((int(epoch), int(size)))
    epochs = [epoch for epoch, _ in phases]
    if phases and (epochs[0] != 0 or epochs != sorted(set(epochs))):
        raise ConfigError(
            'Expected the epochs of --image_size_schedule to start at 0 '
            f'and to rise, received {",".join(schedule)}.'
        )
    return phases


def _check_features(config: Config) -> None:
    """Raises ConfigError where features would not be the same in every epoch."""
    if config.features != 'cached':
        return
    if 'backbone' not in config.freeze:
        raise ConfigError(
            'Expected --freeze=backbone with --features=cached, since only what a '
            f'frozen backbone says can be kept; received --freeze='
            f'{",".join(config.freeze) or "none"}.'
        )
    if config.augment:
        raise ConfigError(
            'Expected no --augment with --features=cached, since features are computed '
            'once and augmented images differ in every epoch; received --augment='
            f'{",".join(config.augment)}. Pass --augment= or --features=live.'
        )
    if config.image_size_schedule:
        raise ConfigError(
            'Expected no --image_size_schedule with --features=cached, since features '
            'are computed once, at --image_size. Pass --image_size_schedule= or '
            '--features=live.'
        )


def check(field: dataclasses.Field, value: Any) -> None:
    """Compares a value with what `setting` says of its field.

    Raises:
        ConfigError: the value is not allowed; the message names the setting.
    """
    kind: Any = type(field.default)
    if kind is float and type(value) is int:
        return check(field, float(value))
    if type(value) is not kind:
        raise ConfigError(
            f'Expected --{field.name} to be a {kind.__name__}, received {value!r}.'
        )
    if kind is tuple and not all(isinstance(entry, str) for entry in value):
        raise ConfigError(
            f'Expected --{field.name} to be a tuple of strings, received {value!r}.'
        )
    choices = field.metadata['choices']
    if choices and value not in choices:
        names = ', '.join(choice for choice in choices if choice)
        raise ConfigError(
            f'Expected --{field.name} to be one of {names}; received '
            f'{value!r}.{suggestion(value, choices)}'
        )
    if kind in (int, float):
        low, high = field.metadata['minimum'], field.metadata['maximum']
        if not low <= value <= high:  # also refuses NaN
            bounds = f'at least {low}' if high == math.inf else f'{low} to {high}'
            raise ConfigError(
                f'Expected --{field.name} to be {bounds}, received {value}.'
            )
        if kind is float and not math.isfinite(value):
            raise ConfigError(
                f'Expected --{field.name} to be finite, received {value}.'
            )
