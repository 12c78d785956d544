"""Trains a network: `python -m scripts.train --model=inception_v1`."""

import dataclasses
import logging
import sys

from absl import app, flags

from scripts.common import flags as config_flags
from scripts.common import quiet
from trainers.settings.config import Config, ConfigError
from trainers.storage.run_directory import config_of
from vision.errors import UserError

DESCRIPTION = """
Trains a network and keeps everything about the run in one folder.

  python -m scripts.train
      Inception v1 on the built-in dataset, in minutes on a laptop.
  python -m scripts.train --dataset=tiny_imagenet --data_dir=tiny-imagenet-200
      The same network on real images.
  python -m scripts.train --recipe=system_a --data_dir=tiny-imagenet-200
      The settings of a published system.

The same command again resumes a run that was stopped; --run_dir alone is enough, since
the run records its settings. Exit codes: 0 done, 1 a problem that the message explains,
2 a flag that it does not know, 75 stopped by a signal with everything saved.

  --list_models, --list_datasets, --list_recipes, --list_augmentations
                          Say what there is to choose from, and leave.
"""

EXIT_PROBLEM = 1
EXIT_USAGE = 2

config_flags.define_listings()
config_flags.define_config()


def main(argv: list[str]) -> int:
    """Trains, or lists what there is; returns the exit code."""
    del argv
    try:
        config = config_of(config_flags.given(dataclasses.fields(Config)))
    except UserError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_PROBLEM
    # TensorFlow takes seconds to import: help and mistaken settings need not wait.
    quiet.import_tensorflow()
    from scripts.common import listings
    from trainers.reporting.progress import ConsoleHandler
    from trainers.run.signals import EXIT_STOPPED, Stopped
    from trainers.run.train import train

    if listings.show(flags.FLAGS):
        return 0
    console = ConsoleHandler(sys.stdout)
    logging.basicConfig(
        level=logging.INFO, format='%(message)s', handlers=[console], force=True
    )
    logging.getLogger('absl').setLevel(logging.WARNING)  # TensorFlow's own notes
    logging.getLogger('urllib3').setLevel(logging.ERROR)  # of each try to connect
    try:
        train(config, console)
    except UserError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_PROBLEM
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return EXIT_STOPPED
    return 0


def run() -> None:
    """Parses the command line and trains."""
    app.run(
        main, flags_parser=config_flags.parser(DESCRIPTION, config_flags.config_help)
    )


if __name__ == '__main__':
    run()
