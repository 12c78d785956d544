"""A model card: what a network is, was trained on, can do, and how to do it again.

Mitchell et al., 2019, "Model Cards for Model Reporting",
https://arxiv.org/abs/1810.03993.
"""

import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.common.formatting import counted
from scripts.common.markdown import bullets, code, escape, table
from scripts.evaluate import report
from trainers.evaluation.evaluation import TOP, Evaluation
from trainers.reporting.progress import format_duration
from trainers.settings.config import Config
from trainers.storage.run_directory import RunDirectory, read_json
from vision.models.profile import count_macs, count_parameters

_WORST = 5
_FEW = 30  # Images of a class, below which its recall says little.
_LISTED = 30


def build(evaluation: Evaluation, config: Config, environment: dict[str, Any]) -> str:
    """The card; of a run, with what its folder knows."""
    classifier = evaluation.classifier
    directory = classifier.run.directory if classifier.run else None
    sections = [
        f'# Model card: {escape(classifier.specification.model)}',
        *_model(evaluation),
        *_data(evaluation, config),
        *_training(evaluation, directory),
        *_results(evaluation),
        *_limits(evaluation, config),
        *_environment(environment, directory),
    ]
    return '\n\n'.join(sections) + '\n'


def _model(evaluation: Evaluation) -> Iterator[str]:
    classifier = evaluation.classifier
    network, specification = classifier.network, classifier.specification
    names = evaluation.classes
    shown = '; '.join(names[:_LISTED])
    left = len(names) - _LISTED
    rows = [
        ['', ''],
        ['Network', specification.model],
        ['Weights', classifier.origin],
        ['Parameters', f'{count_parameters(network):,}'],
        [
            'Multiplications an image',
            f'{count_macs(network, classifier.image_size) / 1e6:,.1f} million',
        ],
        [
            'Input',
            f'{specification.channels}, {classifier.image_size}×'
            f'{classifier.image_size} pixels in 0..255: the largest centred square of '
            'the image, upright as its EXIF says, resized bilinearly',
        ],
        ['Normalization', f'{specification.normalization}, by the network itself'],
        ['Output', f'logits of {len(names):,} classes'],
        ['Classes', shown + (f' and {left:,} more' if left > 0 else '')],
        ['Temperature of the softmax', _temperature(evaluation)],
    ]
    options = {
        name: value
        for name, value in specification.options.items()
        if value not in (None, '', ())
    }
    if options:
        rows.insert(
            2,
            [
                'Options',
                ', '.join(
                    f'{name}: {written(option)}' for name, option in options.items()
                ),
            ],
        )
    yield table(rows, left=2)


def _temperature(evaluation: Evaluation) -> str:
    if evaluation.temperature.value == 1:
        return '1: probabilities are as the network has them'
    return f'{evaluation.temperature.value:.4f}, {report.fitted_on(evaluation)}'


def _data(evaluation: Evaluation, config: Config) -> Iterator[str]:
    source = evaluation.source
    yield '## Data'
    rows = [
        [
            'split',
            'images',
            'classes with images',
            'fewest of a class',
            'most of a class',
        ]
    ]
    for name, split in source.splits.items():
        counts = np.bincount(split.labels, minlength=len(source.classes))
        rows.append(
            [
                name,
                f'{len(split):,}',
                f'{np.count_nonzero(counts):,}',
                f'{counts.min():,}',
                f'{counts.max():,}',
            ]
        )
    yield (
        f'{escape(source.name)}, {escape(config.data_dir)}'
        if config.data_dir
        else escape(source.name)
    ) + '.'
    yield table(rows)
    yield (
        'Splits that the dataset does not have of its own were taken from its '
        f'training images with `--split_seed={config.split_seed} '
        f'--validation_fraction={config.validation_fraction:g} '
        f'--test_fraction={config.test_fraction:g}`.'
    )


