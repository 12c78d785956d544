"""Makes files of a trained network for other programs: `python -m scripts.export`."""

import contextlib
import dataclasses
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tqdm import tqdm

from scripts.common import command, flags, model_settings, quiet
from scripts.common.formatting import counted, printable, table
from scripts.export.settings import Settings

if TYPE_CHECKING:
    import numpy as np

    from scripts.export.images import Images
    from scripts.export.results import Result
    from trainers.inference.classifier import Classifier
    from vision.export.formats import Bundle, Format

DESCRIPTION = """
Writes a trained network in the formats of other programs, with normalization,
temperature and softmax inside. Each export is run in its own runtime, in a fresh
process, on real images, and compared with the model. If one differs by more than it
may, nothing is written.

  python -m scripts.export --run_dir=runs/x
      A SavedModel in runs/x/export, with a README.md that says how to load it.
  python -m scripts.export --run_dir=runs/x --formats=tflite_int8,onnx
      TensorFlow Lite in 8 bits, calibrated on training images, and ONNX.
  python -m scripts.export --install_converter
      Builds the converter to TensorFlow.js, which needs an environment of its own.
  python -m scripts.export --model=googlenet --pretrained=googlenet_bvlc.npz \\
      --images=holiday --formats=all
      Weights that are not of a run, compared on images of your own.
"""

BATCH = 8  # images that the model is asked at a time

# Exports are float32, and so is what they are compared with.
FIELDS = [
    *dataclasses.fields(Settings),
    *(field for field in model_settings.model_fields() if field.name != 'precision'),
]


def export(
    classifier: 'Classifier',
    forms: 'Sequence[Format]',
    settings: Settings,
    download: bool = False,
) -> None:
    """Makes the exports, compares them and puts them into their place.

    Args:
        classifier: what is exported.
        forms: as what.
        settings: the flags.
        download: whether images of the run may be downloaded.

    Raises:
        UserError: an export differs too much, or cannot be made or stored; then there
            is nothing new at the output.
    """
    from scripts.common.output_folder import writing
    from scripts.export import images
    from scripts.export.results import rows
    from scripts.export.staging import staged
    from vision.errors import UserError
    from vision.export.formats import Bundle

    output = Path(settings.output or default_output(classifier))
    with staged(output, settings.overwrite) as folder:
        bundle = Bundle(
            classifier.network,
            classifier.specification,
            classifier.ids,
            classifier.temperature.value,
        )
        with native_stderr_suppressed() as terminal:
            found = images.find(
                classifier,
                settings.images,
                download=download,
                measures=any(form.calibrates for form in forms),
            )
            expected = answers_of(classifier, found.compared)
            results = make(forms, bundle, expected, found, folder, terminal)
        compared = f'{counted(len(found.compared), "image")} of {found.origin}'
        print(f'{printable(classifier.origin)}, compared on {compared}:\n')
        print('\n'.join(table(rows(results))), flush=True)
        if failures := [line for result in results for line in explain(result)]:
            raise UserError(
                '\nExpected each export to say what the model says, so '
                'nothing was written:\n'
                + '\n'.join(failures)
                + '\nLeave those out of --formats, or pass more images of '
                'the kind that the network is for with --images.'
            )
        with writing(output):
            describe(folder, bundle, classifier, compared, results)
    print(
        f'\nWritten: {printable(str(output))}\n'
        f'How to load each: {printable(str(output / "README.md"))}'
    )


def choose(names: Sequence[str]) -> 'list[Format]':
    """The formats of these names, each once."""
    from vision.export import FORMATS

    chosen = FORMATS if 'all' in names else dict.fromkeys(names)
    return [FORMATS.load(name)() for name in chosen]


def default_output(classifier: 'Classifier') -> str:
    """The folder of exports in that of the run, or one beside our other outputs."""
    if classifier.run is not None:
        return str(classifier.run.directory.export)
    return f'exports/{classifier.specification.model}'


