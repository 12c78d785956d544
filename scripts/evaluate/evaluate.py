"""What the command does once TensorFlow is imported."""

import dataclasses
from pathlib import Path

from scripts.common import flags, model_settings, quiet
from scripts.common.dataset_settings import image_config, image_fields
from scripts.common.output_folder import check_writable, replace, writing
from scripts.evaluate import comparison_report, folders, output, terminal
from scripts.evaluate.comparison import check_same, compare
from scripts.evaluate.settings import Settings, check_calibration, check_splits
from trainers.evaluation.evaluation import Evaluation, evaluate, fit_temperature
from trainers.inference.classifier import Classifier, from_run, store_temperature
from trainers.run.source import load_source
from trainers.settings.config import Config, ConfigError
from trainers.storage import environment
from vision.data import Source


def evaluate_network(settings: Settings) -> None:
    """Evaluates the network that the flags name; prints and writes the report.

    Raises:
        ConfigError: the flags name no network or no images, or the wrong ones.
        UserError: it cannot be loaded or evaluated, or the report not be written.
    """
    classifier = model_settings.load_classifier()
    config = _config(classifier)
    if settings.calibrate:
        _check_calibration(classifier, config)
    source = load_source(config)
    folder = Path(
        settings.output
        or folders.of_evaluation(classifier, config, settings, model_settings.trained())
    )
    check_writable(folder)
    evaluation = evaluate_split(classifier, config, source, settings)
    print(terminal.report(evaluation, config), flush=True)
    with quiet.native_stderr_suppressed():  # Images are decoded again to be drawn.
        output.write(evaluation, folder, config, environment.describe())
    stored = _store_temperature(evaluation) if settings.calibrate else None
    print(terminal.farewell(evaluation, folder, stored))


def compare_runs(run_folders: list[str], settings: Settings) -> None:
    """Compares runs on the same images; prints and writes the report.

    Raises:
        ConfigError: the flags name the wrong images.
        UserError: the runs have different images, one cannot be loaded or evaluated, or
            the report not be written.
    """
    trained = model_settings.trained()
    classifiers = [
        from_run(Path(folder), trained.weights, trained.precision, trained.temperature)
        for folder in run_folders
    ]
    configs = [_config(classifier) for classifier in classifiers]
    sources = [load_source(config) for config in configs]
    check_same(list(zip(classifiers, sources)), settings.split)
    names = folders.run_names(run_folders)
    other_data = bool({'dataset', 'data_dir'} & set(flags.given(image_fields())))
    folder = Path(
        settings.output
        or folders.of_comparison(names, configs[0], settings, other_data)
    )
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


def _config(classifier: Classifier) -> Config:
    """The settings that name the images."""
    given = flags.given(image_fields())
    run = classifier.run
    if run is None and 'dataset' not in given:
        raise ConfigError(
            'Expected --dataset, with --data_dir, since these weights are not of a run '
            'that records its images.'
        )
    given['download'] = bool(flags.FLAGS['download'].value)
    config = image_config(run.config if run else Config(), given)
    if run is not None:
        check_splits(run.config, config)
    return config


def _check_calibration(classifier: Classifier, config: Config) -> None:
    """Raises a UserError where a temperature could not be fitted or stored."""
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
    classifier: Classifier, config: Config, source: Source, settings: Settings
) -> Evaluation:
    """Evaluates on a split; with `calibrate`, first fits a temperature.

    Raises:
        UserError: as `trainers.evaluation.evaluation.evaluate`; or no temperature is
            best, and then only the validation split is evaluated.
    """
    if not settings.calibrate:
        return _evaluate(classifier, config, source, settings)

    on_validation = dataclasses.replace(settings, split='validation')
    evaluation = _evaluate(classifier, config, source, on_validation)
    temperature = fit_temperature(evaluation)
    if settings != on_validation:
        evaluation = _evaluate(classifier, config, source, settings)
    return dataclasses.replace(evaluation, temperature=temperature)


def _evaluate(
    classifier: Classifier, config: Config, source: Source, settings: Settings
) -> Evaluation:
    """Evaluates on a split under a progress bar."""

    total = len(source.splits[settings.split])
    with quiet.progress_bar(total, settings.split) as bar:
        return evaluate(
            classifier,
            settings.split,
            source=source,
            batch_size=settings.batch_size,
            views=settings.views,
            max_bad_fraction=config.max_bad_fraction,
            progress=lambda done, _: bar.update(done - bar.n),
        )


def _store_temperature(evaluation: Evaluation) -> Path:
    """Stores the temperature with the run; returns the file."""

    run = evaluation.classifier.run
    assert run is not None
    remedy = (
        f'The temperature of {evaluation.temperature.value:.4f} is not stored; pass it '
        'with --temperature.'
    )
    with writing(run.directory.calibration, 'calibration.json', remedy):
        return store_temperature(run, evaluation.temperature)
