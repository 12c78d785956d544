"""Converts a network, compares each export with it, and writes the folder."""

import contextlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from scripts.common import quiet
from scripts.common.formatting import counted, printable, table
from scripts.common.output_folder import writing
from scripts.export import images
from scripts.export.images import Images
from scripts.export.report import Result, readme, rows, size_of, to_dict
from scripts.export.settings import Settings
from scripts.export.staging import MADE_BY, MARK, staged
from trainers.inference.classifier import Classifier
from trainers.storage import environment
from vision.errors import UserError
from vision.export import FORMATS
from vision.export.checking import compare
from vision.export.formats import Bundle, Format
from vision.files import write_atomically

_BATCH_SIZE = 8


def export(
    classifier: Classifier,
    forms: Sequence[Format],
    settings: Settings,
    download: bool = False,
) -> None:
    """Converts, compares, and writes the folder of the exports.

    Args:
        classifier: what is exported.
        forms: the formats.
        settings: the flags.
        download: whether images of the run may be downloaded.

    Raises:
        UserError: an export exceeds its tolerance, or cannot be made or written; then
            the output is unchanged.
    """
    output = Path(settings.output or default_output(classifier))
    bundle = Bundle(
        classifier.network,
        classifier.specification,
        classifier.ids,
        classifier.temperature.value,
    )
    with staged(output, settings.overwrite) as folder:
        with _converters_silenced():
            sample = images.choose(
                classifier,
                settings.images,
                calibrated=any(form.calibrates for form in forms),
                download=download,
            )
            expected = probabilities(classifier, sample.compared)
            results = make(forms, bundle, expected, sample, folder)
        compared = f'{counted(len(sample.compared), "image")} of {sample.origin}'
        print(f'{printable(classifier.origin)}, compared on {compared}:\n')
        print('\n'.join(table(rows(results))), flush=True)
        failures = [
            f'  {result.form.name}: {failure}.\n'
            for result in results
            for failure in result.comparison.failures
        ]
        if failures:
            raise UserError(
                '\nExpected each export to agree with the model; nothing was '
                'written:\n'
                + ''.join(failures)
                + 'Leave these formats out of --formats, or pass more images of the '
                'domain of the network with --images.'
            )
        with writing(output):
            describe(folder, bundle, classifier, compared, results)
    print(f'\nWritten: {printable(str(output))}')
    print(f'How to load each format: {printable(str(output / "README.md"))}')


@contextlib.contextmanager
def _converters_silenced() -> Iterator[None]:
    """Hides messages of converters and runtimes; every export is compared anyway."""
    logging.getLogger('tf2onnx').setLevel(logging.ERROR)
    with (
        quiet.native_stderr_suppressed(),
        quiet.muted('absl'),
        quiet.muted('tensorflow'),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter('ignore')
        yield


def choose(names: Sequence[str]) -> list[Format]:
    """The formats of these names, each once."""
    chosen = FORMATS if 'all' in names else dict.fromkeys(names)
    return [FORMATS.load(name) for name in chosen]


def default_output(classifier: Classifier) -> str:
    """The folder for exports in that of the run, or one named like the model."""
    if classifier.run is not None:
        return str(classifier.run.directory.export)
    return f'exports/{classifier.specification.model}'


def probabilities(classifier: Classifier, images: np.ndarray) -> np.ndarray:
    """The model's probabilities of images, float32 [N, classes].

    Raises:
        UserError: they are not finite.
    """
    batches = np.split(images, range(_BATCH_SIZE, len(images), _BATCH_SIZE))
    logits = np.concatenate(
        [classifier.logits(batch).main.numpy() for batch in batches]
    )
    wrong = int((~np.isfinite(logits)).any(-1).sum())
    if wrong:
        raise UserError(
            f'Expected finite logits of the network, got others for {wrong} of '
            f'{counted(len(images), "image")}: {printable(classifier.origin)}, is '
            'damaged, or its training diverged. Export other weights (--weights), or '
            'train again with a smaller learning rate.'
        )
    return classifier.probabilities(logits)


def make(
    forms: Sequence[Format],
    bundle: Bundle,
    expected: np.ndarray,
    sample: Images,
    folder: Path,
) -> list[Result]:
    """Converts to each format, to a SavedModel first, and runs the exports.

    Args:
        forms: the formats.
        bundle: what is exported.
        expected: the model's probabilities of the images to compare.
        sample: the images to compare, and those of the calibration set.
        folder: where the exports are written.
    """
    results = []
    with (
        tempfile.TemporaryDirectory(prefix='saved_model-', dir=folder) as scratch,
        tqdm(
            total=2 * len(forms),
            disable=None,
            leave=False,
            bar_format='{desc} {bar} {n}/{total}',
        ) as bar,
    ):
        first = FORMATS.load('saved_model')
        saved_model = (folder if first in forms else Path(scratch)) / first.path
        needed = first in forms or any(form.reads_saved_model for form in forms)
        others = [form for form in forms if form is not first]
        for form in [first, *others] if needed else others:
            bar.set_description_str(f'{form.name}: converting')
            target = saved_model if form is first else folder / form.path
            with writing(folder):
                form.convert(bundle, saved_model, target, sample.calibration)
            if form not in forms:
                continue
            bar.update()
            bar.set_description_str(f'{form.name}: running')
            answers = form.run(target, sample.compared)
            bar.update()
            results.append(
                Result(
                    form,
                    size_of(target),
                    answers.milliseconds,
                    compare(form, answers, expected),
                )
            )
    return results


def describe(
    folder: Path,
    bundle: Bundle,
    classifier: Classifier,
    compared: str,
    results: Sequence[Result],
) -> None:
    """Writes the README, the labels and the descriptions in JSON."""
    contents = {
        'labels.txt': '\n'.join(
            printable(name) for name in bundle.specification.classes
        ),
        'model.json': json.dumps(bundle.describe(), indent=2),
        'README.md': readme(bundle, classifier.origin, compared, results),
        MARK: json.dumps(
            {
                **MADE_BY,
                'origin': classifier.origin,
                'compared': compared,
                'environment': environment.describe(),
                'exports': [to_dict(result) for result in results],
            },
            indent=2,
        ),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content + '\n')
