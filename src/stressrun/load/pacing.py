"""When things are due: pure functions of time, without a clock.

Times are seconds from the start of a stage, instants are nanoseconds of the monotonic clock. A
segment is one worker's exact share: of all arrivals, or of all virtual users, those whose number
is `index` modulo `of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, floor, inf, log, sqrt
from random import Random

from stressrun.scenario.model import Ramp


@dataclass(frozen=True, slots=True)
class Segment:
    """Worker `index` of `of`."""

    index: int
    of: int

    def share(self, count: int) -> int:
        """How many of the numbers 0 … count−1 are this segment's."""
        return max(0, (count - self.index + self.of - 1) // self.of)


@dataclass(frozen=True, slots=True)
class Pacing:
    """Arrivals at a rate (per second) that moves in a straight line over a duration."""

    rate: Ramp
    duration: float

    @property
    def area(self) -> float:
        """The rate's integral over the duration."""
        return (self.rate.start + self.rate.end) / 2 * self.duration

    @property
    def count(self) -> int:
        """How many arrivals are due before the end; of Poisson arrivals the mean."""
        return ceil(round(self.area, 6))

    def expected(self, elapsed: float) -> float:
        """How many arrivals are due in the first `elapsed` seconds; of Poisson ones the mean."""
        elapsed = min(max(elapsed, 0.0), self.duration)
        change = (self.rate.end - self.rate.start) / self.duration
        return (self.rate.start + change * elapsed / 2) * elapsed

    def inverse(self) -> Callable[[float], float]:
        """The inverse of the rate's integral: when arrival `number` (from 0) is due."""
        duration, start = self.duration, self.rate.start
        start_squared, change = start * start, 2 * (self.rate.end - start) / duration

        def due(number: float) -> float:
            if number == 0:
                return 0.0
            square = start_squared + change * number
            # Rounding can pass the end of the stage, where a ramp comes down to nothing.
            if square <= 0:
                return duration
            # This form of the quadratic's root is exact for a rate that does not change, too.
            elapsed = 2 * number / (start + sqrt(square))
            return elapsed if elapsed < duration else duration

        return due

    def interval(self, elapsed: float) -> float:
        """The mean time between arrivals after `elapsed` seconds; infinite at a rate of zero."""
        share = min(max(elapsed / self.duration, 0.0), 1.0)
        rate = self.rate.start + (self.rate.end - self.rate.start) * share
        return 1 / rate if rate > 0 else inf

    def uniform(self, segment: Segment, start: int) -> Iterator[tuple[int, int]]:
        """The numbers and instants of a segment's arrivals, evenly spaced from `start` on."""
        numbers = range(segment.index, self.count, segment.of)
        rate, due = self.rate.start, self.inverse()
        if rate == self.rate.end:
            for number in numbers:
                yield number, start + round(number * 1e9 / rate)
        else:
            for number in numbers:
                yield number, start + round(due(number) * 1e9)

    def poisson(self, segment: Segment, start: int, random: Random) -> Iterator[tuple[int, int]]:
        """The numbers and instants of a segment's arrivals, each independent of all others.

        Every segment draws all of them, and must be given the same random numbers.
        """
        index, of = segment.index, segment.of
        area, due, draw = self.area, self.inverse(), random.random
        number = 0
        passed = -log(1.0 - draw())
        while passed < area:
            if number % of == index:
                yield number, start + round(due(passed) * 1e9)
            number += 1
            passed -= log(1.0 - draw())


@dataclass(frozen=True, slots=True)
class Population:
    """A number of virtual users that moves in a straight line over a duration."""

    count: Ramp
    duration: float

    def at(self, elapsed: float) -> int:
        """The target after `elapsed` seconds, to the nearest whole user."""
        share = min(max(elapsed / self.duration, 0.0), 1.0)
        return floor(self.count.start + (self.count.end - self.count.start) * share + 0.5)

    def next_change(self, elapsed: float) -> float | None:
        """The first instant after `elapsed` at which the target differs; None if it never will."""
        now, last = self.at(elapsed), self.at(self.duration)
        if now == last:
            return None
        boundary = now + 0.5 if last > now else now - 0.5
        change = self.count.end - self.count.start
        instant = (boundary - self.count.start) / change * self.duration
        return max(instant, elapsed)
