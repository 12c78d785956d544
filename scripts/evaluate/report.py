"""The report of an evaluation in Markdown, with its figures in the same folder."""

from typing import Any

from scripts.common.formatting import counted, percent
from scripts.common.markdown import bullets, escape, image, table
from scripts.evaluate import content
from trainers.evaluation.evaluation import TOP, Evaluation
from trainers.settings.config import Config

_ALL_CLASSES = 24  # Fewer are listed all; of more, the best and the worst.
_HALF = 10
_BAD = 20


def build(evaluation: Evaluation, config: Config, results: dict[str, Any]) -> str:
    """The report; `results` is what results.json holds."""
    sections = [
        f'# {escape(results["model"]["name"])} on {escape(evaluation.source.name)}, '
        f'{evaluation.split_name}',
        *_overview(evaluation, config),
        *(_heads(evaluation) if len(evaluation.heads) > 1 else []),
        *_classes(results),
        '## Confusion',
        image('confusion.png', 'Confusion matrix, normalized by label'),
        'Rows are labels, columns are predictions; [confusion.csv](confusion.csv) has '
        'the counts.',
        *_errors(evaluation),
        '## Calibration',
        image('reliability.png', 'Accuracy by confidence, and images by confidence'),
        'Images are grouped by the probability of the predicted class into 15 bins. '
        'Where accuracy is below the diagonal, the network is overconfident. '
        'The expected calibration error is the mean gap over the images '
        '([Guo et al., 2017](https://arxiv.org/abs/1706.04599)).',
        table(content.calibration(evaluation)),
        '## Precision and recall',
        image('precision_recall.png', 'Precision by recall'),
        'Each class against all others, by its probability; the micro average takes '
        'all pairs of an image and a class together. The mean average precision is '
        f'{results["mean_average_precision"]:.4f}.',
        *(_bad_files(evaluation) if evaluation.bad_files else []),
    ]
    return '\n\n'.join(sections) + '\n'


def _overview(evaluation: Evaluation, config: Config) -> list[str]:
    source, views = evaluation.source, evaluation.views_per_image
    main = evaluation.heads['main']
    rows = [
        ['', ''],
        ['Model', evaluation.classifier.origin],
        [
            'Images',
            f'{len(evaluation):,} of {source.name}, {evaluation.split_name}; '
            f'{counted(len(source.classes), "class", "classes")}',
        ],
        *([['Folder', config.data_dir]] if config.data_dir else []),
        ['Views of each image', f'{views}, averaged' if views > 1 else '1'],
        *(
            [
                f'{name.capitalize()} accuracy',
                f'{percent(value, 2)} (95 % interval {content.interval(bounds)})',
            ]
            for name, value, bounds in content.accuracies(evaluation, main)
        ),
        ['Loss (cross-entropy, nats)', f'{main.loss:.4f}'],
        ['Expected calibration error', percent(evaluation.reliability.error, 2)],
    ]
    return [
        table(rows, left=2),
        *(f'**{text}**' for text in content.warnings(evaluation, config)),
    ]


def _heads(evaluation: Evaluation) -> list[str]:
    rows = [
        [
            name,
            percent(head.top1),
            content.interval(head.top1_interval),
            percent(head.top5),
            f'{head.loss:.4f}',
        ]
        for name, head in evaluation.heads.items()
    ]
    return [
        '## Heads',
        table([['head', 'top-1', '95 % interval', f'top-{TOP}', 'loss'], *rows]),
    ]


def _classes(results: dict[str, Any]) -> list[str]:
    shown, note = _shown_classes(results['classes'])
    rows = [
        [
            'class',
            'precision',
            'recall',
            'interval',
            'F1',
            'average precision',
            'images',
        ],
        *(
            [
                row['name'],
                percent(row['precision']),
                percent(row['recall']),
                content.interval(row['recall_interval']),
                percent(row['f1']),
                percent(row['average_precision']),
                f'{row["support"]:,}',
            ]
            for row in shown
        ),
        [
            'mean of the classes',
            percent(results['macro']['precision']),
            percent(results['macro']['recall']),
            '',
            percent(results['macro']['f1']),
            percent(results['mean_average_precision']),
            f'{results["data"]["evaluated"]:,}',
        ],
    ]
    return [
        '## Classes',
        f'{note}Intervals of recall are 95 % intervals.',
        table(rows),
    ]


def _shown_classes(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """The rows of a table that is not too long, and a note on which they are."""
    if len(rows) <= _ALL_CLASSES:
        return rows, ''
    ranked = sorted(
        (row for row in rows if row['support']),
        key=lambda row: (row['recall'], row['f1']),
    )
    shown, which = ranked, 'in order of recall'
    if len(ranked) > 2 * _HALF:
        shown = [*ranked[:_HALF], *ranked[-_HALF:]]
        which = f'the {_HALF} of the lowest and the {_HALF} of the highest recall'
    return shown, (
        f'The {counted(len(ranked), "class", "classes")} with images, {which}; '
        f'[classes.csv](classes.csv) has all {len(rows):,} of the dataset. '
    )


def _errors(evaluation: Evaluation) -> list[str]:
    confused = content.most_confused(evaluation)
    if not confused:
        return ['Every prediction is correct.']
    rows = [
        [
            evaluation.classes[label],
            evaluation.classes[predicted],
            f'{count:,}',
            percent(count / evaluation.by_class.support[label]),
        ]
        for label, predicted, count in confused
    ]
    return [
        table([['label', 'predicted', 'images', 'of the class'], *rows], left=2),
        image('confused.png', 'An image of each of the most confused pairs'),
        'Each image is the most confident error of its pair.',
        '## Most confident errors',
        f'The most confident of {counted((~evaluation.correct).sum(), "error")}. '
        '[predictions.csv](predictions.csv) has the predictions of all images.',
        image('errors.png', 'Images with their predictions and labels'),
    ]


def _bad_files(evaluation: Evaluation) -> list[str]:
    bad = evaluation.bad_files
    more = len(bad) - _BAD
    return [
        '## Images left out',
        f'{counted(len(bad), "image")} of {len(evaluation.split):,} could not be '
        'decoded and are in none of these metrics.',
        bullets([f'{escape(file.name)}: {escape(file.reason)}' for file in bad[:_BAD]]),
        *(
            [f'And {more:,} more, listed in [results.json](results.json).']
            if more > 0
            else []
        ),
    ]
