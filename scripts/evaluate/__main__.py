"""Evaluates a trained network: `python -m scripts.evaluate --run_dir=runs/x`.

Writes into its folder, beside report.md, MODEL_CARD.md and their images:

    results.json       every number of the report
    predictions.csv    for each image its class, what it is named, both probabilities,
                       the rank of its class, and what else comes into question
    predictions.npz    names, labels and float32 logits of the images, the classes,
                       and the temperature that they are divided by
    classes.csv        precision, recall, F1, average precision and support
    confusion.csv      counts by class (row) and by what is named (column)
"""

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.common import command, flags, model_settings, quiet
from scripts.common.dataset_settings import image_config, image_fields
from scripts.common.formatting import counted
from scripts.evaluate.settings import (
    Settings,
    check_calibration,
    check_splits,
    same_data,
)
from trainers.settings.config import Config, ConfigError

if TYPE_CHECKING:
    from trainers.evaluation.evaluation import Evaluation
    from trainers.inference.classifier import Classifier
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
      Whether one is better than the other on the same images, or was lucky.
  python -m scripts.evaluate --model=googlenet --pretrained=googlenet_bvlc.npz \\
      --dataset=image_folder --data_dir=images
      Weights of others, on images in folders named as their classes are.
"""

IMAGES = image_fields()
FIELDS = [*dataclasses.fields(Settings), *model_settings.model_fields(), *IMAGES]


def check(arguments: list[str]) -> tuple[list[str], Settings]:
    """Reads the flags.

    Returns:
        The folders of runs to compare, and the settings.

    Raises:
        ConfigError: a value is not allowed, or flags contradict each other.
    """
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    model = flags.given(model_settings.model_fields())
    if settings.compare:
        _check_comparison(arguments, model)
    elif arguments:
        raise ConfigError(
            f'Did not expect {arguments[0]!r}: give the folder of a run as '
            f'--run_dir={arguments[0]}, or several behind --compare.'
        )
    if settings.calibrate and not model.get('run_dir'):
        raise ConfigError(
            'Expected --run_dir with --calibrate, since the temperature '
            'is stored with the run. Pass other weights with '
            '--temperature instead.'
        )
    if settings.calibrate and model.get('temperature'):
        raise ConfigError(
            'Expected either --temperature or --calibrate, which fits one, not both.'
        )
    return arguments, settings


def _check_comparison(folders: list[str], model: dict[str, Any]) -> None:
    shared = ('weights', 'temperature', 'precision', 'download')
    other = [name for name in model if name not in shared]
    if other or len(folders) < 2:
        received = f'--{other[0]}' if other else counted(len(folders), 'folder')
        raise ConfigError(
            'Expected nothing but the folders of two runs or more with '
            '--compare, as in --compare runs/a runs/b, received '
            f'{received}.'
        )
    for place, folder in enumerate(folders):
        before = [os.path.realpath(each) for each in folders[:place]]
        if os.path.realpath(folder) in before:
            raise ConfigError(
                f'Expected different runs with --compare, received {folder} twice.'
            )


def evaluate(request: tuple[list[str], Settings]) -> None:
    """Evaluates one network, or compares several; prints and writes the results."""
    folders, settings = request
    if settings.compare:
        _compare(folders, settings)
    else:
        _evaluate_one(settings)


def _evaluate_one(settings: Settings) -> None:
    from scripts.common.output_folder import check_writable
    from scripts.evaluate import output, terminal
    from trainers.run.source import load_source
    from trainers.storage import environment

    classifier = model_settings.load_classifier()
    config = _config(classifier)
    if settings.calibrate:
        _check_calibration(classifier, config)
    source = load_source(config)
    folder = (
        Path(settings.output)
        if settings.output
        else _default_folder(classifier, config, settings)
    )
    check_writable(folder)
    evaluation = look(classifier, config, source, settings)
    print(terminal.report(evaluation, config), flush=True)
    with quiet.native_stderr_suppressed():  # images are decoded again to be drawn
        output.write(evaluation, folder, config, environment.describe())
    stored = _store(evaluation) if settings.calibrate else None
    print(terminal.farewell(evaluation, folder, stored))


def _config(classifier: 'Classifier') -> Config:
    """The settings that say which images."""
    given = flags.given(IMAGES)
    run = classifier.run
    if run is None and 'dataset' not in given:
        raise ConfigError(
            'Expected --dataset, and --data_dir with it, since these weights are not '
            'of a run, which would know its images.'
        )
    if flags.FLAGS['download'].value:
        given['download'] = True
    config = image_config(run.config if run else Config(), given)
    if run is not None:
        check_splits(run.config, config)
    return config


def _check_calibration(classifier: 'Classifier', config: Config) -> None:
    """Raises a UserError where a temperature could not be fitted or stored."""
    from scripts.common.output_folder import check_writable

    run = classifier.run
    if run is None:
        raise ConfigError(
            f'Expected the folder of a run with --calibrate, got {classifier.origin}, '
            'a checkpoint without its run: there is no place for the temperature.'
        )
    check_calibration(run.config, config)
    check_writable(
        run.directory.path, '--run_dir', 'Make it writable, or leave out --calibrate.'
    )


def look(
    classifier: 'Classifier', config: Config, source: 'Source', settings: Settings
) -> 'Evaluation':
    """Evaluates on a split; to calibrate, first fits a temperature.

    Raises:
        CalibrationError: no temperature is best; only validation was looked at then.
        UserError: as `trainers.evaluation.evaluation.evaluate`.
    """
    if not settings.calibrate:
        return _look(classifier, config, source, settings)
    from trainers.evaluation.evaluation import fit_temperature

    of_validation = dataclasses.replace(settings, split='validation')
    fitted = _look(classifier, config, source, of_validation)
    temperature = fit_temperature(fitted)
    seen = (
        fitted
        if settings == of_validation
        else _look(classifier, config, source, settings)
    )
    return dataclasses.replace(seen, temperature=temperature)


def _look(
    classifier: 'Classifier', config: Config, source: 'Source', settings: Settings
) -> 'Evaluation':
    """With progress where somebody looks on."""
    from trainers.evaluation.evaluation import evaluate as seen

    total = len(source.splits[settings.split])
    with quiet.progress_bar(total, settings.split) as bar:

        def progress(done: int, _: int) -> None:
            bar.update(done - bar.n)

        return seen(
            classifier,
            settings.split,
            source=source,
            batch_size=settings.batch_size,
            views=settings.views,
            max_bad_fraction=config.max_bad_fraction,
            progress=progress,
        )


def _store(evaluation: 'Evaluation') -> Path | None:
    """Keeps the temperature with the run; returns the file."""
    from scripts.common.output_folder import writing
    from trainers.inference.classifier import store_temperature

    run = evaluation.classifier.run
    assert run is not None
    remedy = (
        f'The temperature of {evaluation.temperature.value:.4f} is not stored; pass it '
        'with --temperature.'
    )
    with writing(run.directory.calibration, 'calibration.json', remedy):
        return store_temperature(run, evaluation.temperature)


def _default_folder(
    classifier: 'Classifier', config: Config, settings: Settings
) -> Path:
    """Where a report goes that nobody has named a place for."""
    run = classifier.run
    what = f'{settings.split}{_views(settings)}'
    if run is None or not same_data(run.config, config):
        what = f'{_data_name(config)}-{what}'
    if run is None:
        return Path(f'evaluation/{classifier.specification.model}-{what}')
    given = flags.given(model_settings.model_fields())
    if given.get('weights') == 'last' or Path(given['run_dir']) != run.directory.path:
        what += f'-step-{run.step}'
    return run.directory.evaluation / what


def _data_name(config: Config) -> str:
    """'image_folder-holidays', as part of a folder's name."""
    dataset = config.dataset.replace('/', '-').replace(':', '-')
    if not config.data_dir:
        return dataset
    return f'{dataset}-{Path(config.data_dir).absolute().name}'


