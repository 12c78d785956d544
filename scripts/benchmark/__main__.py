"""Measures speed: `python -m scripts.benchmark --mode=step`.

With --json=FILE everything that is printed is also written as one JSON object:

    environment   the machine, the versions, the code's commit, `load_average` of 1, 5
                  and 15 minutes before the start (null where unknown)
    mode          step, input, end_to_end, peers or input_peers
    settings      what the speed depends on; precision and image_size as resolved,
                  steps 0 where their number was chosen by the clock
    rows          one object for each workload:
        name                its name in the table
        images_per_second   {median, low, high} over the turns; low and high are the
                            quartiles; null for the matrix product
        gflops              floating-point operations a second / 10⁹, two for each
                            multiplication with accumulation, or null
        gflop_per_image     those of one image in one training step, or null
        share_of_matmul     gflops as a share of the 4096³ matrix product's in the same
                            precision and run; null outside the mode step
    ratios        {'A / B': images a second of A divided by those of B, by the medians}
"""

import dataclasses
import logging
import os
from pathlib import Path

from scripts.benchmark.settings import MODES, Settings, unused
from scripts.common import command, flags
from trainers.settings import recipes
from trainers.settings.config import Config

DESCRIPTION = """
Measures speed, with workloads that take turns in one process.

  python -m scripts.benchmark --mode=step --model=inception_v1
      Training steps, and the matrix product as the upper bound of the machine.
  python -m scripts.benchmark --mode=input --dataset=tiny_imagenet --data_dir=DIR
      The input pipeline alone, and reading and decoding only.
  python -m scripts.benchmark --mode=end_to_end
      The training loop, and its steps alone.
  python -m scripts.benchmark --mode=peers
      The network, and the same one in Keras.
  python -m scripts.benchmark --mode=input_peers --recipe=system_b --data_dir=DIR
      The input pipeline, those of Keras, and reading and decoding only, on the same
      files.
"""

USED = {name for names in MODES.values() for name in names}
CONFIG = [field for field in dataclasses.fields(Config) if field.name in USED]
FIELDS = [*dataclasses.fields(Settings), *CONFIG]

# Taken before TensorFlow is imported, which is a load of its own.
LOAD_AVERAGE = os.getloadavg() if hasattr(os, 'getloadavg') else None


def prepare(_: list[str]) -> tuple[Config, Settings]:
    """Reads the flags; raises a ConfigError where a value is not allowed."""
    settings = Settings(**flags.given(dataclasses.fields(Settings)))
    return recipes.configure(None, flags.given(CONFIG)), settings


def measure(request: tuple[Config, Settings]) -> None:
    """Measures what the flags ask for, prints it and writes it down."""
    from scripts.benchmark import modes, report
    from trainers.storage import environment

    logging.disable(logging.INFO)
    config, settings = request
    conditions = {**environment.describe(), 'load_average': LOAD_AVERAGE}
    ignored = unused(settings.mode, list(flags.given(FIELDS)))
    print(report.header(conditions, settings.mode, ignored), flush=True)
    result = modes.FUNCTIONS[settings.mode](config, settings)
    print(report.results(result))
    if settings.json:
        report.write(Path(settings.json), conditions, settings.mode, result)


if __name__ == '__main__':
    command.start(DESCRIPTION, FIELDS, prepare, measure)
