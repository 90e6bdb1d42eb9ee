"""What is due now: executors hand out iterations, as pure functions of the time they are told.

Instants are nanoseconds of the monotonic clock; nothing here reads a clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from itertools import count
from typing import ClassVar

from stressrun.data.pools import randomness
from stressrun.load.pacing import Pacing, Population, Segment
from stressrun.scenario.model import (
    Arrivals,
    IterationsPerVu,
    Load,
    Ramp,
    SharedIterations,
    Users,
)

_SECOND = 1_000_000_000
_NEVER = 1 << 62
_NO_MORE = (-1, _NEVER)


class Executor(ABC):
    """Hands out the iterations of one stage to one worker.

    What is due by the end is handed out until `close`, so that a generator that is woken late
    drops nothing that a free virtual user can still start; of a given number of iterations the
    last one closes it, too. With `keeps_time` what is taken has a due time of its own, else it is
    due when it is taken. With `counts_per_vu` each iteration's end must be told to `finished`.
    """

    __slots__ = ("closed", "end")

    keeps_time: ClassVar[bool] = False
    counts_per_vu: ClassVar[bool] = False

    def __init__(self, end: int) -> None:
        self.closed = False
        self.end = end

    @abstractmethod
    def take(self, now: int, running: int) -> tuple[int, int] | None:
        """The number and the intended start of an iteration to start now, with `running` VUs."""

    @abstractmethod
    def wake(self, now: int) -> int | None:
        """When there may be more, if no VU becomes free before; None: never."""

    def overdue(self, now: int) -> Iterable[tuple[int, int]]:
        """The numbers and instants of iterations that became too late to start, each once."""
        return ()

    def finished(self, number: int) -> bool:
        """Tell that an iteration has ended; False when its VU has done all of its own."""
        return True

    def close(self) -> None:
        """Hand out no more."""
        self.closed = True

    def drop(self, now: int) -> Iterable[int]:
        """The numbers of the iterations that were due by `now` and never started, each once."""
        return ()


class ArrivalExecutor(Executor):
    """Open model: arrivals, by number and instant, are due whatever the answers do."""

    __slots__ = ("_arrivals", "_due", "_next")

    keeps_time = True

    def __init__(self, arrivals: Iterator[tuple[int, int]], end: int) -> None:
        super().__init__(end)
        self._arrivals = arrivals
        self._next = next(arrivals, _NO_MORE)
        self._due = self._next[1]

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        due = self._due
        if due > now or due > self.end or self.closed:
            return None
        taken = self._next
        self._next = following = next(self._arrivals, _NO_MORE)
        self._due = following[1]
        return taken

    def wake(self, now: int) -> int | None:
        return None if self.closed or self._due > self.end else self._due

    def drop(self, now: int) -> Iterator[int]:
        while self._due <= now:
            yield self._skip()[0]

    def _skip(self) -> tuple[int, int]:
        skipped = self._next
        self._next = next(self._arrivals, _NO_MORE)
        self._due = self._next[1]
        return skipped


class CeilingExecutor(ArrivalExecutor):
    """Arrivals that start within one interval of their instants or not at all: never bunched."""

    __slots__ = ("_pacing", "_start")

    def __init__(
        self, arrivals: Iterator[tuple[int, int]], end: int, pacing: Pacing, start: int
    ) -> None:
        super().__init__(arrivals, end)
        self._pacing = pacing
        self._start = start

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        if self._due < now and self._is_overdue(now):
            return None
        return super().take(now, running)

    def overdue(self, now: int) -> Iterator[tuple[int, int]]:
        while self._due < now and self._due <= self.end and self._is_overdue(now):
            yield self._skip()

    def _is_overdue(self, now: int) -> bool:
        interval = self._pacing.interval((self._due - self._start) / _SECOND)
        return now - self._due > interval * _SECOND


class UserExecutor(Executor):
    """Closed model: each of so many virtual users starts an iteration when it is free."""

    __slots__ = ("_changes_at", "_numbers", "_population", "_segment", "_start", "_target")

    def __init__(
        self, population: Population, segment: Segment, start: int, numbers: Iterator[int]
    ) -> None:
        super().__init__(start + round(population.duration * _SECOND))
        self._population = population
        self._segment = segment
        self._start = start
        self._numbers = numbers
        self._target = 0
        self._changes_at = start

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        if now >= self._changes_at:
            self._retarget(now)
        if running >= self._target or now >= self.end or self.closed:
            return None
        return next(self._numbers), now

    def wake(self, now: int) -> int | None:
        if self.closed or now >= self.end or self._changes_at >= self.end:
            return None
        return self._changes_at

    def _retarget(self, now: int) -> None:
        elapsed = (now - self._start) / _SECOND
        self._target = self._segment.share(self._population.at(elapsed))
        change = self._population.next_change(elapsed)
        # One nanosecond more, so that the rounding of the instant cannot fall before the change.
        self._changes_at = _NEVER if change is None else self._start + round(change * _SECOND) + 1


class SharedExecutor(UserExecutor):
    """So many iterations in all: each virtual user takes the next one when it is free.

    Number n belongs to the segment of virtual user n modulo `vus`, so that a worker has
    iterations in proportion to its virtual users.
    """

    __slots__ = ("_left",)

    def __init__(
        self, load: SharedIterations, duration: float, segment: Segment, start: int
    ) -> None:
        rounds, rest = divmod(load.iterations, load.vus)
        numbers = (
            number
            for first in range(0, load.iterations, load.vus)
            for number in range(
                first + segment.index, min(first + load.vus, load.iterations), segment.of
            )
        )
        super().__init__(Population(Ramp(load.vus, load.vus), duration), segment, start, numbers)
        self._left = rounds * segment.share(load.vus) + segment.share(rest)
        self.closed = not self._left

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        taken = super().take(now, running)
        if taken is not None:
            self._left -= 1
            self.closed = not self._left
        return taken

    def drop(self, now: int) -> Iterator[int]:
        if now >= self._start:
            yield from self._numbers


class PerVuExecutor(Executor):
    """So many iterations for each virtual user: number n is one of virtual user n modulo `vus`.

    Of the free virtual users the one that ended last is the next to start.
    """

    __slots__ = ("_free", "_left", "_next", "_start", "_total", "_vus")

    counts_per_vu = True

    def __init__(
        self, load: IterationsPerVu, duration: float, segment: Segment, start: int
    ) -> None:
        super().__init__(start + round(duration * _SECOND))
        own = range(segment.index, load.vus, segment.of)
        self._start = start
        self._vus = load.vus
        self._total = load.iterations * load.vus
        self._next = {vu: vu for vu in own}
        self._free = list(reversed(own))
        self._left = load.iterations * len(own)
        self.closed = not self._left

    def take(self, now: int, running: int) -> tuple[int, int] | None:
        if self.closed or not self._free or not self._start <= now < self.end:
            return None
        vu = self._free.pop()
        number = self._next[vu]
        self._next[vu] = number + self._vus
        self._left -= 1
        self.closed = not self._left
        return number, now

    def finished(self, number: int) -> bool:
        vu = number % self._vus
        if self._next[vu] >= self._total:
            return False
        self._free.append(vu)
        return True

    def wake(self, now: int) -> int | None:
        return self._start if self._free and not self.closed and now < self.end else None

    def drop(self, now: int) -> Iterator[int]:
        if now < self._start:
            return
        for vu, number in self._next.items():
            self._next[vu] = self._total
            yield from range(number, self._total, self._vus)


def executor(
    load: Load, duration: float, segment: Segment, start: int, seed: int, site: str
) -> Executor:
    """The executor of a stage's load that begins at the instant `start`.

    Poisson arrivals are drawn for the seed and the site, the place of the load in the scenario.
    """
    match load:
        case Arrivals():
            return _arrivals(load, duration, segment, start, seed, site)
        case Users():
            population = Population(load.count, duration)
            return UserExecutor(population, segment, start, count(segment.index, segment.of))
        case SharedIterations():
            return SharedExecutor(load, duration, segment, start)
        case IterationsPerVu():
            return PerVuExecutor(load, duration, segment, start)


def _arrivals(
    load: Arrivals, duration: float, segment: Segment, start: int, seed: int, site: str
) -> ArrivalExecutor:
    pacing = Pacing(load.rate, duration)
    end = start + round(duration * _SECOND)
    if load.spacing == "poisson":
        arrivals = pacing.poisson(segment, start, randomness(seed, site))
    else:
        arrivals = pacing.uniform(segment, start)
    if load.catch_up:
        return ArrivalExecutor(arrivals, end)
    return CeilingExecutor(arrivals, end, pacing, start)


def most_users(load: Load) -> int:
    """The most virtual users that a load has at once."""
    match load:
        case Arrivals():
            return load.max_vus
        case Users():
            return round(max(load.count.start, load.count.end))
        case _:
            return load.vus