def _training(evaluation: Evaluation, directory: RunDirectory | None) -> Iterator[str]:
    run = evaluation.classifier.run
    yield '## Training'
    if run is None or directory is None:
        yield (
            'The weights are not of a run that this program knows more about: '
            f'{escape(evaluation.classifier.origin)}.'
        )
        return
    averaged = ', moving averages of the weights' if run.averaged else ''
    yield (
        f'The weights are those of step {run.step:,}, epoch {run.epoch}{averaged}. '
        'Settings that are not the defaults:'
    )
    yield table([['setting', 'value'], *_settings(run.config)], left=2)
    found = _read(directory.results)
    if isinstance(found, dict):
        yield 'What the run itself recorded of its best weights when it ended:'
        rows = [['split', 'top-1', 'loss']]
        for split in ('validation', 'test'):
            figures = found.get(split, {})
            if {'top1', 'loss'} <= set(figures):
                rows.append(
                    [split, report.share(figures['top1']), f'{figures["loss"]:.4f}']
                )
        yield table(rows)
        if 'seconds' in found:
            yield (
                f'It took {format_duration(found["seconds"])} for '
                f'{counted(found.get("epochs", 0), "epoch")}.'
            )


def _settings(config: Config) -> list[list[str]]:
    rows = []
    for field in dataclasses.fields(Config):
        own = getattr(config, field.name)
        if own != field.default:
            rows.append([field.name, written(own)])
    return rows


def written(value: Any) -> str:
    """The value of a setting, as one would give it."""
    if isinstance(value, (tuple, list)):
        return ','.join(map(str, value)) or 'none'
    return f'{value:g}' if isinstance(value, float) else str(value)


def _results(evaluation: Evaluation) -> Iterator[str]:
    main, source = evaluation.heads['main'], evaluation.source
    yield '## Results'
    views = (
        ''
        if evaluation.views == 'none'
        else f', with test-time augmentation ({evaluation.views})'
    )
    yield (
        f'On {counted(len(evaluation), "image")} of {escape(source.name)}, '
        f'{evaluation.split_name}{views}; more in [report.md](report.md).'
    )
    rows = [
        ['figure', 'value', '95 % interval'],
        [
            'top-1 accuracy',
            report.percent2(main.top1),
            report.interval(main.top1_interval),
        ],
    ]
    if len(evaluation.classes) > TOP:
        rows.append(
            [
                f'top-{TOP} accuracy',
                report.percent2(main.top5),
                report.interval(main.top5_interval),
            ]
        )
    rows += [
        ['loss as trained', f'{main.loss:.4f}', ''],
        [
            'expected calibration error as trained',
            report.percent2(evaluation.uncalibrated_reliability.error),
            '',
        ],
    ]
    if evaluation.temperature.value != 1:
        rows += [
            [
                'loss by the temperature',
                f'{evaluation.calibrated_losses.mean():.4f}',
                '',
            ],
            [
                'expected calibration error by the temperature',
                report.percent2(evaluation.reliability.error),
                '',
            ],
        ]
    yield table(rows)


def _limits(evaluation: Evaluation, config: Config) -> Iterator[str]:
    yield '## Limits'
    yield bullets(
        [
            *report.cautions(evaluation, config),
            *_of_use(evaluation),
            *_of_data(evaluation),
        ]
    )


def _of_use(evaluation: Evaluation) -> Iterator[str]:
    size = evaluation.classifier.image_size
    yield (
        f'It names one of {len(evaluation.classes):,} classes, whatever is in the '
        'image: there is no answer for none of them, or for several.'
    )
    yield (
        f'It sees the largest centred square of an image at {size}×{size} pixels: '
        'what lies beside it, or is too small to be seen at that size, is lost.'
    )
    confidence, accuracy = evaluation.confidence.mean(), evaluation.correct.mean()
    gap = confidence - accuracy
    if abs(gap) >= 0.01:
        sure, right = map(report.percent2, (confidence, accuracy))
        yield (
            f'It is {"surer" if gap > 0 else "less sure"} than it is right: its mean '
            f'confidence here is {sure}, its accuracy {right}.'
        )
    certain = evaluation.correct[evaluation.confidence >= 0.95]
    if not certain.all():
        wrong, of = int((~certain).sum()), counted(len(certain), 'image')
        yield (
            f'It is wrong about {wrong:,} of {of} here that it names with a '
            'probability of 0.95 or more.'
        )


