"""Evaluates a trained network: `python -m scripts.evaluate --run_dir=runs/x`.

Writes into its folder, beside report.md, MODEL_CARD.md and their pictures:

    results.json       every number of the report
    predictions.csv    for each picture its class, what it is named, both probabilities,
                       the rank of its class, and what else comes into question
    predictions.npz    names, labels and float32 logits of the pictures, the classes,
                       and the temperature that they are divided by
    classes.csv        precision, recall, F1, average precision and support
    confusion.csv      counts by class (row) and by what is named (column)
"""

import dataclasses
from pathlib import Path
from typing import Any, TYPE_CHECKING

from tqdm import tqdm

from scripts import command, flags
from scripts.evaluation.settings import picture_config, picture_fields, Settings
from scripts.words import counted
from trainers.config import Config, ConfigError

if TYPE_CHECKING:
    from trainers.classifier import Classifier
    from trainers.evaluation.evaluation import Evaluation
    from vision.data import Source

DESCRIPTION = """
Says how good a trained network is: accuracy with its uncertainty, each class, what is
confused with what, the surest mistakes, and whether its probabilities can be believed.

  python -m scripts.evaluate --run_dir=runs/x
      The best weights on the test split. The report is runs/x/evaluation/test/report.md
      with a model card beside it.
  python -m scripts.evaluate --run_dir=runs/x --calibrate
      The same, with the temperature that fits the validation split best; it stays
      with the run.
  python -m scripts.evaluate --compare runs/a runs/b
      Whether one is better than the other on the same pictures, or was lucky.
  python -m scripts.evaluate --model=googlenet --pretrained=googlenet_bvlc.npz \\
      --dataset=image_folder --data_dir=pictures
      Weights of others, on pictures in folders named as their classes are.
"""

PICTURES = picture_fields()
FIELDS = [*dataclasses.fields(Settings), *command.model_fields(), *PICTURES]


def check(arguments: list[str]) -> None:
    """Raises ConfigError where the flags do not go together."""
    settings = _settings()
    model = flags.given(command.model_fields())
    if settings.compare:
        _check_comparison(arguments, model)
    elif arguments:
        raise ConfigError(
            f'Did not expect {arguments[0]!r}: give the folder of a run as '
            f'--run_dir={arguments[0]}, or several behind --compare.')
    if settings.calibrate and not model.get('run_dir'):
        raise ConfigError('Expected --run_dir with --calibrate, since the temperature '
                          'is stored with the run. Pass other weights with '
                          '--temperature instead.')
    if settings.calibrate and model.get('temperature'):
        raise ConfigError('Expected either --temperature or --calibrate, which fits '
                          'one, not both.')


def _check_comparison(folders: list[str], model: dict[str, Any]) -> None:
    shared = ('weights', 'temperature', 'arithmetic', 'download')
    other = [name for name in model if name not in shared]
    if other or len(folders) < 2:
        received = f'--{other[0]}' if other else counted(len(folders), 'folder')
        raise ConfigError('Expected nothing but the folders of two runs or more with '
                          '--compare, as in --compare runs/a runs/b, received '
                          f'{received}.')


def evaluate(arguments: list[str]) -> None:
    """Looks at the pictures, says what came out, and writes it down."""
    settings = _settings()
    if settings.compare:
        _compare(arguments, settings)
    else:
        _evaluate_one(settings)


def _settings() -> Settings:
    return Settings(**flags.given(dataclasses.fields(Settings)))


def _evaluate_one(settings: Settings) -> None:
    from scripts.evaluation import output, terminal
    from trainers import environment
    from trainers.classifier import store_temperature

    classifier = command.load_classifier()
    if settings.calibrate and classifier.run is None:
        raise ConfigError(
            f'Expected the folder of a run with --calibrate, got {classifier.origin}, '
            'a checkpoint without its run: there is no place for the temperature.')
    config, source = _pictures(classifier)
    folder = (Path(settings.output) if settings.output else _default_folder(
        classifier, config, settings))
    output.check_writable(folder)
    evaluation = _look(classifier, config, source, settings)
    if settings.calibrate:
        evaluation = _calibrate(evaluation, config, settings)
    print(terminal.report(evaluation), flush=True)
    output.write(evaluation, folder, config, environment.describe())
    stored = None
    if settings.calibrate and classifier.run is not None:
        stored = store_temperature(classifier.run, evaluation.temperature)
    print(terminal.farewell(evaluation, folder, stored))


