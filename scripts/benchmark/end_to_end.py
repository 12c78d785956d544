"""The whole training loop, with training steps alone between its epochs."""

import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.benchmark.timing import Workload
from trainers.networks import build as networks
from trainers.reporting.progress import Progress
from trainers.reporting.reporter import Reporter
from trainers.run import train
from trainers.run.signals import StopRequest
from trainers.settings.config import Config
from vision.data import Source


class Stopwatch(Progress):
    """The progress of a loop, timed from the first to the last call of each epoch.

    Input, steps, reading metrics, writing summaries and showing the progress count.
    Evaluation and checkpoints, which follow an epoch, do not. After each epoch the
    baseline takes a turn of as many steps.

    Args:
        epochs: of the loop.
        steps_per_epoch: length of an epoch.
        baseline: what the loop is compared with.

    Attributes:
        seconds: of a step of the loop and of the baseline, by epoch.
    """

    def __init__(self, epochs: int, steps_per_epoch: int, baseline: Workload):
        super().__init__(epochs * steps_per_epoch)
        self.seconds: list[tuple[float, float]] = []
        self._steps_per_epoch = steps_per_epoch
        self._baseline = baseline
        self._began: tuple[int, float] | None = None

    def update(
        self, step: int, title: str = '', fields: Mapping[str, str] | None = None
    ) -> None:
        super().update(step, title, fields)
        now = time.perf_counter()
        first, since = self._began = self._began or (step, now)
        if step % self._steps_per_epoch == 0:
            steps = step - first
            self.seconds.append(
                ((now - since) / steps, self._baseline.turn(steps) / steps)
            )
            self._began = None


def measure_loop(
    config: Config, source: Source, baseline: Workload, epochs: int
) -> list[tuple[float, float]]:
    """Runs the training loop in a temporary folder, the baseline between its epochs.

    Args:
        config: the run's settings; `limit_train_batches` is the length of an epoch.
        source: the dataset, decoded to memory already where that is wanted.
        baseline: takes its turns while the loop stands still.
        epochs: how many to time, after one that is not.

    Returns:
        Seconds a step of the loop and of the baseline, by epoch.
    """
    with tempfile.TemporaryDirectory(prefix='tapestry-benchmark-') as folder:
        config = dataclasses.replace(
            config, epochs=epochs + 1, run_dir=str(Path(folder) / 'run')
        )
        specification = networks.specify(config, source.classes, source.image_size)
        trainer, _ = train.build(config, specification, source)
        stopwatch = Stopwatch(epochs + 1, config.limit_train_batches, baseline)
        with (
            stopwatch,
            train.open_directory(config, source, trainer, specification) as directory,
        ):
            train.make_loop(
                config,
                specification,
                source,
                trainer,
                directory,
                Reporter(config, directory, trainer.state, source.classes, stopwatch),
                StopRequest(),
            ).run()
    return stopwatch.seconds[1:]
