"""Shows what networks go by: `python -m scripts.explain --run_dir=runs/x photo.jpg`."""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.common import command, flags, model_settings, quiet
from scripts.common.dataset_settings import image_fields
from scripts.common.formatting import counted, printable, table
from scripts.explain.settings import Settings
from trainers.settings.config import Config, ConfigError

if TYPE_CHECKING:
    from scripts.explain.choosing import Chosen
    from scripts.explain.explaining import Explanation
    from scripts.explain.output import Output
    from scripts.explain.report import Report
    from trainers.inference.classifier import Classifier
    from vision.models import Network

DESCRIPTION = """
Shows which parts of images a trained network goes by.

  python -m scripts.explain --run_dir=runs/x
      Some validation images of a run, half of them mistakes where there are any.
  python -m scripts.explain --run_dir=runs/x --method=all photo.jpg folder/ '*.png'
      Your own images, by every method.
  python -m scripts.explain --model=googlenet --pretrained=googlenet.npz \\
      --target='tiger cat' --endpoint=inception_4e photo.jpg
      What speaks for a class, whatever the network says, in the map of another stage.

Writes an image with a heat map over it for each image and method, sheet.png with all
of them side by side, and explanations.csv. Bright is what speaks for the class; the
network sees the largest square in the middle.

Whether a map means anything is checked by deleting (blurring) the fifth of the image
that it highlights: that should cost the class more of its probability than deleting as
much at random places. The means are printed, with a warning where it does not; what it
costs each image is in explanations.csv.
"""

IMAGES = [field for field in image_fields() if field.name == 'data_dir']
FIELDS = [*model_settings.model_fields(), *dataclasses.fields(Settings), *IMAGES]


def check(arguments: list[str]) -> tuple[list[str], Settings]:
    """Reads the flags.

    Returns:
        The arguments that name images, and the settings.

    Raises:
        ConfigError: a value is not allowed, or flags contradict each other.
    """
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    if arguments and flags.given(IMAGES):
        raise ConfigError(
            'Expected either --data_dir, where the images of the run are, or '
            f'images to explain, received both --data_dir and '
            f'{printable(arguments[0])}. Leave one of them out.'
        )
    return arguments, settings


def explain(request: tuple[list[str], Settings]) -> None:
    """Explains the images that the arguments name, or some of the run's own.

    Raises:
        ConfigError: there is no image, or no such stage or class.
        UserError: there is no network, nowhere to write to, or an image that could not
            be read; all others are explained then.
    """
    from scripts.common.output_folder import check_writable
    from scripts.explain import choosing, targets

    arguments, settings = request
    if settings.list_endpoints:
        print_endpoints(named_network())
        return
    classifier = model_settings.load_classifier()
    target = targets.find(classifier, settings.target) if settings.target else None
    endpoint = choose_endpoint(classifier.network, settings.endpoint)
    folder = output_folder(classifier, settings.output)
    if arguments:
        chosen = choosing.of_arguments(arguments)
    else:
        chosen = choosing.of_run(
            classifier, settings.samples, settings.seed, **flags.given(IMAGES)
        )
    check_writable(folder)
    write(classifier, chosen, settings, endpoint, target, folder)


def write(
    classifier: 'Classifier',
    chosen: 'Chosen',
    settings: Settings,
    endpoint: str,
    target: int | None,
    folder: Path,
) -> None:
    """Explains the images and writes that; what is done when stopped stays.

    Args:
        classifier, chosen, settings, endpoint, target: as of `explaining.explain`.
        folder: where to; it is there already.

    Raises:
        UserError: there were images that could not be read, or files not be written.
    """
    from scripts.explain.output import Output
    from scripts.explain.report import Report

    output, report = Output(folder, classifier), Report()
    try:
        for explanation in progressing(
            classifier, chosen, settings, endpoint, target, output
        ):
            report.add(explanation)
    finally:
        written = output.finish()
    conclude(chosen, report, written)


def progressing(
    classifier: 'Classifier',
    chosen: 'Chosen',
    settings: Settings,
    endpoint: str,
    target: int | None,
    output: 'Output',
) -> Iterator['Explanation']:
    """Explains and writes under a progress bar, and says at once what is bad."""
    from scripts.explain import explaining
    from vision.survey.images import pixels

    total = 0 if chosen.split is None else len(chosen.split)
    with quiet.progress_bar(total) as bar:
        for batch in explaining.explain(classifier, chosen, settings, endpoint, target):
            for explanation in batch:
                assert chosen.split is not None
                output.add(explanation, pixels(chosen.split, explanation.place))
                bar.update(explanation.place + 1 - bar.n)
                yield explanation
            output.write_table()
        bar.clear()
        for name, reason in chosen.errors.items():
            print(f'{printable(name)}: {reason}', file=sys.stderr, flush=True)


def conclude(chosen: 'Chosen', report: 'Report', written: list[Path]) -> None:
    """Says how it went and where it is.

    Raises:
        UserError: there were images that could not be read.
    """
    from vision.errors import UserError

    if written:
        print('Points of probability lost without a fifth of the image:')
        print('\n'.join(report.lines()))
        *sheets, explanations = (printable(str(path)) for path in written)
        last = f' to {written[-2].name}' if len(sheets) > 1 else ''
        print(f'\nWritten:\n  {sheets[0]}{last}\n  {explanations}')
    if chosen.errors:
        total = len(chosen.errors) + len(report.places)
        raise UserError(
            f'{len(chosen.errors):,} of {counted(total, "image")} could '
            'not be explained.'
        )


def choose_endpoint(network: 'Network', name: str) -> str:
    """The stage of that name, or the default one.

    Raises:
        ConfigError: there is no such stage.
    """
    from vision.errors import suggestion
    from vision.explain.endpoints import default_endpoint

    if name and name not in network.stages:
        raise ConfigError(
            f'Expected --endpoint to be of {", ".join(network.stages)}; received '
            f'{name!r}.{suggestion(name, network.stages)}'
        )
    return name or default_endpoint(network)


def output_folder(classifier: 'Classifier', output: str) -> Path:
    """The folder asked for, or that of the run or the model."""
    if output:
        return Path(output)
    if classifier.run is not None:
        return classifier.run.directory.explanations
    return Path('explanations') / classifier.specification.model


def print_endpoints(network: 'Network') -> None:
    """Prints a table of the network's stages."""
    from vision.explain.endpoints import default_endpoint, endpoint_shapes
    from vision.models.profile import count_parameters

    default = default_endpoint(network)
    rows = [['Endpoint', 'map', 'parameters']]
    for name, shape in endpoint_shapes(network).items():
        parameters = count_parameters(network.stages[name])
        rows.append([name, '×'.join(map(str, shape)), f'{parameters:,}'])
    print('\n'.join(table(rows)))
    print(
        f'\nMaps are height × width × channels for images of {network.image_size} '
        f'pixels; the default is {default}.'
    )


def named_network() -> 'Network':
    """The network that the flags name; a model alone has random weights."""
    from trainers.networks import build as networks
    from vision.models import default_image_size, imagenet

    given = flags.given(model_settings.model_fields())
    if 'run_dir' in given or 'pretrained' in given or 'model' not in given:
        return model_settings.load_classifier().network
    own = {field.name for field in dataclasses.fields(Config)}
    config = Config.from_dict({n: value for n, value in given.items() if n in own})
    specification = networks.specify(
        config, imagenet.class_names(), default_image_size(config.model)
    )
    return specification.build()


def run() -> None:
    """Parses the command line and explains."""
    command.start(DESCRIPTION, FIELDS, check, explain, arguments=True)


if __name__ == '__main__':
    run()
