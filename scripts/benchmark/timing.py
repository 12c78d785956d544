"""Workloads that are measured in turns, and statistics of their times."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TypedDict

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


class Spread(TypedDict):
    """The median of some values, and the quartiles."""

    median: float
    low: float
    high: float


class Row(TypedDict):
    """The speed of a workload, as `scripts.benchmark.__main__` describes it."""

    name: str
    images_per_second: Spread | None
    gflops: float | None
    gflop_per_image: float | None
    share_of_matmul: float | None


def timed(work: Callable[[int], object]) -> Callable[[int], float]:
    """The same work as a function that returns its seconds."""

    def turn(steps: int) -> float:
        started = time.perf_counter()
        work(steps)
        return time.perf_counter() - started

    return turn


def spread(values: Sequence[float] | np.ndarray) -> Spread:
    """Median and quartiles, interpolated linearly."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return {'median': median, 'low': low, 'high': high}


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
    rates = 1 / np.array(seconds)
    images, gflop = workload.images, workload.gflop
    return {
        'name': workload.name,
        'images_per_second': spread(images * rates) if images else None,
        'gflops': gflop * spread(rates)['median'] if gflop else None,
        'gflop_per_image': gflop / images if images and gflop else None,
        'share_of_matmul': None,
    }


def ratios(rows: Sequence[Row], pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    """'A / B': images a second of A divided by those of B, by the medians."""
    medians = {
        row['name']: row['images_per_second']['median']
        for row in rows
        if row['images_per_second']
    }
    return {f'{a} / {b}': medians[a] / medians[b] for a, b in pairs}