def _pictures(classifier: 'Classifier') -> tuple[Config, 'Source']:
    """The settings that say which pictures, and those."""
    from trainers.train import load_source
    given = flags.given(PICTURES)
    if classifier.run is None and 'dataset' not in given:
        raise ConfigError(
            'Expected --dataset, and --data_dir with it, since these weights are not '
            'of a run, which would know its pictures.')
    if flags.FLAGS['download'].value:
        given['download'] = True
    config = classifier.run.config if classifier.run else Config()
    config = picture_config(config, given)
    return config, load_source(config)


def _calibrate(evaluation: 'Evaluation', config: Config,
               settings: Settings) -> 'Evaluation':
    """The same answers by the temperature that fits the validation split best."""
    from trainers.evaluation.evaluation import fit_temperature
    fitted = evaluation
    if evaluation.split_name != 'validation':
        fitted = _look(evaluation.classifier, config, evaluation.source,
                       dataclasses.replace(settings, split='validation'))
    return dataclasses.replace(evaluation, temperature=fit_temperature(fitted))


def _look(classifier: 'Classifier', config: Config, source: 'Source',
          settings: Settings) -> 'Evaluation':
    """Evaluates on a split, with progress where somebody looks on."""
    from trainers.evaluation.evaluation import evaluate as look

    with command.decoders_held_back() as stderr, tqdm(
            total=len(source.splits[settings.split]), desc=settings.split, delay=1,
            unit=' pictures', file=stderr, disable=None, leave=False) as bar:

        def progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        return look(classifier, source, settings.split, batch_size=settings.batch_size,
                    views=settings.views, max_bad_fraction=config.max_bad_fraction,
                    progress=progress)


def _default_folder(classifier: 'Classifier', config: Config,
                    settings: Settings) -> Path:
    """Where a report goes that nobody has named a place for."""
    run = classifier.run
    dataset = config.dataset.replace('/', '-').replace(':', '-')
    what = f'{dataset}-{settings.split}{_views(settings)}'
    if run is None:
        return Path(f'evaluation/{classifier.specification.model}-{what}')
    if config.dataset == run.config.dataset:
        what = f'{settings.split}{_views(settings)}'
    given = flags.given(command.model_fields())
    if given.get('weights') == 'last' or Path(given['run_dir']) != run.directory.path:
        what += f'-step-{run.step}'
    return run.directory.evaluation / what


def _views(settings: Settings) -> str:
    return '' if settings.views == 'none' else f'-{settings.views}'


def _compare(folders: list[str], settings: Settings) -> None:
    from scripts.evaluation import comparison_report, output
    from scripts.evaluation.comparison import compare
    from trainers import environment
    from trainers.classifier import from_run

    trained = command.Trained(**flags.given(dataclasses.fields(command.Trained)))
    classifiers = [
        from_run(Path(each), trained.weights, trained.arithmetic, trained.temperature)
        for each in folders
    ]
    pictures = [_pictures(classifier) for classifier in classifiers]
    folder = Path(settings.output or _comparison_folder(folders, settings))
    output.check_writable(folder)
    compared = compare([
        _look(classifier, config, source, settings)
        for classifier, (config, source) in zip(classifiers, pictures)
    ])
    print(comparison_report.on_terminal(compared), flush=True)
    output.replace(folder, comparison_report.contents(compared, environment.describe()),
                   comparison_report.NAMES)
    print(comparison_report.farewell(folder))


def _comparison_folder(folders: list[str], settings: Settings) -> str:
    names = '-'.join(Path(folder).absolute().name for folder in folders[:3])
    more = f'-and-{len(folders) - 3}-more' if len(folders) > 3 else ''
    return f'evaluation/compare-{names}{more}-{settings.split}{_views(settings)}'


def run() -> None:
    """Parses the command line and evaluates."""
    command.start(DESCRIPTION, FIELDS, evaluate, arguments=True, prepare=check)


if __name__ == '__main__':
    run()
