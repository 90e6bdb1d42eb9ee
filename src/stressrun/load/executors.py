"""What is due now: executors hand out iterations, as pure functions of the time they are told.

Instants are nanoseconds of the monotonic clock; nothing here reads a clock.
"""

from __future__ import annotations

from typing import Protocol

from stressrun.load.pacing import Pacing, Population, Segment
from stressrun.scenario.model import Arrivals, Load

_SECOND = 1_000_000_000


class Executor(Protocol):
    """Hands out the iterations of one stage to one worker.

    What is due by the end is handed out until `close`, so that a generator that is woken late
    drops nothing that a free virtual user can still start. With `keeps_time` what is taken has a
    due time of its own, else it is due when it is taken.
    """

    end: int
    closed: bool
    keeps_time: bool

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        """The number and the intended start of an iteration to start now, with `running` VUs."""

    def wake(self, now: int) -> int | None:
        """When `take` may have more, if no VU becomes free before; None: never."""

    def close(self) -> None:
        """Hand out no more."""

    def drop(self, now: int) -> list[int]:
        """The numbers of the iterations that were due by `now` and never started."""


class ArrivalExecutor:
    """Open model: arrivals are due at their instants, whatever the answers do."""

    keeps_time = True

    def __init__(self, pacing: Pacing, segment: Segment, start: int) -> None:
        self._pacing = pacing
        self._segment = segment
        self._start = start
        self._count = pacing.count
        self._number = segment.index
        self.closed = False
        self.end = start + round(pacing.duration * _SECOND)
        self._due = self._instant()

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        if self.closed or self._due > min(now, self.end) or self._number >= self._count:
            return None
        taken = self._number, self._due
        self._number += self._segment.of
        self._due = self._instant()
        return taken

    def wake(self, now: int) -> int | None:
        if self.closed or self._number >= self._count or self._due > self.end:
            return None
        return self._due

    def close(self) -> None:
        self.closed = True

    def drop(self, now: int) -> list[int]:
        dropped = []
        while self._number < self._count and self._due <= now:
            dropped.append(self._number)
            self._number += self._segment.of
            self._due = self._instant()
        return dropped

    def _instant(self) -> int:
        if self._number >= self._count:
            return self._start + round(self._pacing.duration * _SECOND)
        return self._start + round(self._pacing.due(self._number) * _SECOND)


class UserExecutor:
    """Closed model: each of so many virtual users starts an iteration when it is free."""

    keeps_time = False

    def __init__(self, population: Population, segment: Segment, start: int) -> None:
        self._population = population
        self._segment = segment
        self._start = start
        self._number = segment.index
        self._target = 0
        self._changes_at: int | None = start
        self.closed = False
        self.end = start + round(population.duration * _SECOND)

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        if self.closed or now >= self.end or now < self._start:
            return None
        if self._changes_at is not None and now >= self._changes_at:
            self._retarget(now)
        if running >= self._target:
            return None
        taken = self._number, now
        self._number += self._segment.of
        return taken

    def wake(self, now: int) -> int | None:
        if self.closed or now >= self.end:
            return None
        if self._changes_at is None or self._changes_at >= self.end:
            return None
        return self._changes_at

    def close(self) -> None:
        self.closed = True

    def drop(self, now: int) -> list[int]:
        return []

    def _retarget(self, now: int) -> None:
        elapsed = (now - self._start) / _SECOND
        self._target = self._segment.share(self._population.at(elapsed))
        change = self._population.next_change(elapsed)
        # One nanosecond more, so that the rounding of the instant cannot fall before the change.
        self._changes_at = None if change is None else self._start + round(change * _SECOND) + 1


def executor(load: Load, duration: float, segment: Segment, start: int) -> Executor:
    """The executor of a stage's load that begins at the instant `start`."""
    if isinstance(load, Arrivals):
        return ArrivalExecutor(Pacing(load.rate, duration), segment, start)
    return UserExecutor(Population(load.count, duration), segment, start)
