"""Evaluates a trained network: `python -m scripts.evaluate --run_dir=runs/x`.

Writes into its folder, with report.md, MODEL_CARD.md and their figures:

    results.json       every number of the report
    predictions.csv    for each image its class, the predicted class, the probabilities
                       of both, the rank of its class, and the next predictions
    predictions.npz    names, labels and float32 logits of the images, the classes,
                       and the temperature that the logits are divided by
    classes.csv        precision, recall, F1, average precision and support
    confusion.csv      counts by label (row) and prediction (column)
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
)
from trainers.settings.config import Config, ConfigError

if TYPE_CHECKING:
    from trainers.evaluation.evaluation import Evaluation
    from trainers.inference.classifier import Classifier
    from vision.data import Source

DESCRIPTION = """
Evaluates a trained network: accuracy with its 95 % interval, metrics of each class,
confusion, the most confident errors, and how well probabilities are calibrated.

  python -m scripts.evaluate --run_dir=runs/x
      The best weights on the test split. Writes runs/x/evaluation/test/report.md and a
      model card in the same folder.
  python -m scripts.evaluate --run_dir=runs/x --calibrate
      The same, with the temperature that fits the validation split best. It is stored
      with the run.
  python -m scripts.evaluate --compare runs/a runs/b
      Whether one run is better than the other on the same images, beyond chance.
  python -m scripts.evaluate --model=googlenet --pretrained=googlenet_bvlc.npz \\
      --dataset=image_folder --data_dir=images
      Weights that are not of a run, on images in one folder for each class.
"""

IMAGES = image_fields()
MODEL = model_settings.model_fields()
FIELDS = [*dataclasses.fields(Settings), *MODEL, *IMAGES]


def check(arguments: list[str]) -> tuple[list[str], Settings]:
    """Reads the flags.

    Returns:
        The folders of runs to compare, and the settings.

    Raises:
        ConfigError: a value is not allowed, or flags contradict each other.
    """
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    model = flags.given(MODEL)
    if settings.compare:
        _check_comparison(arguments, model)
    elif arguments:
        raise ConfigError(
            f'Did not expect {arguments[0]!r}: give the folder of a run as '
            f'--run_dir={arguments[0]}, or several after --compare.'
        )
    if settings.calibrate and not model.get('run_dir'):
        raise ConfigError(
            'Expected --run_dir with --calibrate, since the temperature is stored with '
            'the run. For other weights, pass a --temperature.'
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
            'Expected nothing but the folders of two or more runs with --compare, as '
            f'in --compare runs/a runs/b, received {received}.'
        )
    places = [os.path.realpath(folder) for folder in folders]
    for index, place in enumerate(places):
        if place in places[:index]:
            raise ConfigError(
                'Expected different runs with --compare, received '
                f'{folders[index]} twice.'
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
    from scripts.evaluate import folders, output, terminal
    from trainers.run.source import load_source
    from trainers.storage import environment

    classifier = model_settings.load_classifier()
    config = _config(classifier)
    if settings.calibrate:
        _check_calibration(classifier, config)
    source = load_source(config)
    folder = Path(settings.output) if settings.output else None
    folder = folder or folders.of_evaluation(
        classifier, config, settings, model_settings.trained()
    )
    check_writable(folder)
    evaluation = evaluate_split(classifier, config, source, settings)
    print(terminal.report(evaluation, config), flush=True)
    with quiet.native_stderr_suppressed():  # Images are decoded again to be drawn.
        output.write(evaluation, folder, config, environment.describe())
    stored = _store_temperature(evaluation) if settings.calibrate else None
    print(terminal.farewell(evaluation, folder, stored))


def _compare(run_folders: list[str], settings: Settings) -> None:
    from scripts.common.output_folder import check_writable, replace
    from scripts.evaluate import comparison_report, folders
    from scripts.evaluate.comparison import check_same, compare
    from trainers.inference.classifier import from_run
    from trainers.run.source import load_source
    from trainers.storage import environment

    trained = model_settings.trained()
    classifiers = [
        from_run(Path(folder), trained.weights, trained.precision, trained.temperature)
        for folder in run_folders
    ]
    configs = [_config(classifier) for classifier in classifiers]
    sources = [load_source(config) for config in configs]
    check_same(list(zip(classifiers, sources)), settings.split)
    names = folders.run_names(run_folders)
    other_data = bool({'dataset', 'data_dir'} & set(flags.given(IMAGES)))
    folder = Path(settings.output) if settings.output else None
    folder = folder or folders.of_comparison(names, configs[0], settings, other_data)
    check_writable(folder)
    evaluations = [
        evaluate_split(classifier, config, source, settings)
        for classifier, config, source in zip(classifiers, configs, sources)
    ]
    compared = compare(evaluations, names)
    print(comparison_report.on_terminal(compared), flush=True)
    with quiet.native_stderr_suppressed():
        files = comparison_report.contents(compared, environment.describe())
    replace(folder, files, comparison_report.NAMES)
    print(comparison_report.farewell(folder))


def _config(classifier: 'Classifier') -> Config:
    """The settings that name the images."""
    given = flags.given(IMAGES)
    run = classifier.run
    if run is None and 'dataset' not in given:
        raise ConfigError(
            'Expected --dataset, with --data_dir, since these weights are not of a run '
            'that records its images.'
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
            'a checkpoint without its run, with which the temperature would be stored.'
        )
    check_calibration(run.config, config)
    check_writable(
        run.directory.path, '--run_dir', 'Make it writable, or leave out --calibrate.'
    )


def evaluate_split(
    classifier: 'Classifier', config: Config, source: 'Source', settings: Settings
) -> 'Evaluation':
    """Evaluates on a split; with `calibrate`, first fits a temperature.

    Raises:
        CalibrationError: no temperature is best; only the validation split is evaluated
            then.
        UserError: as `trainers.evaluation.evaluation.evaluate`.
    """
    if not settings.calibrate:
        return _evaluate(classifier, config, source, settings)
    from trainers.evaluation.evaluation import fit_temperature

    on_validation = dataclasses.replace(settings, split='validation')
    evaluation = _evaluate(classifier, config, source, on_validation)
    temperature = fit_temperature(evaluation)
    if settings != on_validation:
        evaluation = _evaluate(classifier, config, source, settings)
    return dataclasses.replace(evaluation, temperature=temperature)


def _evaluate(
    classifier: 'Classifier', config: Config, source: 'Source', settings: Settings
) -> 'Evaluation':
    """Evaluates on a split under a progress bar."""
    from trainers.evaluation import evaluation

    total = len(source.splits[settings.split])
    with quiet.progress_bar(total, settings.split) as bar:
        return evaluation.evaluate(
            classifier,
            settings.split,
            source=source,
            batch_size=settings.batch_size,
            views=settings.views,
            max_bad_fraction=config.max_bad_fraction,
            progress=lambda done, _: bar.update(done - bar.n),
        )


def _store_temperature(evaluation: 'Evaluation') -> Path:
    """Stores the temperature with the run; returns the file."""
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


def run() -> None:
    """Parses the command line and evaluates."""
    command.start(DESCRIPTION, FIELDS, check, evaluate, arguments=True)


if __name__ == '__main__':
    run()
