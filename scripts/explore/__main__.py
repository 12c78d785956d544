"""Looks at a dataset: `python -m scripts.explore --dataset=... --data_dir=...`.

Writes into its folder, beside the page and the images:

    summary.json      every number of the page; sizes in pixels, brightness in 0..1,
                      shares in 0..1, channels both in 0..1 and in 0..255
    duplicates.csv    split, path and class of both images of each pair, the bits in
                      which their perceptual hashes differ, and the kind: file (the same
                      bytes), pixels (the same once decoded) or near (nearly the same)
"""

import dataclasses
import logging
import sys
from pathlib import Path

from absl import app
from tqdm import tqdm

from scripts.common import command, flags, quiet
from scripts.explore.settings import Settings, config_fields
from trainers.settings.config import Config, ConfigError

DESCRIPTION = """
Looks at every image of a dataset before you train on it: classes, sizes, what to
normalize by, images that cannot be decoded or look odd, and duplicates, above all
those of validation and test images in the training split.

  python -m scripts.explore
      The built-in dataset.
  python -m scripts.explore --dataset=tiny_imagenet --data_dir=tiny-imagenet-200
      Real images. The page is exploration/tiny_imagenet/index.html.
  python -m scripts.explore --augment=pad_crop:4,flip
      Some training images before and after augmentation, too; --augment=all shows
      each augmentation there is.

Exit codes: 0 done, 1 a problem that the message explains, 2 a flag that it does not
know.

  --list_models, --list_datasets, --list_recipes, --list_augmentations
                          Say what there is to choose from, and leave.
"""

FIELDS = [*config_fields(), *dataclasses.fields(Settings)]


def main(argv: list[str]) -> int:
    """Looks and reports; returns the exit code."""
    del argv
    try:
        config = flags.config_from_flags()
        settings = Settings(**flags.given(dataclasses.fields(Settings)))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    quiet.import_tensorflow()
    from scripts.common import listings
    from vision.errors import UserError

    if listings.show(flags.FLAGS):
        return 0
    logging.getLogger('absl').setLevel(logging.ERROR)  # TensorFlow's own notes
    try:
        explore(config, settings)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('Stopped; nothing was written.', file=sys.stderr)
        return 130
    return 0


def explore(config: Config, settings: Settings) -> None:
    """Looks at the dataset, prints what there is to see and writes it down."""
    from scripts.common.output_folder import check_writable
    from scripts.explore import augmentation, output, terminal
    from scripts.explore.summary import summarize
    from trainers.run.train import load_source
    from vision.survey.survey import survey

    folder = Path(settings.output or f'exploration/{config.dataset}')
    source = load_source(config)
    check_writable(folder)
    total = sum(map(len, source.splits.values()))
    with command.native_stderr_suppressed() as stderr:
        total = min(settings.max_images or total, total)
        with tqdm(
            total=total, unit=' images', file=stderr, disable=None, leave=False
        ) as bar:
            seen = survey(source, config.image_size, settings.max_images, bar.update)
        findings = summarize(seen)
        augmented = augmentation.examples(
            source, config.augment, config.image_size, settings.samples, settings.seed
        )
        print(terminal.report(findings), flush=True)
        written = output.write(findings, folder, settings.seed, augmented)
    print('\nWritten:')
    for path in written:
        print(f'  {path}')


def run() -> None:
    """Parses the command line and looks."""
    flags.define_listings()
    flags.define(FIELDS)
    parser = flags.parser(DESCRIPTION, lambda: flags.describe(FIELDS))
    app.run(main, flags_parser=parser)


if __name__ == '__main__':
    run()
