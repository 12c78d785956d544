"""What the command does once TensorFlow is imported."""

import dataclasses
import sys
from pathlib import Path

from scripts.common import flags, model_settings, quiet
from scripts.common.formatting import counted, printable, table
from scripts.common.output_folder import check_writable
from scripts.explain import attribution, images
from scripts.explain.images import Images
from scripts.explain.output import Output
from scripts.explain.settings import Settings
from trainers.inference.classifier import Classifier
from trainers.networks import build as networks
from trainers.settings.config import Config, ConfigError
from vision.data.fetch import pixels
from vision.errors import UserError, suggestion
from vision.explain.endpoints import default_endpoint, endpoint_shapes
from vision.models import Network, defaults, imagenet
from vision.models.profile import count_parameters


def explain(
    arguments: list[str], settings: Settings, data_dir: str = '', download: bool = False
) -> None:
    """Explains the images that the arguments name, or validation images of the run.

    Args:
        arguments: images, folders and patterns.
        settings: what is explained and how.
        data_dir: where the images of the run are, by default as it records.
        download: whether they may be downloaded.

    Raises:
        ConfigError: there is no image, or no such stage or class.
        UserError: there is no network, the output cannot be written, or an image
            cannot be read; all other images are explained then.
    """
    if settings.list_endpoints:
        print_endpoints(named_network())
        return
    classifier = model_settings.load_classifier()
    target = find_class(classifier, settings.target) if settings.target else None
    endpoint = choose_endpoint(classifier.network, settings.endpoint)
    if arguments:
        chosen = images.from_arguments(arguments)
    else:
        chosen = images.from_run(
            classifier, settings.samples, settings.seed, data_dir, download
        )
    run = classifier.run
    default = (
        run.directory.explanations
        if run
        else f'explanations/{classifier.specification.model}'
    )
    folder = Path(settings.output or default)
    check_writable(folder)
    write(classifier, chosen, settings, endpoint, target, folder)


def write(
    classifier: Classifier,
    chosen: Images,
    settings: Settings,
    endpoint: str,
    target: int | None,
    folder: Path,
) -> None:
    """Explains images and writes the results; an interruption keeps those so far.

    Args:
        classifier, chosen, settings, endpoint, target: as of `attribution.explain`.
        folder: where to; it exists.

    Raises:
        UserError: an image cannot be read, or a file cannot be written.
    """
    output = Output(folder, classifier)
    try:
        with quiet.progress_bar(len(chosen.split or ())) as bar:
            for batch in attribution.explain(
                classifier, chosen, settings, endpoint, target
            ):
                for explanation in batch:
                    assert chosen.split is not None
                    output.add(explanation, pixels(chosen.split, explanation.position))
                    bar.update(explanation.position + 1 - bar.n)
                output.write_table()
    finally:
        written = output.finish()
    for name, reason in chosen.errors.items():
        print(f'{printable(name)}: {reason}', file=sys.stderr, flush=True)
    if written:
        print(
            'Deletion test: mean drop of the probability in percentage points',
            *output.deletion_test(),
            sep='\n',
        )
        *sheets, explanations = (printable(str(path)) for path in written)
        last = f' to {written[-2].name}' if len(sheets) > 1 else ''
        print(f'\nWritten:\n  {sheets[0]}{last}\n  {explanations}')
    if chosen.errors:
        total = counted(len(chosen.errors) + len(output.images), 'image')
        raise UserError(f'{len(chosen.errors):,} of {total} could not be explained.')


def choose_endpoint(network: Network, name: str) -> str:
    """The stage of this name, by default the last one with more than one pixel.

    Raises:
        ConfigError: there is no such stage.
    """
    if name and name not in network.stages:
        raise ConfigError(
            f'Expected --endpoint to be one of {", ".join(network.stages)}; received '
            f'{name!r}.{suggestion(name, network.stages)}'
        )
    return name or default_endpoint(network)


def find_class(classifier: Classifier, word: str) -> int:
    """The label of the class with this id, name or synonym.

    Ids precede names, and names precede synonyms (the parts of a name between commas).
    Case is ignored where no spelling matches exactly.

    Raises:
        ConfigError: there is no such class, or there are several.
    """
    levels = [
        [(identifier, label) for label, identifier in enumerate(classifier.ids)],
        [(name, label) for label, name in enumerate(classifier.classes)],
        [
            (synonym.strip(), label)
            for label, name in enumerate(classifier.classes)
            for synonym in name.split(',')
        ],
    ]
    for spellings in levels:
        for folded in (str, str.lower):
            labels = {
                label for text, label in spellings if folded(text) == folded(word)
            }
            if len(labels) == 1:
                return labels.pop()
            if labels:
                ids = ' or '.join(classifier.ids[label] for label in sorted(labels))
                raise ConfigError(
                    f'Expected --target to name one class, received {word!r} of '
                    f'{len(labels)} classes. Pass an id: {ids}.'
                )
    known = [spelling for spellings in levels for spelling, _ in spellings]
    raise ConfigError(
        f'Expected --target to be the name or id of one of {len(classifier.classes):,} '
        f'classes, such as {classifier.classes[0]}; received {word!r}.'
        f'{suggestion(word, known)}'
    )


def print_endpoints(network: Network) -> None:
    """Prints a table of the network's stages."""
    rows = [
        [name, '×'.join(map(str, shape)), f'{count_parameters(network.stages[name]):,}']
        for name, shape in endpoint_shapes(network).items()
    ]
    print('\n'.join(table([['Endpoint', 'map', 'parameters'], *rows])))
    print(
        f'\nMaps are height × width × channels for images of {network.image_size} '
        f'pixels; the default is {default_endpoint(network)}.'
    )


def named_network() -> Network:
    """The network that the flags name; with a model alone, random weights."""
    given = flags.given(dataclasses.fields(Config))
    if 'run_dir' in given or 'pretrained' in given or 'model' not in given:
        return model_settings.load_classifier().network
    config = Config.from_dict(given)
    return networks.specify(
        config, imagenet.class_names(), defaults(config.model)['image_size']
    ).build()
