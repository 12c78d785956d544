"""The whole training loop, and training steps without it between its epochs."""

import dataclasses
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from scripts.benchmark.timing import Contestant
from trainers.networks import build as networks
from trainers.reporting.progress import Progress
from trainers.run import train
from trainers.run.features import FeatureCache
from trainers.run.loop import Loop
from trainers.run.signals import StopRequest
from trainers.settings.config import Config
from vision.data import BadFiles, Source


class Stopwatch(Progress):
    """Times a loop from the first to the last call of each epoch.

    Whatever happens in between counts: input, steps, reading metrics, writing
    summaries, showing the progress. Evaluation and checkpoints, which come after an
    epoch, do not. Behind each epoch the rival takes a turn of as many steps.

    Attributes:
        loop: seconds a step of the loop, by epoch.
        rival: seconds a step of the rival.
    """

    def __init__(self, epochs: int, steps_per_epoch: int, rival: Contestant):
        super().__init__(epochs * steps_per_epoch)
        self.loop: list[float] = []
        self.rival: list[float] = []
        self._steps_per_epoch = steps_per_epoch
        self._contestant = rival
        self._began: tuple[int, float] | None = None

    def update(self, step: int, fields: Mapping[str, str]) -> None:
        super().update(step, fields)
        now = time.perf_counter()
        if self._began is None:
            self._began = (step, now)
        if step % self._steps_per_epoch == 0:
            self._end_epoch(step, now)

    def _end_epoch(self, step: int, now: float) -> None:
        assert self._began is not None
        first, since = self._began
        self.loop.append((now - since) / (step - first))
        self.rival.append(self._contestant.turn(step - first) / (step - first))
        self._began = None


def race(
    config: Config, source: Source, rival: Contestant, epochs: int
) -> tuple[list[float], list[float]]:
    """Runs the real loop in a folder that is gone afterwards, the rival between epochs.

    Args:
        config: the run's settings; `limit_train_batches` is the length of an epoch.
        source: the dataset, decoded to memory already where that is wanted.
        rival: takes its turns while the loop stands still.
        epochs: how many to time, after one that is not.

    Returns:
        Seconds a step of the loop and of the rival, one each an epoch.
    """
    with tempfile.TemporaryDirectory(prefix='tapestry-benchmark-') as folder:
        config = dataclasses.replace(
            config, epochs=epochs + 1, run_dir=str(Path(folder) / 'run')
        )
        specification = networks.specify(config, source.classes, source.image_size)
        trainer, _ = train.build(config, specification, source)
        steps = config.limit_train_batches
        stopwatch = Stopwatch(epochs + 1, steps, rival)
        with stopwatch, train.open_directory(config, source) as directory:
            bad_files = BadFiles()
            stop = StopRequest()
            features = FeatureCache(
                config, specification, source, trainer.model, directory, bad_files, stop
            )
            Loop(
                config,
                specification,
                source,
                trainer,
                directory,
                bad_files,
                stop,
                stopwatch,
                features,
            ).run()
    return stopwatch.loop[1:], stopwatch.rival[1:]