def _views(settings: Settings) -> str:
    return '' if settings.views == 'none' else f'-{settings.views}'


def _compare(folders: list[str], settings: Settings) -> None:
    from scripts.common.output_folder import check_writable, replace
    from scripts.evaluate import comparison_report
    from scripts.evaluate.comparison import check_same, compare
    from trainers.inference.classifier import from_run
    from trainers.run.source import load_source
    from trainers.storage import environment

    trained = model_settings.trained()
    classifiers = [
        from_run(Path(each), trained.weights, trained.precision, trained.temperature)
        for each in folders
    ]
    configs = [_config(classifier) for classifier in classifiers]
    sources = [load_source(config) for config in configs]
    check_same(list(zip(classifiers, sources)), settings.split)
    names = run_names(folders)
    folder = Path(settings.output or _comparison_folder(names, configs, settings))
    check_writable(folder)
    compared = compare(
        [
            look(classifier, config, source, settings)
            for classifier, config, source in zip(classifiers, configs, sources)
        ],
        names,
    )
    print(comparison_report.on_terminal(compared), flush=True)
    with quiet.native_stderr_suppressed():
        replace(
            folder,
            comparison_report.contents(compared, environment.describe()),
            comparison_report.NAMES,
        )
    print(comparison_report.farewell(folder))


def run_names(folders: list[str]) -> list[str]:
    """The last parts of the folders, or all of them where those are not unique."""
    names = [Path(folder).absolute().name for folder in folders]
    return names if len(set(names)) == len(names) else folders


def _comparison_folder(
    names: list[str], configs: list[Config], settings: Settings
) -> str:
    listed = '-'.join(name.strip('/').replace('/', '-') for name in names[:3])
    more = f'-and-{len(names) - 3}-more' if len(names) > 3 else ''
    given = flags.given(IMAGES)
    data = f'-{_data_name(configs[0])}' if {'dataset', 'data_dir'} & set(given) else ''
    return f'evaluation/compare-{listed}{more}{data}-{settings.split}{_views(settings)}'


def run() -> None:
    """Parses the command line and evaluates."""
    command.start(DESCRIPTION, FIELDS, check, evaluate, arguments=True)


if __name__ == '__main__':
    run()
