"""Trains a network: `python -m scripts.train --model=inception_v1`."""

import dataclasses
import logging
import sys

from scripts.common import command, flags
from trainers.settings.config import Config
from trainers.storage.resume import config_of

DESCRIPTION = """
Trains a network and keeps everything about the run in one folder.

  python -m scripts.train
      Inception v1 on the built-in dataset, in minutes on a laptop.
  python -m scripts.train --dataset=tiny_imagenet --data_dir=tiny-imagenet-200
      The same network on real images.
  python -m scripts.train --recipe=system_a --data_dir=tiny-imagenet-200
      The settings of a published system.

The same command again resumes a run that was stopped; --run_dir alone is enough, since
the run records its settings.
"""

FIELDS = dataclasses.fields(Config)


def prepare(_: list[str]) -> Config:
    """The settings of the run, new or recorded; raises a UserError where wrong."""
    return config_of(flags.given(FIELDS))


def work(config: Config) -> None:
    """Trains."""
    from trainers.run.train import train

    train(config)


if __name__ == '__main__':
    command.start(
        DESCRIPTION,
        FIELDS,
        prepare,
        work,
        log_handler=logging.StreamHandler(sys.stdout),
    )
