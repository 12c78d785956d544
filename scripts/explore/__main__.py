"""Reports on a dataset: `python -m scripts.explore --dataset=... --data_dir=...`.

Besides the HTML page and its images, the folder holds:

    summary.json      every number of the page: sizes in pixels, brightness, contrast
                      and shares in 0..1, channels in 0..1 and in 0..255
    duplicates.csv    split, path and class of both images of each pair, the bits in
                      which their perceptual hashes differ, and the kind: file (the same
                      bytes), pixels (the same decoded pixels) or near (near-duplicates)
"""

import dataclasses
from pathlib import Path

from scripts.common import command, flags, quiet
from scripts.common.formatting import printable
from scripts.explore.settings import USED, Settings
from trainers.settings import recipes
from trainers.settings.config import Config
from vision.data.augment import AUGMENTATIONS

DESCRIPTION = """
Reads every image of a dataset before training and reports classes, sizes, channel
statistics, outliers, suspicious files, label conflicts, and duplicates, in particular
duplicates of training images in the other splits.

  python -m scripts.explore
      The built-in dataset.
  python -m scripts.explore --dataset=tiny_imagenet --data_dir=tiny-imagenet-200
      Another dataset. The page is exploration/tiny_imagenet/index.html.
  python -m scripts.explore --augment=pad_crop:4,flip
      Also some training images before and after augmentation; --augment=all shows
      every augmentation.
"""

CONFIG = [field for field in dataclasses.fields(Config) if field.name in USED]
FIELDS = [*CONFIG, *dataclasses.fields(Settings)]


def check(_: list[str]) -> tuple[Config, Settings]:
    """Reads the flags; raises a ConfigError where a value is not allowed."""
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    given = flags.given(CONFIG)
    if given.get('augment') == ['all']:
        given['augment'] = list(AUGMENTATIONS)
    return recipes.configure(None, given), settings


def explore(request: tuple[Config, Settings]) -> None:
    """Surveys the dataset, prints the report and writes the files."""
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
    image_size = config.image_size or source.image_size
    with quiet.progress_bar(min(settings.max_images or total, total)) as bar:
        surveyed = survey(source, image_size, settings.max_images, bar.update)
    with quiet.native_stderr_suppressed():
        findings = summarize(surveyed)
        augmented = augmentation.examples(
            source, config.augment, image_size, settings.samples, settings.seed
        )
        print(terminal.report(findings), flush=True)
        written = output.write(findings, folder, settings.seed, augmented)
    print('\nWritten:', *(f'  {printable(str(path))}' for path in written), sep='\n')


if __name__ == '__main__':
    command.start(DESCRIPTION, FIELDS, check, explore)
