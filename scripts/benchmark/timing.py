"""Workloads that are measured in turns, and statistics of their times."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from scripts.benchmark.settings import Settings
from trainers.reporting.progress import Progress

# A turn is long compared to the start of a thread, and short compared to changes of the
# machine's clock or load, which then affect all workloads alike.
SECONDS_PER_TURN = 1.0


@dataclasses.dataclass(frozen=True)
class Workload:
    """Something that is done step by step and whose speed is measured.

    Attributes:
        name: its name in the table.
        turn: takes so many steps, waits until they are done, returns the seconds.
        images: images in a step; 0 where it has none.
        gflop: floating-point operations of a step / 10⁹; 0 where they do not matter.
    """

    name: str
    turn: Callable[[int], float]
    images: int = 0
    gflop: float = 0.0


class Spread(NamedTuple):
    """The median of some values, and the quartiles."""

    median: float
    low: float
    high: float


class Row(NamedTuple):
    """The speed of a workload; None where a value makes no sense.

    Attributes:
        name: of the workload.
        images_per_second: median and quartiles over the turns.
        gflops: floating-point operations a second / 10⁹, median.
        gflop_per_image: those of one image.
        share_of_matmul: `gflops` as a share of the matrix product's.
    """

    name: str
    images_per_second: Spread | None = None
    gflops: float | None = None
    gflop_per_image: float | None = None
    share_of_matmul: float | None = None


def timed(work: Callable[[int], object]) -> Callable[[int], float]:
    """The same work as a function that returns its seconds."""

    def turn(steps: int) -> float:
        started = time.perf_counter()
        work(steps)
        return time.perf_counter() - started

    return turn


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles, interpolated linearly."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return Spread(median, low, high)


def measure(workloads: Sequence[Workload], settings: Settings, steps: int) -> list[Row]:
    """Measures workloads in turns; returns a row for each.

    Every round begins with another workload, so that none always follows the same one.

    Args:
        workloads: what is measured.
        settings: how many turns and how much warm-up.
        steps: steps in a turn; 0: as many as take `SECONDS_PER_TURN`.
    """
    fitting = [warm_up(workload, settings) for workload in workloads]
    turns = [steps or count for count in fitting]
    seconds: list[list[float]] = [[] for _ in workloads]
    with Progress(settings.repeats) as progress:
        for repeat in range(settings.repeats):
            for place in range(len(workloads)):
                index = (place + repeat) % len(workloads)
                taken = workloads[index].turn(turns[index])
                seconds[index].append(taken / turns[index])
            progress.update(repeat + 1)
    return [row(workload, taken) for workload, taken in zip(workloads, seconds)]


def warm_up(
    workload: Workload, settings: Settings, seconds: float = SECONDS_PER_TURN
) -> int:
    """Warms a workload up; returns how many of its steps take so many seconds."""
    workload.turn(1)  # The first step is traced, which takes much longer.
    taken = workload.turn(settings.warmup_steps)
    return max(1, round(seconds * settings.warmup_steps / max(taken, 1e-6)))


def row(workload: Workload, seconds: Sequence[float]) -> Row:
    """The speed of a workload by the seconds of a step in each turn."""
    rates = spread([1 / step for step in seconds])
    images, gflop = workload.images, workload.gflop
    return Row(
        workload.name,
        Spread(*(images * rate for rate in rates)) if images else None,
        gflop * rates.median if gflop else None,
        gflop / images if images and gflop else None,
    )


def ratio(first: Row, second: Row) -> float:
    """Images a second of the first, divided by those of the second, by the medians."""
    assert first.images_per_second and second.images_per_second
    return first.images_per_second.median / second.images_per_second.median


def with_shares(rows: Sequence[Row], reference: str) -> list[Row]:
    """The rows with `share_of_matmul` computed from the one of that name."""
    [full] = [row.gflops for row in rows if row.name == reference]
    assert full
    return [
        row._replace(share_of_matmul=row.gflops / full) if row.gflops else row
        for row in rows
    ]
