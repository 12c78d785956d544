"""A model card: what a network is, its data, training, results and limits.

Mitchell et al., 2019, "Model Cards for Model Reporting",
https://arxiv.org/abs/1810.03993.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.common.formatting import counted, percent
from scripts.common.markdown import bullets, code, escape, table
from scripts.evaluate import content
from trainers.evaluation.evaluation import Evaluation
from trainers.inference.classifier import Run
from trainers.reporting.progress import format_duration
from trainers.settings.config import Config
from trainers.storage.run_directory import read_json
from vision.models.profile import count_macs, count_parameters

_WORST = 5
_FEW = 30  # Images of a class, below which its recall is imprecise.
_LISTED = 30
_CONFIDENT = 0.95
_ENVIRONMENT = (
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
)


def build(evaluation: Evaluation, config: Config, environment: dict[str, Any]) -> str:
    """The card; of a run, with what its folder records."""
    run = evaluation.classifier.run
    starts = _read(run.directory.environment) if run else None
    sections = [
        f'# Model card: {escape(evaluation.classifier.specification.model)}',
        _model(evaluation),
        *_data(evaluation, config),
        '## Training',
        *(
            _training(run)
            if run
            else [
                'The weights are not of a run, so their training is not recorded: '
                f'{escape(evaluation.classifier.origin)}.'
            ]
        ),
        *_results(evaluation),
        '## Limits',
        bullets(
            [
                *content.warnings(evaluation, config),
                *_limits_of_use(evaluation),
                *_limits_of_data(evaluation),
            ]
        ),
        *_environment(environment, starts[0] if starts else None),
    ]
    return '\n\n'.join(sections) + '\n'


def _model(evaluation: Evaluation) -> str:
    classifier, names = evaluation.classifier, evaluation.classes
    network, specification = classifier.network, classifier.specification
    size = classifier.image_size
    options = ', '.join(
        f'{name}: {content.written(value)}'
        for name, value in specification.options.items()
        if value not in (None, '', ())
    )
    left_out = len(names) - _LISTED
    origin, temperature, *_ = content.calibration(evaluation)[-1]
    rows = [
        ['', ''],
        ['Network', specification.model],
        *([['Options', options]] if options else []),
        ['Weights', classifier.origin],
        ['Parameters', f'{count_parameters(network):,}'],
        [
            'Multiplications per image',
            f'{count_macs(network, size) / 1e6:,.1f} million',
        ],
        [
            'Input',
            f'{specification.channels}, {size}×{size} pixels in 0..255: the largest '
            'centred square of the image, in the orientation of its EXIF data, resized '
            'bilinearly',
        ],
        ['Normalization', f'{specification.normalization}, part of the network'],
        ['Output', f'logits of {len(names):,} classes'],
        [
            'Classes',
            '; '.join(names[:_LISTED])
            + (f' and {left_out:,} more' if left_out > 0 else ''),
        ],
        ['Temperature of the softmax', f'{temperature}, {origin}'],
    ]
    return table(rows, left=2)


def _data(evaluation: Evaluation, config: Config) -> list[str]:
    source = evaluation.source
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
        numbers = (len(split), np.count_nonzero(counts), counts.min(), counts.max())
        rows.append([name, *(f'{number:,}' for number in numbers)])
    return [
        '## Data',
        ', '.join(filter(None, map(escape, (source.name, config.data_dir)))) + '.',
        table(rows),
        'Splits that the dataset does not provide were taken from its training images '
        f'with `--split_seed={config.split_seed} '
        f'--validation_fraction={config.validation_fraction:g} '
        f'--test_fraction={config.test_fraction:g}`.',
    ]


def _training(run: Run) -> list[str]:
    averaged = ', moving averages of the weights' if run.averaged else ''
    defaults = Config().to_dict()
    settings = [
        [name, content.written(value)]
        for name, value in run.config.to_dict().items()
        if value != defaults[name]
    ]
    results = _read(run.directory.results) or {}
    metrics = [
        [split, percent(results[split]['top1']), f'{results[split]["loss"]:.4f}']
        for split in ('validation', 'test')
        if {'top1', 'loss'} <= set(results.get(split, ()))
    ]
    recorded = [
        'Metrics of the best weights that the run recorded at its end:',
        table([['split', 'top-1', 'loss'], *metrics]),
    ]
    return [
        f'The weights are those of step {run.step:,}, epoch {run.epoch}{averaged}. '
        'Settings that differ from the defaults:',
        table([['setting', 'value'], *settings], left=2),
        *(recorded if results else []),
        *(
            [
                f'Training took {format_duration(results["seconds"])} for '
                f'{counted(results.get("epochs", 0), "epoch")}.'
            ]
            if 'seconds' in results
            else []
        ),
    ]


def _results(evaluation: Evaluation) -> list[str]:
    views = evaluation.views
    augmented = f', with test-time augmentation ({views})' if views != 'none' else ''
    rows = [
        [f'{name} accuracy', percent(value, 2), content.interval(bounds)]
        for name, value, bounds in content.accuracies(
            evaluation, evaluation.heads['main']
        )
    ]
    return [
        '## Results',
        f'On {counted(len(evaluation), "image")} of {escape(evaluation.source.name)}, '
        f'{evaluation.split_name}{augmented}; more in [report.md](report.md).',
        table([['metric', 'value', '95 % interval'], *rows]),
        table(content.calibration(evaluation)),
    ]


def _limits_of_use(evaluation: Evaluation) -> Iterator[str]:
    size = evaluation.classifier.image_size
    yield (
        f'It predicts one of {len(evaluation.classes):,} classes for every image, also '
        'where none or several of them apply.'
    )
    yield (
        f'It takes the largest centred square of an image at {size}×{size} pixels: '
        'what is outside of it, or too small at that size, is lost.'
    )
    confidence, accuracy = evaluation.confidence.mean(), evaluation.correct.mean()
    if abs(confidence - accuracy) >= 0.01:
        yield (
            f'It is {"over" if confidence > accuracy else "under"}confident: its mean '
            f'confidence here is {percent(confidence, 2)}, its accuracy '
            f'{percent(accuracy, 2)}.'
        )
    confident = evaluation.correct[evaluation.confidence >= _CONFIDENT]
    if not confident.all():
        yield (
            f'{int((~confident).sum()):,} of {counted(len(confident), "prediction")} '
            f'with a probability of {_CONFIDENT} or more are wrong here.'
        )


def _limits_of_data(evaluation: Evaluation) -> Iterator[str]:
    names, by_class = evaluation.classes, evaluation.by_class
    worst = ', '.join(
        f'{escape(names[label])} ({percent(by_class.recall[label])} of '
        f'{by_class.support[label]:,})'
        for label in content.worst_classes(
            evaluation, min(_WORST, len(evaluation.dataset_classes) // 2)
        )
        if by_class.recall[label] < 1
    )
    if worst:
        yield f'The classes of the lowest recall are {worst}.'
    support = by_class.support[evaluation.dataset_classes]
    missing = [escape(names[i]) for i in evaluation.dataset_classes[support == 0]]
    if missing:
        more = ' and others' if len(missing) > _WORST else ''
        yield (
            f'{counted(len(missing), "class has", "classes have")} no images here: '
            f'{", ".join(missing[:_WORST])}{more}.'
        )
    untested = len(names) - len(support)
    if untested:
        yield f'{untested:,} more of its classes are not in this dataset.'
    few = int(((support > 0) & (support < _FEW)).sum())
    if few:
        yield (
            f'{counted(few, "class has", "classes have")} fewer than {_FEW} images '
            'here, so that the metrics of these classes are imprecise.'
        )
    if evaluation.bad_files:
        yield (
            f'{counted(len(evaluation.bad_files), "image")} could not be decoded and '
            'not evaluated.'
        )


def _environment(
    environment: dict[str, Any], trained: dict[str, Any] | None
) -> list[str]:
    columns = {'training': trained} if trained else {}
    columns['evaluation'] = environment
    rows = [
        [name, *(_described(column.get(name)) for column in columns.values())]
        for name in _ENVIRONMENT
    ]
    return [
        '## Environment',
        table([['', *columns], *rows], left=3),
        '## Commands',
        *(
            [
                'Training, in the folder that paths are relative to:',
                code(content.command_line(trained)),
            ]
            if trained
            else []
        ),
        'Evaluation:',
        code(content.command_line(environment)),
    ]


def _described(value: Any) -> str:
    """A value of environment.json, in a line."""
    if isinstance(value, dict) and 'hash' in value:
        return value['hash'] + (', with changes' if value.get('dirty') else '')
    if isinstance(value, dict) and 'model' in value:
        return f'{value["model"]}, {value.get("usable_cores")} cores'
    if isinstance(value, list):
        return ', '.join(str(entry.get('name', entry)) for entry in value) or 'none'
    return '–' if value is None else str(value)


def _read(path: Path) -> Any:
    """A file of the run; None where it does not exist yet."""
    return read_json(path) if path.exists() else None
