"""Contestants that take turns, and what their times amount to."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from scripts.benchmark.settings import Settings
from trainers.reporting.progress import Progress

# A turn is long beside a thread's start and short beside a change of the machine's
# clock or of its load, which then hits all contestants alike.
SECONDS_PER_TURN = 1.0


@dataclasses.dataclass(frozen=True)
class Contestant:
    """Something that is done step by step and whose speed is wanted.

    Attributes:
        name: what stands in the table.
        turn: takes so many steps, waits until they are done, returns the seconds.
        images: images in a step; 0 where it has none.
        gflop: floating-point operations of a step / 10⁹; 0 where they do not matter.
    """

    name: str
    turn: Callable[[int], float]
    images: int = 0
    gflop: float = 0.0


class Spread(NamedTuple):
    """The middle of some figures, and the quartiles around it."""

    median: float
    low: float
    high: float


class Row(NamedTuple):
    """What was measured of one contestant; None where it makes no sense.

    Attributes:
        name: the contestant's.
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
    """The same work, but it returns its seconds."""

    def turn(steps: int) -> float:
        started = time.perf_counter()
        work(steps)
        return time.perf_counter() - started

    return turn


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles, interpolated linearly between neighbours."""
    low, median, high = np.percentile(values, [25, 50, 75]).tolist()
    return Spread(median, low, high)


def compete(
    contestants: Sequence[Contestant], settings: Settings, steps: int
) -> list[Row]:
    """Lets the contestants take turns; returns a row for each.

    Every round begins with another contestant, so that none always follows the same.

    Args:
        contestants: who competes.
        settings: how many turns and how much warm-up.
        steps: steps in a turn; 0: as many as take `SECONDS_PER_TURN`.
    """
    fitting = [warm_up(each, settings) for each in contestants]
    turns = [steps or each for each in fitting]
    seconds: list[list[float]] = [[] for _ in contestants]
    with Progress(settings.repeats) as progress:
        for repeat in range(settings.repeats):
            for place in range(len(contestants)):
                index = (place + repeat) % len(contestants)
                taken = contestants[index].turn(turns[index])
                seconds[index].append(taken / turns[index])
            progress.update(repeat + 1)
    return [row(*each) for each in zip(contestants, seconds)]


def warm_up(
    contestant: Contestant, settings: Settings, seconds: float = SECONDS_PER_TURN
) -> int:
    """Warms a contestant up; returns how many of its steps take so many seconds."""
    contestant.turn(1)  # The first step is traced, which takes much longer.
    taken = contestant.turn(settings.warmup_steps)
    return max(1, round(seconds * settings.warmup_steps / max(taken, 1e-6)))


def row(contestant: Contestant, seconds: Sequence[float]) -> Row:
    """What the seconds of a contestant's steps, turn by turn, amount to."""
    rates = spread([1 / each for each in seconds])
    images, gflop = contestant.images, contestant.gflop
    return Row(
        contestant.name,
        Spread(*(images * rate for rate in rates)) if images else None,
        gflop * rates.median if gflop else None,
        gflop / images if images and gflop else None,
    )


def ratio(first: Row, second: Row) -> float:
    """How many times as many images a second the first has, by the medians."""
    assert first.images_per_second and second.images_per_second
    return first.images_per_second.median / second.images_per_second.median


def with_shares(rows: Sequence[Row], ceiling: str) -> list[Row]:
    """The rows with `share_of_matmul` filled in from the one of that name."""
    best = next(each.gflops for each in rows if each.name == ceiling)
    assert best
    return [
        each._replace(share_of_matmul=each.gflops / best) if each.gflops else each
        for each in rows
    ]
