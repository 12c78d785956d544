"""What the command does once TensorFlow is imported."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from scripts.common import flags, model_settings, quiet
from scripts.common.dataset_settings import image_config, image_fields
from scripts.common.formatting import printable, titled
from scripts.common.output_folder import check_writable, replace, writing
from scripts.evaluate import comparison_report, output, terminal
from scripts.evaluate.comparison import check_same, compare
from scripts.evaluate.settings import (
    Settings,
    check_calibration,
    check_splits,
    same_data,
)
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
        if classifier.run is None:
            raise ConfigError(
                'Expected the folder of a run with --calibrate, got '
                f'{classifier.origin}, a checkpoint without its run, with which the '
                'temperature would be stored.'
            )
        check_calibration(classifier.run.config, config)
        check_writable(
            classifier.run.directory.path,
            '--run_dir',
            'Make it writable, or leave out --calibrate.',
        )
    source = load_source(config)
    folder = Path(
        settings.output or _folder_of_evaluation(classifier, config, settings)
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
    names = run_names(run_folders)
    folder = Path(settings.output or _folder_of_comparison(names, configs[0], settings))
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
    report = (
        f'{printable(str(folder / "report.md"))}, with the predictions of each run in '
        'the same folder'
    )
    print('\n' + titled('Report', report))


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


def evaluate_split(
    classifier: Classifier, config: Config, source: Source, settings: Settings
) -> Evaluation:
    """Evaluates on a split; with `calibrate`, first fits a temperature.

    Raises:
        UserError: as `trainers.evaluation.evaluation.evaluate`; or no temperature is
            best, and then only the validation split is evaluated.
    """
    if not settings.calibrate:
        with quiet.progress_bar(
            len(source.splits[settings.split]), settings.split
        ) as bar:
            return evaluate(
                classifier,
                settings.split,
                source=source,
                batch_size=settings.batch_size,
                views=settings.views,
                max_bad_fraction=config.max_bad_fraction,
                progress=lambda done, _: bar.update(done - bar.n),
            )
    plain = dataclasses.replace(settings, calibrate=False)
    on_validation = dataclasses.replace(plain, split='validation')
    evaluation = evaluate_split(classifier, config, source, on_validation)
    temperature = fit_temperature(evaluation)
    if plain != on_validation:
        evaluation = evaluate_split(classifier, config, source, plain)
    return dataclasses.replace(evaluation, temperature=temperature)


def _store_temperature(evaluation: Evaluation) -> Path:
    """Stores the temperature with the run; returns the file."""
    run = evaluation.classifier.run
    assert run is not None
    with writing(
        run.directory.calibration,
        'calibration.json',
        f'The temperature of {evaluation.temperature.value:.4f} is not stored; pass it '
        'with --temperature.',
    ):
        return store_temperature(run, evaluation.temperature)


def _folder_of_evaluation(
    classifier: Classifier, config: Config, settings: Settings
) -> Path:
    """The folder of the report of one network, by the images that config names."""
    run, trained = classifier.run, model_settings.trained()
    name = _split(settings)
    if run is None or not same_data(run.config, config):
        name = f'{_data_name(config)}-{name}'
    if run is None:
        return Path(f'evaluation/{classifier.specification.model}-{name}')
    if trained.weights == 'last' or Path(trained.run_dir) != run.directory.path:
        name += f'-step-{run.step}'
    return run.directory.evaluation / name


def _folder_of_comparison(
    names: Sequence[str], config: Config, settings: Settings
) -> Path:
    """The folder of the report of a comparison; config is that of the first run."""
    listed = '-'.join(name.strip('/').replace('/', '-') for name in names[:3])
    if len(names) > 3:
        listed += f'-and-{len(names) - 3}-more'
    if {'dataset', 'data_dir'} & set(flags.given(image_fields())):
        listed += f'-{_data_name(config)}'
    return Path(f'evaluation/compare-{listed}-{_split(settings)}')


def run_names(folders: Sequence[str]) -> list[str]:
    """The last parts of the folders, or all of them where those are not unique."""
    names = [Path(folder).absolute().name for folder in folders]
    return names if len(set(names)) == len(names) else list(folders)


def _split(settings: Settings) -> str:
    """'test', or 'test-flip'."""
    return f'{settings.split}-{settings.views}'.removesuffix('-none')


def _data_name(config: Config) -> str:
    """'image_folder-holidays', as part of a folder's name."""
    folder = f'-{Path(config.data_dir).absolute().name}' if config.data_dir else ''
    return config.dataset.replace('/', '-').replace(':', '-') + folder
