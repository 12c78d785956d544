"""What the commands that use a trained network share: flags, errors, exit codes."""

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from absl import app

from scripts.common import flags, quiet
from trainers.settings.config import Config, ConfigError, check, setting
from vision.errors import UserError

if TYPE_CHECKING:
    from trainers.inference.classifier import Classifier

EXIT_CODES = """
Exit codes: 0 done, 1 a problem that the message explains, 2 a flag that it does not
know, 130 interrupted.
"""

_TRAINED = 'The trained network'
_OTHERS = 'Weights that are not of a run'


@dataclasses.dataclass(frozen=True)
class Trained:
    """Which trained network is used.

    Raises:
        ConfigError: a value is not allowed; the message names the setting.
    """

    run_dir: str = setting(
        '',
        _TRAINED,
        'Folder of a run, which knows all the rest, or of one of its checkpoints.',
    )
    weights: str = setting(
        'best', _TRAINED, 'Which weights of the run.', choices=('best', 'last')
    )
    temperature: float = setting(
        0.0,
        _TRAINED,
        'Temperature of the softmax; 0: what scripts.evaluate '
        '--calibrate has stored with the run, or else 1.',
        minimum=0,
    )
    precision: str = setting(
        'float32',
        _TRAINED,
        'Type of the arithmetic.',
        choices=('float32', 'bfloat16', 'float16'),
    )
    labels: str = setting(
        '',
        _OTHERS,
        'Text file with a class a line for --pretrained; by default the '
        '1000 of ImageNet.',
    )

    def __post_init__(self):
        for field in dataclasses.fields(self):
            check(field, getattr(self, field.name))


_OF_OTHERS = (
    'model',
    'model_options',
    'pooling',
    'dense',
    'image_size',
    'pretrained',
    'weights_dir',
    'download',
)


def model_fields() -> list[dataclasses.Field]:
    """The flags that say which network is used."""
    config = {field.name: field for field in dataclasses.fields(Config)}
    return [
        *dataclasses.fields(Trained),
        *(flags.regrouped(config[name], _OTHERS) for name in _OF_OTHERS),
    ]


def load_classifier() -> 'Classifier':
    """The network that the flags name.

    Raises:
        ConfigError: the flags name none, or two.
        UserError: it cannot be had.
    """
    from trainers.inference import classifier

    trained = Trained(**flags.given(dataclasses.fields(Trained)))
    config = {field.name: field for field in dataclasses.fields(Config)}
    settings = flags.given([config[name] for name in _OF_OTHERS])
    if trained.run_dir:
        of_others = [name for name in settings if name != 'download']
        if of_others or trained.labels:
            raise ConfigError(
                f'Expected no --{of_others[0] if of_others else "labels"} with '
                '--run_dir: a run knows its network. Leave one of them out.'
            )
        return classifier.from_run(
            Path(trained.run_dir),
            trained.weights,
            trained.precision,
            trained.temperature,
        )
    if 'pretrained' not in settings or 'model' not in settings:
        raise ConfigError(
            'Expected --run_dir=FOLDER, a run that scripts.train made, or '
            '--model=NAME with --pretrained=WEIGHTS.'
        )
    return classifier.from_pretrained(
        Config.from_dict(settings),
        trained.labels,
        trained.precision,
        trained.temperature,
    )


def start(
    description: str,
    fields: Sequence[dataclasses.Field],
    work: Callable[[list[str]], Any],
    arguments: bool = False,
    prepare: Callable[[list[str]], Any] | None = None,
) -> None:
    """Parses the command line and does the work; does not return.

    Args:
        description: what stands above the flags in the help text.
        fields: the flags.
        work: called with what is not a flag, once TensorFlow is there.
        arguments: whether there may be anything that is not a flag.
        prepare: called with the same before TensorFlow is imported, which takes
            seconds: a ConfigError that it raises shows at once.
    """

    def main(argv: list[str]) -> int:
        try:
            if prepare is not None and not _asks_for_lists():
                prepare(argv[1:])
            quiet.import_tensorflow()
            from scripts.common import listings

            logging.basicConfig(level=logging.INFO, format='%(message)s', force=True)
            logging.getLogger('absl').setLevel(logging.ERROR)  # TensorFlow's own notes
            if not listings.show(flags.FLAGS):
                work(argv[1:])
            if sys.stdout is not None:  # as it is after `>&-`
                sys.stdout.flush()
        except UserError as error:
            print(error, file=sys.stderr)
            return 2 if isinstance(error, ConfigError) else 1
        except KeyboardInterrupt:
            print('Stopped.', file=sys.stderr)
            return 130
        except BrokenPipeError:
            quiet.forget_stdout()
            return 1
        return 0

    flags.define_listings()
    flags.define(fields)
    # Then flags may also stand behind what is none.
    flags.FLAGS.set_gnu_getopt(arguments)
    parser = flags.parser(
        description + EXIT_CODES, lambda: flags.describe(fields), arguments
    )
    app.run(main, flags_parser=parser)


def _asks_for_lists() -> bool:
    return any(
        flags.FLAGS[name].value for name in flags.FLAGS if name.startswith('list_')
    )


@contextlib.contextmanager
def native_stderr_suppressed() -> Iterator[TextIO]:
    """Gives a way to standard error while C libraries talk about images.

    They write to the file descriptor, of one image in between those of other threads,
    and do not say which; the commands say it themselves.
    """
    with quiet.stderr_exchanged() as (stderr, _):
        yield stderr
