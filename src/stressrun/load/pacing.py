"""When things are due: pure functions of time, without a clock.

Times are seconds from the start of a stage. A segment is one worker's exact share: of all
arrivals, or of all virtual users, those whose number is `index` modulo `of`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, sqrt

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
    def count(self) -> int:
        """How many arrivals are due before the end."""
        area = (self.rate.start + self.rate.end) / 2 * self.duration
        return ceil(round(area, 6))

    def due(self, number: int) -> float:
        """When arrival `number` (from 0) is due: the inverse of the rate's integral."""
        if number == 0:
            return 0.0
        start, slope = self.rate.start, (self.rate.end - self.rate.start) / self.duration
        # This form of the quadratic's root is exact for a slope of zero, too.
        return 2 * number / (start + sqrt(max(0.0, start * start + 2 * slope * number)))


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
