"""Looks at a dataset: `python -m scripts.explore --dataset=... --data_dir=...`.

Writes into its folder, beside the page and the images:

    summary.json      every number of the page; sizes in pixels, brightness in 0..1,
                      shares in 0..1, channels both in 0..1 and in 0..255
    duplicates.csv    split, path and class of both images of each pair, the bits in
                      which their perceptual hashes differ, and the kind: file (the same
                      bytes), pixels (the same once decoded) or near (nearly the same)
"""

import dataclasses
from pathlib import Path

from scripts.common import command, flags, quiet
from scripts.explore.settings import Settings, config_fields
from trainers.settings import recipes
from trainers.settings.config import Config
from vision.data.augment import AUGMENTATIONS

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
"""

FIELDS = [*config_fields(), *dataclasses.fields(Settings)]


def check(_: list[str]) -> tuple[Config, Settings]:
    """Reads the flags; raises a ConfigError where a value is not allowed."""
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    given = flags.given(config_fields())
    if given.get('augment') == ['all']:
        given['augment'] = list(AUGMENTATIONS)
    return recipes.configure(None, given), settings


def explore(request: tuple[Config, Settings]) -> None:
    """Looks at the dataset, prints what there is to see and writes it down."""
    from scripts.common.output_folder import check_writable
    from scripts.explore import augmentation, output, terminal
    from scripts.explore.summary import summarize
    from trainers.run.source import load_source
    from vision.survey.survey import survey

    config, settings = request
    folder = Path(settings.output or f'exploration/{config.dataset}')
    source = load_source(config)
    check_writable(folder)
    total = sum(map(len, source.splits.values()))
    total = min(settings.max_images or total, total)
    image_size = config.image_size or source.image_size
    with quiet.native_stderr_suppressed():
        with quiet.progress_bar(total) as bar:
            seen = survey(source, image_size, settings.max_images, bar.update)
        findings = summarize(seen)
        augmented = augmentation.examples(
            source, config.augment, image_size, settings.samples, settings.seed
        )
        print(terminal.report(findings), flush=True)
        written = output.write(findings, folder, settings.seed, augmented)
    print('\nWritten:')
    for path in written:
        print(f'  {path}')


def run() -> None:
    """Parses the command line and looks."""
    command.start(DESCRIPTION, FIELDS, check, explore)


if __name__ == '__main__':
    run()