def _of_data(evaluation: Evaluation) -> Iterator[str]:
    figures = evaluation.by_class
    count = min(_WORST, len(evaluation.dataset_classes) // 2)
    if found := [i for i in report.worst(evaluation, count) if figures.recall[i] < 1]:
        listed = ', '.join(
            f'{escape(evaluation.classes[i])} ({report.share(figures.recall[i])} of '
            f'{figures.support[i]:,})'
            for i in found
        )
        yield f'It finds least of these classes: {listed}.'
    missing = [
        label for label in evaluation.dataset_classes if not figures.support[label]
    ]
    if missing:
        listed = ', '.join(
            escape(evaluation.classes[label]) for label in missing[:_WORST]
        )
        more = ' and others' if len(missing) > _WORST else ''
        yield (
            f'Nothing is known of {counted(len(missing), "class", "classes")} '
            f'without images here: {listed}{more}.'
        )
    untested = len(evaluation.classes) - len(evaluation.dataset_classes)
    if untested:
        yield f'{untested:,} more of its classes are not in this dataset at all.'
    few = [
        label
        for label in evaluation.dataset_classes
        if 0 < figures.support[label] < _FEW
    ]
    if few:
        yield (
            f'{counted(len(few), "class has", "classes have")} fewer than {_FEW} '
            'images here, so that their figures are rough.'
        )
    if evaluation.bad_files:
        yield (
            f'{counted(len(evaluation.bad_files), "image")} could not be decoded '
            'and were left out.'
        )


def _environment(
    environment: dict[str, Any], directory: RunDirectory | None
) -> Iterator[str]:
    yield '## Environment'
    starts = _read(directory.environment) if directory else None
    trained = starts[0] if isinstance(starts, list) and starts else None
    columns = {'evaluation': environment}
    if isinstance(trained, dict):
        columns = {'training': trained, **columns}
    rows = [['', *columns]]
    for name in (
        'started',
        'commit',
        'python',
        'platform',
        'tensorflow',
        'keras',
        'numpy',
        'cpu',
        'gpus',
        'memory_gib',
    ):
        rows.append([name, *(_described(each.get(name)) for each in columns.values())])
    yield table(rows, left=3)
    yield '## Doing it again'
    if isinstance(trained, dict):
        yield 'Training, in the folder that paths are relative to:'
        yield code(command(trained))
    yield 'Evaluation:'
    yield code(command(environment))


def _described(value: Any) -> str:
    """What environment.json says of one thing, in a line."""
    if isinstance(value, dict) and 'hash' in value:
        return value['hash'] + (', with changes' if value.get('dirty') else '')
    if isinstance(value, dict) and 'model' in value:
        return f'{value["model"]}, {value.get("usable_cores")} cores'
    if isinstance(value, list):
        return ', '.join(str(each.get('name', each)) for each in value) or 'none'
    return '–' if value is None else str(value)


def command(environment: dict[str, Any]) -> str:
    """The command line that was given, as one would type it."""
    script, *arguments = environment['command']
    path = Path(script)
    start = (
        f'python -m {path.parent.name}.{path.stem}'
        if path.suffix == '.py' and path.parent.name == 'scripts'
        else script
    )
    return ' '.join([start, *map(shlex.quote, arguments)])


def _read(path: Path) -> Any:
    """A file of the run; None where it has none, as while it is going on."""
    try:
        return read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