def answers_of(classifier: 'Classifier', images: 'np.ndarray') -> 'np.ndarray':
    """The model's probabilities, float32 `[N, classes]`.

    Raises:
        UserError: they are no numbers.
    """
    import numpy as np

    from vision.errors import UserError

    logits = np.concatenate(
        [
            classifier.logits(images[start : start + BATCH]).main.numpy()
            for start in range(0, len(images), BATCH)
        ]
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
    forms: 'Sequence[Format]',
    bundle: 'Bundle',
    expected: 'np.ndarray',
    images: 'Images',
    folder: Path,
    terminal: TextIO,
) -> 'list[Result]':
    """Converts to each format and runs what comes out; a SavedModel is always made."""
    from scripts.common.output_folder import writing
    from scripts.export.results import Result, size_of
    from vision.export import FORMATS
    from vision.export.checking import compare

    results = []
    with contextlib.ExitStack() as stack:
        first = FORMATS.load('saved_model')()
        saved_model = folder / first.path
        if all(form.name != first.name for form in forms):
            scratch = stack.enter_context(
                tempfile.TemporaryDirectory(prefix='saved_model-', dir=folder)
            )
            saved_model = Path(scratch) / saved_model.name
        bar = stack.enter_context(
            tqdm(
                total=2 * len(forms),
                file=terminal,
                disable=None,
                leave=False,
                bar_format='{desc} {bar} {n}/{total}',
            )
        )
        bar.set_description_str('saved_model: converting')
        with writing(folder):
            first.convert(bundle, saved_model, saved_model, images.measured)
        for form in forms:
            target = folder / form.path
            bar.set_description_str(f'{form.name}: converting')
            if form.name != 'saved_model':
                with writing(folder):
                    form.convert(bundle, saved_model, target, images.measured)
            bar.update()
            bar.set_description_str(f'{form.name}: running')
            answers = form.run(target, images.compared)
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


def explain(result: 'Result') -> list[str]:
    """What is wrong with an export, a line each."""
    return [f'  {result.form.name}: {text}.' for text in result.comparison.failures]


def describe(
    folder: Path,
    bundle: 'Bundle',
    classifier: 'Classifier',
    compared: str,
    results: 'Sequence[Result]',
) -> None:
    """Writes what people and programs have to know beside the exports."""
    from scripts.export import readme
    from scripts.export.results import to_dict
    from scripts.export.staging import MADE_BY, MARK
    from trainers.storage import environment
    from vision.files import write_atomically

    model = bundle.describe()
    labels = [printable(name) for name in model['classes']]
    record = {
        **MADE_BY,
        'origin': classifier.origin,
        'compared': compared,
        'environment': environment.describe(),
        'exports': [to_dict(result) for result in results],
    }
    text = readme.write(bundle, classifier.origin, compared, results)
    for name, content in {
        'labels.txt': '\n'.join(labels) + '\n',
        'model.json': json.dumps(model, indent=2) + '\n',
        'README.md': text,
        MARK: json.dumps(record, indent=2) + '\n',
    }.items():
        write_atomically(folder / name, content)


@contextlib.contextmanager
def native_stderr_suppressed() -> Iterator[TextIO]:
    """Gives a way to the terminal while converters and decoders talk.

    They write from C++, to the file descriptor. It is shown after a crash only.
    """
    from vision.errors import UserError

    if os.environ.get('TF_CPP_MIN_LOG_LEVEL', '3') != '3':  # somebody wants to see
        yield sys.stderr
        return
    ours = [logging.getLogger(name) for name in ('scripts', 'trainers', 'vision')]
    with quiet.stderr_exchanged() as (terminal, said):
        handler = logging.StreamHandler(terminal)
        try:
            for logger in ours:
                logger.addHandler(handler)
            yield terminal
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException:
            said.seek(0)
            os.write(terminal.fileno(), said.read())
            raise
        finally:
            sys.stderr.flush()
            for logger in ours:
                logger.removeHandler(handler)


def settings_of(arguments: Sequence[str]) -> Settings:
    """What the flags say; raises ConfigError where that is wrong."""
    del arguments
    return Settings(**flags.given(dataclasses.fields(Settings)))


def work(settings: Settings) -> None:
    """Builds the converter, or exports the network that the flags name."""
    import tensorflow as tf

    from vision.export import converter_environment

    forms = choose(settings.formats)
    if settings.install_converter:
        converter_environment.build(converter_environment.DEFAULT)
        where = converter_environment.DEFAULT.absolute()
        print(f'The converter to TensorFlow.js is in {where}.', flush=True)
        if not flags.given(model_settings.model_fields()):
            return
    for form in forms:
        form.check_available()
    # Exports run on the processor; a GPU would round otherwise.
    tf.config.set_visible_devices([], 'GPU')
    download = flags.given(model_settings.model_fields()).get('download', False)
    export(model_settings.load_classifier(), forms, settings, download)


def run() -> None:
    """Parses the command line and exports."""
    command.start(DESCRIPTION, FIELDS, settings_of, work)


if __name__ == '__main__':
    run()
